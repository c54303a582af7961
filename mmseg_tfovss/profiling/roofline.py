"""How far a network is from what the machine can do: the rate of a large matrix product, measured in the same run."""

import torch
from torch import Tensor

from mmseg_tfovss.encoders.clip import PRECISIONS
from mmseg_tfovss.ops.linear import linear
from mmseg_tfovss.profiling.meters import Clock

# Rows and columns of the matrices, with which a device is at its best.
_SIDE_ON_A_CPU, _SIDE_ELSEWHERE = 1024, 8192


class MatmulRate:
    """The highest rate of square matrix products so far. A shared machine is slower at times: ask now and then.

    Args:
        device: where they run.
        precision: ``fp32``, ``bf16`` or ``fp16``.

    Attributes:
        side: rows and columns of the matrices.
        best: in GFLOP per second.
        plain: the same of ``torch.matmul`` alone, without oneDNN where that stands beside it.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self.side = _SIDE_ON_A_CPU if device.type == "cpu" else _SIDE_ELSEWHERE
        self.best = self.plain = 0.0
        self._device, self._operations = device, 2 * self.side**3
        shape = (self.side, self.side)
        self._left, self._right = (torch.rand(shape, device=device).to(PRECISIONS[precision]) for _ in range(2))
        self.measure()  # warms up

    @torch.inference_mode()
    def measure(self) -> float:
        """Multiply once in each of the ways that networks here do; the highest rate so far, in GFLOP per second."""
        for multiply in (linear, torch.matmul):
            clock = Clock(self._device)
            product: Tensor = multiply(self._left, self._right)
            clock.lap("product")
            del product
            found = self._operations / clock.laps["product"] / 1e9
            self.best = max(self.best, found)
            self.plain = max(self.plain, found) if multiply is torch.matmul else self.plain
        return self.best
