"""GEM: a path of self-self attention beside CLIP's last blocks. Bousselham et al., CVPR 2024, arXiv:2312.00878.

Official code: WalBouss/GEM @ 5fa677c; as mc-lan/ClearCLIP @ ad68a40 runs it (model_type='GEM'): in its own windows,
with 80 templates, padded to patches.

In each of the last D - 1 blocks (D = 7), on CLIP's path x (1 + N tokens of width C, d per head), z = LN1(x):
    1 / tau = mean over tokens of |z| / sqrt(d)                                           (of each image)
    for a in v, k, q:   a <- softmax(cos(a, a) / tau) a / |a|,  K times (K = 1);   A_a = softmax(cos(a, a) / tau)
    g <- g + out_proj((A_v v + A_k v + A_q v) / 3)          (no feed-forward; g begins as x)
    x <- x + MSA(z);  x <- x + FFN(LN2(x))                  (CLIP's own; g only reads it)
Then ln_post and the projection of g. ``normalize``: every query's map is stretched to [0, 1] over the image.

Deviations: none in the numbers. The README's line for the background selects with the probabilities of all classes; its
comment says what is meant, the largest one. A query whose map is the same everywhere becomes 0, not NaN.
[open] Thresholds are not published. After ``normalize`` a softmax without scale cannot reach the README's 0.85 with
more than two classes: on sets with background the configs take the 100 cos of its batched_forward.
"""

import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.methods.dual_path import DualPath, read_dual_blocks
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import LOGITS, Maps, Scene
from mmseg_tfovss.ops.attention import cosine_correlation
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class GEM(DualPath):
    """Self-self attention of values, keys and queries, beside CLIP's path. Names of options are the official ones.

    Args:
        gem_depth: D, one more than the blocks with a second path; ``None``: 7, or what a smaller tower allows.
        ss_attn_iter: K, at least 0.
        ss_attn_temp: 1 / tau, > 0; ``None``: by the tokens' norm, as above.
        ignore_residual: leave the sum over blocks out, g <- out_proj(..) (ClearCLIP's code).
        normalize: stretch every query's map to [0, 1] over the image as the network sees it. ``patch_logits`` are of
            one window, and stay cosines.
        **kwargs: see :class:`OpenVocabSegmentor`; ``residual`` and ``feed_forward`` do not act.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(
        self,
        *,
        gem_depth: int | None = None,
        ss_attn_iter: int = 1,
        ss_attn_temp: float | None = None,
        ignore_residual: bool = False,
        normalize: bool = False,
        **kwargs: object,
    ) -> None:
        if not is_number(ss_attn_iter, whole=True) or ss_attn_iter < 0:
            raise ValueError(f"model.ss_attn_iter must be a whole number, at least 0, but got {ss_attn_iter!r}.")
        if ss_attn_temp is not None and not (is_number(ss_attn_temp) and ss_attn_temp > 0):
            raise ValueError(f"model.ss_attn_temp must be positive or None, but got {ss_attn_temp!r}.")
        check_choice("ignore_residual", ignore_residual, (True, False))
        if ignore_residual and gem_depth is not None:
            raise ValueError(
                "model.gem_depth has no effect with model.ignore_residual=True, for only the last block counts: set"
                " model.gem_depth=None."
            )
        check_choice("normalize", normalize, (True, False))
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.dual_blocks = read_dual_blocks("gem_depth", gem_depth, len(self.backbone.blocks), usual=6, beside=1)
        self.chained = not ignore_residual
        self.ss_attn_iter, self.ss_attn_temp, self.normalize = ss_attn_iter, ss_attn_temp, normalize

    def self_self(self, block: CLIPBlock, tokens: Tensor, projections: Projections) -> Tensor:
        """Ensemble of value-value, key-key and query-query attention."""
        query, key, value = projections  # each (B, heads, 1 + N, d)
        inverse = block.ln_1(tokens).norm(dim=-1).mean(dim=-1) * value.shape[-1] ** -0.5  # (B,)
        if self.ss_attn_temp is not None:
            inverse = inverse.new_full(inverse.shape, self.ss_attn_temp)
        total = value.new_zeros(value.shape)
        for a in (value, key, query):
            for _ in range(self.ss_attn_iter):
                a = cosine_correlation(a, F.normalize(a, dim=-1), inverse)
            total += cosine_correlation(a, value, inverse)
        return block.merge_heads(total / 3)

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """One canvas; with ``normalize`` of values from 0 to 1 on the resized image."""
        if self.normalize:
            seen = self.window_plan(scene.resized).stitch(maps[LOGITS], scene.resized, direct=False)
            low, high = (extreme.to(maps[LOGITS].dtype)[:, None, None] for extreme in seen.extremes())
            span = (high - low).where(high > low, 1)
            maps = {**maps, LOGITS: (maps[LOGITS] - low) / span}  # stitching averages, so that it may come first
        return super().assemble(scene, maps)
