"""Class probabilities of a canvas of logits, one class at a time: of patches, no tensor of queries x pixels is made."""

import torch
from torch import Tensor

from mmseg_tfovss.ops.canvas import Canvas, ChannelCanvas, ComputedCanvas, PixelCanvas


class ClassProbabilities:
    """P(c) = max over the queries q of class c of softmax_q(scale * L).

    Args:
        logits: L, of Q queries on H x W pixels.
        query_class: (Q,) class id of each query, ascending.
        logit_scale: scale.
    """

    def __init__(self, logits: Canvas, query_class: Tensor, logit_scale: float) -> None:
        # Each class would have all of it computed again, or what it needs of it.
        if isinstance(logits, ComputedCanvas) or (isinstance(logits, ChannelCanvas) and logits.may_be_held):
            logits = PixelCanvas(logits.dense())
        self.logits, self.query_class, self.scale = logits, query_class, logit_scale
        total = torch.full(logits.size, -torch.inf, device=logits.device)  # log of the sum of all exponentials
        for rows, _, block in logits.blocks():
            total[rows] = torch.logaddexp(total[rows], (logit_scale * block).logsumexp(dim=1))
        self._total = total

    def of(self, number: int) -> Tensor:
        """P of one class, (H, W)."""
        queries = (self.query_class == number).nonzero()[:, 0]
        own = self.logits.some(slice(int(queries[0]), int(queries[-1]) + 1)).amax(dim=0)
        return (self.scale * own - self._total).exp_()

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.query_class.max()) + 1

    def largest(self) -> Tensor:
        """The largest P of any class, (H, W)."""
        best = torch.full(self.logits.size, -torch.inf, device=self.logits.device)
        for rows, _, block in self.logits.blocks():
            best[rows] = torch.maximum(best[rows], block.amax(dim=1))
        return (self.scale * best - self._total).exp_()

    def peaks(self) -> Tensor:
        """The largest P of each class at any pixel, (C,)."""
        best = torch.full((len(self.query_class),), -torch.inf, device=self.logits.device)
        for rows, queries, block in self.logits.blocks():
            highest = (self.scale * block - self._total[rows][:, None]).amax(dim=(0, 2))
            best[queries] = torch.maximum(best[queries], highest)
        return best.new_zeros(self.classes).scatter_reduce(0, self.query_class, best.exp_(), "amax")
