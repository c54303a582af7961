"""From logits over queries to one class id per pixel, without a tensor of queries x pixels.

The field's rule for logits L (Q, H, W), scale s, class c(q) of query q:

1. P = softmax over all Q queries of s L; synonyms compete with each other;
2. P'(c) = max of P(q) over the queries of class c;
3. area: with A(c) = pixels where c is the argmax, drop every c >= 1 with A(c) <= a * sum of A(1..) (P'(c) = 0);
4. label = argmax of P'; class 0 where max P' < p.

The argmax of P' is the class of the argmax of L, and max P' = exp(s max L - logsumexp(s L)), so three maps of H x W
(best logit, its query, logsumexp) are enough; logits pass by once, block by block.
"""

from functools import partial

import torch
from torch import Tensor

from mmseg_tfovss.deferred import is_known, refuse_if
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.ops.counting import count_ids

_NOT_NUMBERS = "Some refined logits are not numbers (NaN), so that their pixels have no class."

_VOTES = 1 << 22  # numbers of regions x classes that are counted


class NotNumbersError(ValueError):
    """Some logits are NaN."""


def label_pixels(
    logits: Canvas,
    query_class: Tensor,
    *,
    logit_scale: float,
    prob_threshold: float = 0.0,
    area_threshold: float = 0.0,
    num_classes: int | None = None,
) -> Tensor:
    """Label the pixels of one image.

    Args:
        logits: of Q queries.
        query_class: (Q,) class id of each query.
        logit_scale: s above, > 0.
        prob_threshold: p above; 0 switches step 4's threshold off.
        area_threshold: a above; 0 switches step 3 off.
        num_classes: more than any class id; ``None``: read from ``query_class``, for which a GPU must wait.

    Returns:
        Class ids (H, W), int64.

    Raises:
        NotNumbersError: some logits are NaN (see :mod:`mmseg_tfovss.deferred`).
    """
    maps = _PixelMaps(*logits.size, logit_scale, logits.device, with_sum=prob_threshold > 0)
    for rows, queries, block in logits.blocks():
        maps.update(rows, queries, block)
    refuse_if(maps.best.isnan().any(), partial(NotNumbersError, _NOT_NUMBERS))
    if area_threshold > 0:
        classes = int(query_class.max()) + 1 if num_classes is None else num_classes
        kept = _large_classes(query_class[maps.query], classes, area_threshold)
        if not is_known(kept.all()):
            maps.forget_best()
            _take_allowed(maps, logits, kept[query_class])
    labels = query_class[maps.query]
    if prob_threshold > 0:
        labels.masked_fill_(maps.best_probability() < prob_threshold, 0)
    return labels


def majority(labels: Tensor, regions: Tensor, num_classes: int) -> Tensor:
    """Give every region the class that most of its pixels have; the smallest id among equals.

    Args:
        labels: (H, W) class ids.
        regions: (H, W) region ids from 0 on; -1: pixels of no region, which keep their class.
        num_classes: C.

    Returns:
        (H, W) class ids.
    """
    places = regions + 1  # of no region: place 0
    voted = _most_frequent(labels, places, int(places.max()) + 1, num_classes)[places]
    return torch.where(regions < 0, labels, voted)


