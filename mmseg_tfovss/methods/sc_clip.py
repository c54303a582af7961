"""SC-CLIP: CLIP calibrated by its own tokens and middle layers. Bai et al., IEEE TIP, arXiv:2411.15869.

Official code: SuleBai/SC-CLIP @ 0417ba9.

X^l = output of block l of L (class token c^l, then N patches); numbers for L = 12. In place of the last block:
    Anomalies: LOF_i of the patches of X^11 with 30 neighbours;  A = {i : LOF_i > its 0.95-quantile}
    Repair:    in X^11 and X^9, a patch of A <- mean of those of its 8 neighbours that are not in A
    C = cosines of the repaired X^9,  C' = cosines of X^4
    AGG(x; C) = rows of (C where C >= beta, else 0) scaled to sum 1, times x
    ATT(y) = out_proj(1/2 (softmax(3 (C - mean C) where >= 0) + softmax(k k^T / sqrt(d))) v)
    First pass:   x = ATT(AGG(X^11; C)) + rho c^11
    Second pass:  r = ATT(R) + rho c_R,  R = X^4 + ... + X^10
    x <- AGG(x + r; C')                            (no class token, no residual, no feed-forward)

Quirks of the official code (``official_quirks``):
  * LOF takes the patch's own distance to its 30th neighbour, squared, for its reachability from every neighbour, so
    that LOF_i = mean_j r_i^2 / r_j^2. Without quirks: the local outlier factor as it is defined.
  * The patch at row a, column b of h x w is taken for the one at row (a w + b) // h, column (a w + b) mod h, which is
    right for square windows. In other windows the code often stops with an error; where it would, positions are right
    here.
Deviations: distances are float32, not float16. In windows of fewer than 31 patches all others but one are neighbours
(the official code stops). Towers of other depths than 12 and 24 take the blocks at the same shares as those of 12.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from mmseg_tfovss.acting import Needs, above_zero
from mmseg_tfovss.checks import check_count, check_range, is_number
from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.encoders.stream import Keep, Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.ops.attention import attend_above_mean, self_correlation
from mmseg_tfovss.ops.outliers import largest, local_outlier_factor, radius_ratio
from mmseg_tfovss.ops.tokens import cosines, mix_alike, refine, replace_abnormal
from mmseg_tfovss.registry import MODELS

# By depth of the tower: pre_layer, post_layer, fused_layers, cls_weight; for 24 blocks as the author says in issue 5.
_BY_DEPTH = {12: (9, 4, 4, 10, 0.3), 24: (17, 7, 9, 19, 0.1)}
_SHARPNESS = 3.0


@MODELS.register_module()
class SCCLIP(OpenVocabSegmentor):
    """Repair anomalous patches, and let the middle layers say which patches belong together.

    Args:
        pre_layer: number of the block, from 1, whose cosines are C; ``None``: as for the tower's depth, 9 of 12 and 17
            of 24 (official: ``pre_adjust_idx`` + 1).
        post_layer: likewise of C'; ``None``: 4 of 12, 7 of 24 (``post_adjust_idx`` + 1).
        fused_layers: (first, last) block of R; ``None``: 4 to 10 of 12, 9 to 19 of 24 (``multi_start_idx`` + 1 and
            ``multi_end_idx``); ``()``: no second pass.
        cls_weight: rho, >= 0; ``None``: 0.3, or 0.1 with 24 blocks (``res_cls``).
        beta: smallest cosine for which patches are aggregated, in [0, 1].
        neighbours: of LOF, >= 1; in a window with fewer other patches, all of these but one.
        contamination: share of the patches that are anomalies, in [0, 1]; 0: nothing is repaired.
        official_quirks: as in the official code, see above; False: as in the paper.
        **kwargs: see :class:`OpenVocabSegmentor`, but for ``residual`` and ``feed_forward``.

    Raises:
        ValueError: a setting out of range.
    """

    acts_with: ClassVar[Mapping[str, Needs]] = dict.fromkeys(
        ("neighbours", "official_quirks"), above_zero("contamination")
    )

    def __init__(
        self,
        *,
        pre_layer: int | None = None,
        post_layer: int | None = None,
        fused_layers: Sequence[int] | None = None,
        cls_weight: float | None = None,
        beta: float = 0.4,
        neighbours: int = 30,
        contamination: float = 0.05,
        official_quirks: bool = True,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        depth = len(self.backbone.blocks)
        pre, post, first, last, weight = _settings(depth)
        self.pre_layer = pre if pre_layer is None else pre_layer
        self.post_layer = post if post_layer is None else post_layer
        for name in ("pre_layer", "post_layer"):
            check_choice(name, getattr(self, name), range(1, depth))
        self.fused_layers = range(first, last + 1) if fused_layers is None else _read_layers(fused_layers, depth)
        self.cls_weight = weight if cls_weight is None else cls_weight
        check_range("model.cls_weight", self.cls_weight, 0, math.inf)
        check_range("model.beta", beta, 0, 1)
        check_count(**{"model.neighbours": neighbours})
        check_range("model.contamination", contamination, 0, 1)
        check_choice("official_quirks", official_quirks, (True, False))
        self.beta, self.neighbours, self.contamination = beta, neighbours, contamination
        self.official_quirks = official_quirks
        self.keep = Keep(tokens={self.pre_layer, self.post_layer, *self.fused_layers})

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Both passes: X^{L-1} (B, 1 + N, D) -> (B, 1 + N, D), its class token left as it was."""
        kept, cls, deep = stream.kept_tokens, tokens[:, :1], tokens[:, 1:]
        abnormal = self.anomalies(deep, stream.grid)  # (B, N)
        deep = self.repair(deep, abnormal, stream.grid)
        middle = self.repair(kept[self.pre_layer][:, 1:], abnormal, stream.grid)
        alike = cosines(middle)  # C, (B, N, N)
        weights = attend_above_mean(alike, _SHARPNESS)  # (B, N, N)
        patches = self.pass_through(block, mix_alike(deep, alike, self.beta, "row"), cls, weights)
        if self.fused_layers:
            fused = sum((kept[number] for number in self.fused_layers), torch.zeros_like(tokens))
            patches = patches + self.pass_through(block, fused[:, 1:], fused[:, :1], weights)
        return torch.cat([cls, refine(patches, kept[self.post_layer][:, 1:], self.beta, "row")], dim=1)

    def pass_through(self, block: CLIPBlock, patches: Tensor, cls: Tensor, weights: Tensor) -> Tensor:
        """ATT(y) + rho c of patches (B, N, D), a class token (B, 1, D) and C's weights (B, N, N): (B, N, D)."""
        _, key, value = block.qkv(patches)  # each (B, heads, N, d)
        # All heads share C's weights: one product for their values side by side.
        alike = weights.to(value.dtype) @ value.transpose(1, 2).flatten(2)  # (B, N, D)
        heads = alike.unflatten(2, (block.heads, -1)).transpose(1, 2) + self_correlation(key, value)
        return block.merge_heads(heads / 2).to(cls.dtype) + self.cls_weight * cls

    def anomalies(self, patches: Tensor, grid: Grid) -> Tensor:
        """Which of the patches (B, N, D) are repaired, (B, N)."""
        others = patches.shape[1] - 1
        # Among all others, the two patches that are farthest apart would tie, and rounding would choose one of them.
        neighbours = self.neighbours if others >= self.neighbours else max(others - 1, 1)
        score = radius_ratio if self.official_quirks else local_outlier_factor
        found = largest(score(patches, neighbours), self.contamination)
        return misread_positions(found, grid) if self.official_quirks else found

    def repair(self, patches: Tensor, abnormal: Tensor, grid: Grid) -> Tensor:
        """Patches (B, N, D) with the mean of their normal neighbours in place of the abnormal (B, N) ones."""
        return replace_abnormal(patches, abnormal, grid, math.inf, grow=False)


