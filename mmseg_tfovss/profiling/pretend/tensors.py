"""Tensors on the pretended device."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mmseg_tfovss.profiling.pretend.operations import PretendDevice

PRETEND = torch.device("meta")


class FarTensor(Tensor):
    """A tensor on the pretended device.

    Attributes:
        near: its values, on the CPU.
        owner: the device.
    """

    near: Tensor
    owner: "PretendDevice"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def of(near: Tensor, owner: "PretendDevice") -> "FarTensor":
        """Wrap a tensor of the CPU."""
        with torch.inference_mode(mode=False):  # views of tensors from outside of inference mode need it
            far: FarTensor = torch.Tensor._make_wrapper_subclass(
                FarTensor, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=PRETEND
            )
        far.near, far.owner = near, owner
        return far

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"FarTensor({self.near})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]  # noqa: ANN401
        leaves = [*leaves_of(args), *leaves_of((kwargs or {}).values())]
        owner = next(leaf.owner for leaf in leaves if isinstance(leaf, FarTensor))
        return owner.run(func, args, kwargs or {})


def near_of(value: Any) -> Any:  # noqa: ANN401
    """The values of a tensor on the device; others as they are."""
    return value.near if isinstance(value, FarTensor) else value


def leaves_of(values: Iterable[Any]) -> Iterator[Any]:
    """Arguments, and what is in lists of them; torch's own way takes longer than its operations."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from leaves_of(value)
        else:
            yield value


def each_of(change: Callable[[Any], Any], value: Any) -> Any:  # noqa: ANN401
    """The same of a change of each."""
    return [each_of(change, one) for one in value] if isinstance(value, list | tuple) else change(value)
