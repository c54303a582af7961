"""Linear layers of frozen networks, by oneDNN on a CPU.

PyTorch gives float32 matrix products on a CPU to MKL. On AMD processors oneDNN is faster at them, and in bfloat16 it is
at least as fast: ``tfovss benchmark`` prints the rates. The two differ in rounding only.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.utils.flop_counter import flop_registry, register_flop_formula

# Those of attention are of a class of their own, which says that they must not be quantised, and adds nothing.
_PLAIN = (nn.Linear, NonDynamicallyQuantizableLinear)
# Smaller layers, or fewer tokens, cost more in the call itself than they save. The number of images does not matter:
# the same image is rounded in the same way in a batch and alone.
_SMALLEST_WEIGHT, _FEWEST_TOKENS = 1 << 18, 32


class Linear(nn.Linear):
    """An ``nn.Linear`` that computes by :func:`linear`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., C) -> (..., D)."""
        return linear(inputs, self.weight, self.bias)


def speed_up(network: nn.Module) -> None:
    """Make every plain ``nn.Linear`` of a frozen network a :class:`Linear`; names and tensors stay as they are."""
    for module in network.modules():
        if type(module) in _PLAIN:
            module.__class__ = Linear


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``inputs @ weight.T + bias``.

    Args:
        inputs: (..., C).
        weight: (D, C).
        bias: (D,).

    Returns:
        (..., D).
    """
    large = weight.numel() >= _SMALLEST_WEIGHT and inputs.dim() > 1 and inputs.shape[-2] >= _FEWEST_TOKENS
    if large and _suits_onednn(inputs, weight):
        found: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return found
    return F.linear(inputs, weight, bias)


def _suits_onednn(inputs: Tensor, weight: Tensor) -> bool:
    """Whether the layer is on a CPU, in a type that oneDNN is good at there, and nobody asks for gradients."""
    if inputs.dtype is not weight.dtype or not torch.backends.mkldnn.enabled or torch.compiler.is_compiling():
        return False
    here = inputs.device.type == weight.device.type == "cpu"
    frozen = not (torch.is_grad_enabled() and (inputs.requires_grad or weight.requires_grad))
    return here and frozen and inputs.dtype in _ONEDNN


def _onednn_types() -> frozenset[torch.dtype]:
    """The types for which oneDNN stands beside MKL in this build of PyTorch, and which this CPU computes in."""
    if not (torch.backends.mkl.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return frozenset()
    half = {torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else set()
    return frozenset({torch.float32} | half)


def _flops(inputs: tuple[int, ...], weight: tuple[int, ...], *rest: Any, **named: Any) -> int:  # noqa: ANN401
    """For torch's counter, which knows aten's products only; a multiplication with its addition is 2."""
    return 2 * int(torch.Size(inputs).numel()) * weight[0]


_ONEDNN = _onednn_types()
if _ONEDNN and torch.ops.mkldnn._linear_pointwise not in flop_registry:
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_flops)