def patch_majority(labels: Tensor, patch_size: int, num_classes: int) -> Tensor:
    """The class that most pixels of each whole patch have; the smallest id among equals.

    Args:
        labels: (H, W) class ids.
        patch_size: pixels of a patch's side.
        num_classes: C.

    Returns:
        (h, w) class ids.
    """
    height, width = (pixels // patch_size for pixels in labels.shape)
    whole = labels[: height * patch_size, : width * patch_size]
    patches = torch.arange(height * width, device=labels.device).view(height, width)
    regions = patches.repeat_interleave(patch_size, dim=0).repeat_interleave(patch_size, dim=1)
    return _most_frequent(whole, regions, height * width, num_classes).view(height, width)


def _most_frequent(labels: Tensor, regions: Tensor, count: int, num_classes: int) -> Tensor:
    """The most frequent class id (count,) of each region, the smallest among equals."""
    if count * num_classes <= _VOTES:
        return _count_votes(labels, regions, count, num_classes)
    present, found = torch.unique(labels, return_inverse=True)  # of a large vocabulary, an image shows few classes
    return present[_count_votes(found, regions, count, len(present))]


def _count_votes(labels: Tensor, regions: Tensor, count: int, num_classes: int) -> Tensor:
    votes = count_ids(regions * num_classes + labels, count * num_classes)
    # The order of equal maxima is not defined on a GPU: make the ids part of the number.
    order = torch.arange(num_classes - 1, -1, -1, device=labels.device)
    return (votes.view(count, num_classes) * num_classes + order).argmax(dim=1)


def _large_classes(labels: Tensor, num_classes: int, area_threshold: float) -> Tensor:
    """(C,) bool: class 0, and the classes with more than the given share of all pixels not labelled 0."""
    areas = count_ids(labels, num_classes)
    kept = areas > area_threshold * areas[1:].sum()
    kept[:1] = True
    return kept


def _take_allowed(maps: "_PixelMaps", logits: Canvas, allowed: Tensor) -> None:
    """Take in the logits of the allowed queries (Q,) bool; a GPU does not wait to hear which these are."""
    numbers = torch.arange(len(allowed), device=allowed.device)
    if allowed.device.type == "cpu":
        numbers = numbers[allowed]
        for rows, some, block in logits.only(numbers).blocks():
            maps.take_best(rows, numbers[some], block)
        return
    for rows, some, block in logits.blocks():
        maps.take_best(rows, numbers[some], block.masked_fill(~allowed[some][:, None], -torch.inf))


class _PixelMaps:
    """Best logit, its query, and sum of exponentials of every pixel, kept up to date block by block."""

    def __init__(self, height: int, width: int, scale: float, device: torch.device, *, with_sum: bool) -> None:
        self.scale, self.with_sum = scale, with_sum
        self.best = torch.full((height, width), -torch.inf, device=device)
        self.query = torch.zeros((height, width), dtype=torch.int64, device=device)
        # sum over queries of exp(s (L - reference)), with reference = best logit so far
        self.reference = self.best.clone()
        self.total = torch.zeros((height, width), device=device)
        self._scratch = torch.empty(0, device=device)  # blocks belong to others: what is written goes here

    def update(self, rows: slice, queries: slice, block: Tensor) -> None:
        """Take in a block (r, q, W)."""
        top = self.take_best(rows, torch.arange(queries.start, queries.stop, device=block.device), block)
        if self.with_sum:
            reference = torch.maximum(self.reference[rows], top)
            reference = reference.clamp_min_(torch.finfo(reference.dtype).min)  # where all are -inf so far
            decay = (self.reference[rows] - reference).mul_(self.scale).exp_()
            differences = torch.sub(block, reference[:, None], out=self._like(block))
            added = differences.mul_(self.scale).exp_().sum(dim=1)
            self.total[rows] = self.total[rows] * decay + added
            self.reference[rows] = reference

    def forget_best(self) -> None:
        """Start the search for the best query again; the sums stay."""
        self.best.fill_(-torch.inf)

    def best_probability(self) -> Tensor:
        """exp(s best - logsumexp), (H, W); 0 where all logits are -inf."""
        return (self.best - self.reference).mul_(self.scale).exp_().div_(self.total).nan_to_num_(0)

    def take_best(self, rows: slice, queries: Tensor, block: Tensor) -> Tensor:
        """Take in a block of these queries (q,) for the best one only; returns the largest logits (r, W)."""
        top, place = block.max(dim=1)
        better = (top > self.best[rows]) | top.isnan()
        self.query[rows] = torch.where(better, queries[place], self.query[rows])
        self.best[rows] = torch.where(better, top, self.best[rows])
        return top

    def _like(self, block: Tensor) -> Tensor:
        """Memory of a block's size and layout, the same for all blocks that are alike."""
        if self._scratch.shape != block.shape or self._scratch.stride() != block.stride():
            self._scratch = torch.empty_like(block)
        return self._scratch
