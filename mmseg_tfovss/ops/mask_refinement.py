"""Labels refined by masks that a promptable network draws for their regions (Trident, ICCV 2025, arXiv:2411.09219).

On half the pixels of each axis, for every class c with probabilities P_c:

    regions   of c among the pixels whose largest probability is at least coarse_thresh: 8-connected, minimal_area
    prompts   of each region: its box, the point where P_c is highest, and for all of c the mask
              sam_mask_coff * P_c where P_c > coarse_thresh, else 0
    masks     M (logits) of the regions whose predicted IoU is above sam_iou_thresh

    R_c = max over c's masks of sigmoid(M) P_c, where some M > 0, else 0;   label = argmax_c R_c, where some R_c > 0
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import check_count, check_range
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.connected import RegionPrompts, find_regions
from mmseg_tfovss.ops.probabilities import ClassProbabilities

_SLACK = 1 - 1e-5  # for rounding
Draw = Callable[[RegionPrompts, Tensor], Iterator[tuple[Tensor, Tensor]]]
"""K regions and the mask prompt of their class, (S, S) -> some at a time, logits (n, H, W) and predicted IoU (n,)."""


@dataclass(frozen=True)
class MaskRefinement:
    """Settings of the refinement.

    Attributes:
        coarse_thresh: pixels whose class is less probable are in no region. In [0, 1].
        minimal_area: pixels of the halved image that a region must have.
        sam_iou_thresh: masks with a lower predicted IoU are dropped; predictions may exceed 1.
        sam_mask_coff: factor of the mask prompt.
    """

    coarse_thresh: float = 0.2
    minimal_area: int = 225
    sam_iou_thresh: float = 0.8
    sam_mask_coff: float = 0.005

    def __post_init__(self) -> None:
        check_range("model.coarse_thresh", self.coarse_thresh, 0, 1)
        check_count(**{"model.minimal_area": self.minimal_area})
        for name in ("sam_iou_thresh", "sam_mask_coff"):
            check_range(f"model.{name}", getattr(self, name), 0, math.inf)

    def refine(
        self, labels: Tensor, probabilities: ClassProbabilities, draw: Draw, side: int, *, failed_keep: bool
    ) -> Tensor:
        """Class ids (H, W) from those of before.

        Args:
            labels: (H, W).
            probabilities: P.
            draw: asks the network.
            side: S, pixels of a mask prompt's side.
            failed_keep: in regions whose mask was dropped, pixels keep their label where its probability exceeds R.
        """
        size = (labels.shape[0], labels.shape[1])
        half = halved(size)
        coarse = F.interpolate(labels[None, None].float(), size=half, mode="nearest")[0, 0].long()
        present = coarse.unique().tolist()
        sure = self._surest(probabilities, half) >= self.coarse_thresh
        best, refined = torch.zeros(size, device=labels.device), labels.clone()
        failed = torch.zeros(half, dtype=torch.bool, device=labels.device)
        for number in present:
            probability = probabilities.of(number)
            halves = resized(probability, half)
            if halves.max() < self.coarse_thresh:
                continue
            regions = find_regions((coarse == number) & sure, halves, self.minimal_area)
            if not len(regions.masks):
                continue
            own, kept = self.class_map(probability, draw(regions, self.mask_prompt(halves, size, side)))
            failed |= regions.masks[~kept].any(dim=0)
            better = own > best
            refined[better] = number
            best = torch.maximum(best, own)
        if failed_keep and bool(failed.any()):
            where = F.interpolate(failed[None, None].float(), size=size, mode="nearest")[0, 0].bool()
            where &= probabilities.largest() > best
            refined[where] = labels[where]
        return refined

    def mask_prompt(self, halves: Tensor, size: Size, side: int) -> Tensor:
        """The mask prompt (S, S) of P_c on the halved image, for an image of this size: long side S, then zeros."""
        height, width = (int(pixels * side / max(size) + 0.5) for pixels in size)
        prompt = resized(halves, (height, width))
        prompt = torch.where(prompt > self.coarse_thresh, self.sam_mask_coff * prompt, 0)
        return F.pad(prompt, (0, side - width, 0, side - height))

    def class_map(self, probability: Tensor, drawn: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """R_c (H, W), and which masks (K,) are kept."""
        own = torch.zeros_like(probability)
        inside = torch.zeros_like(probability, dtype=torch.bool)
        kept = []
        for masks, iou in drawn:
            keep = iou > self.sam_iou_thresh
            kept.append(keep)
            for mask in masks[keep]:
                own = torch.maximum(own, mask.sigmoid() * probability)
                inside |= mask > 0
        return own * inside, torch.cat(kept)

    def _surest(self, probabilities: ClassProbabilities, half: Size) -> Tensor:
        """The largest P on the halved image, of the classes that reach coarse_thresh anywhere."""
        best = torch.zeros(half, device=probabilities.logits.device)
        if self.coarse_thresh:
            for number in (probabilities.peaks() >= _SLACK * self.coarse_thresh).nonzero()[:, 0].tolist():
                best = torch.maximum(best, resized(probabilities.of(number), half))
        return best


def halved(size: Size) -> Size:
    """Half the pixels of each axis, rounded down."""
    return max(size[0] // 2, 1), max(size[1] // 2, 1)


def resized(values: Tensor, size: Size) -> Tensor:
    """(H, W) -> another size, bilinear."""
    return F.interpolate(values[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