def misread_positions(chosen: Tensor, grid: Grid) -> Tensor:
    """Patches (B, N) where the official code looks for them; where they are, in windows in which it stops."""
    source, target, inside = _misread(grid, chosen.device)
    moved = torch.zeros_like(chosen)
    moved[:, target] = chosen[:, source]
    lost = (chosen & ~inside).any(dim=1, keepdim=True)
    return torch.where(lost, chosen, moved)


@lru_cache(maxsize=8)
def _misread(grid: Grid, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Patches that the official code finds, where it finds them, and which of all (N,) these are."""
    height, width = grid
    places = torch.arange(height * width)
    rows, columns = places // height, places % height
    inside = (rows < height) & (columns < width)
    source, target = places[inside], (rows * width + columns)[inside]
    return source.to(device), target.to(device), inside.to(device)


def _settings(depth: int) -> tuple[int, int, int, int, float]:
    """Blocks and weight for a tower of so many blocks."""
    if depth in _BY_DEPTH:
        return _BY_DEPTH[depth]
    *layers, weight = _BY_DEPTH[12]
    pre, post, first, last = (min(max(round(layer * depth / 12), 1), depth - 1) for layer in layers)
    return pre, post, first, last, weight


def _read_layers(layers: Sequence[int], depth: int) -> range:
    """The blocks that are fused in a tower of so many."""
    chosen = tuple(layers) if isinstance(layers, Sequence) else (None,)
    if not chosen:
        return range(0)
    numbers = len(chosen) == 2 and all(is_number(number, whole=True) for number in chosen)
    if not numbers or not 1 <= chosen[0] <= chosen[1] < depth:
        raise ValueError(
            f"model.fused_layers must be None, () or (first, last) with 1 <= first <= last < {depth}, but got"
            f" {layers!r}."
        )
    return range(chosen[0], chosen[1] + 1)
