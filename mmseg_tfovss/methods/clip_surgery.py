"""CLIP Surgery: value-value attention beside CLIP's path, and no redundant features. Li et al., arXiv:2304.05653.

Journal: "A closer look at the explainability of Contrastive language-image pre-training", Pattern Recognition 2025.
Official code: xmed-lab/CLIP_Surgery @ d4696d4 (ViT); it has no segmentation.

Architecture surgery, in each of the last 6 blocks, on CLIP's path x (1 + N tokens, d per head):
    s <- s + out_proj(softmax(v v^T / sqrt(d)) v)           (no feed-forward; s begins as x)
    x <- x + MSA(LN1(x));  x <- x + FFN(LN2(x))             (CLIP's own; s only reads it)
f = unit features of s behind ln_post and the projection; the class token's are those of x.
Feature surgery, with C texts t_c (the queries):
    p = softmax_c(2 <f_cls, t_c>),   w_c = p_c / mean(p),   E_ic = w_c f_i * t_c        (elementwise)
    S_ic = sum over channels of (E_ic - mean_c' E_ic') = w_c <f_i, t_c> - mean_c' w_c' <f_i, t_c'>
so no N x C x D tensor is needed, and what is subtracted leaves the largest the largest: the weights change labels.
For words without others beside them, t_c less the empty text's feature takes the place of all this:
``decode_head.subtracted_text=""``.

Deviations: none in the numbers. The official code keeps the interpolated table of positions for the next image (here
all are interpolated from the trained one), and takes one image, square grids only. Its argument t of the 2 is not read.
[open] How maps become segments: the authors say argmax (issue 25); thresholds are not published. The demo's maps for
the eye are stretched to [0, 1] over the patches (``normalize``).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.dual_path import DualPath, read_dual_blocks
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import LOGITS, Maps, Windows
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.registry import MODELS

SHARPNESS = 2.0  # of p


@MODELS.register_module()
class CLIPSurgery(DualPath):
    """Value-value attention beside CLIP's path, and the redundant part of all texts' features taken off.

    Args:
        dual_blocks: blocks with a second path; ``None``: 6, or all of a smaller tower.
        feature_surgery: weigh the texts and subtract what they share, unless ``decode_head.subtracted_text`` says what
            is subtracted; False: cosines as they are.
        normalize: stretch every query's map to [0, 1] over the patches of a window, so that ``patch_logits`` are
            stretched, too.
        **kwargs: see :class:`OpenVocabSegmentor`; ``residual`` and ``feed_forward`` do not act.

    Raises:
        ValueError: a setting out of range, or one that would not act.
    """

    def __init__(
        self,
        *,
        dual_blocks: int | None = None,
        feature_surgery: bool = True,
        normalize: bool = False,
        **kwargs: object,
    ) -> None:
        check_choice("feature_surgery", feature_surgery, (True, False))
        check_choice("normalize", normalize, (True, False))
        super().__init__(**kwargs)  # type: ignore[arg-type]
        if self.decode_head.subtracted_text is not None and not feature_surgery:
            raise ValueError(
                "model.feature_surgery=False and model.decode_head.subtracted_text contradict each other: leave one"
                " out."
            )
        self.dual_blocks = read_dual_blocks("dual_blocks", dual_blocks, len(self.backbone.blocks), usual=6)
        self.feature_surgery, self.normalize = feature_surgery, normalize
        self.check_words(self.decode_head)

    def check_words(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """Refuse a single word."""
        if self.feature_surgery and head.subtracted_text is None and head.out_channels == 1:
            raise ValueError(
                "CLIP Surgery subtracts what all words share, which leaves nothing of a single one: set"
                ' model.decode_head.subtracted_text="", or give a second word.'
            )

    def self_self(self, block: CLIPBlock, tokens: Tensor, projections: Projections) -> Tensor:
        """Value-value attention."""
        _, _, value = projections  # (B, heads, 1 + N, d)
        return block.merge_heads(self_correlation(value, value))

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Patches of the second path behind the class token of CLIP's own."""
        query, key, value = block.qkv(tokens)
        second = self.advance(block, tokens, (query, key, value), stream)
        cls = tokens[:, :1] + block.attend(query[:, :, :1], key, value)  # (B, 1, C)
        cls = cls + block.feed_forward(cls)
        return torch.cat([cls, second[:, 1:]], dim=1)

    def encode(self, windows: Windows) -> Maps:
        """Similarities S of the Q queries, of windows (n, 3, H, W)."""
        stream = self.run_blocks(windows.images)
        tokens = F.normalize(self.backbone.project(stream.tokens), dim=-1)  # (n, 1 + N, D)
        similarity = tokens @ self.decode_head.text_features.to(tokens.dtype).T  # (n, 1 + N, Q)
        if self.feature_surgery and self.decode_head.subtracted_text is None:
            similarity = subtract_redundant(similarity)
        maps = similarity[:, 1:]
        if self.normalize:
            low, high = maps.aminmax(dim=1, keepdim=True)
            maps = (maps - low) / (high - low).where(high > low, 1)
        return {LOGITS: maps.transpose(1, 2).unflatten(2, stream.grid)}


def subtract_redundant(cosines: Tensor) -> Tensor:
    """Feature surgery in closed form.

    Args:
        cosines: <f_i, t_c>, (B, 1 + N, C), class token first.

    Returns:
        S, the same shape.
    """
    probability = (SHARPNESS * cosines[:, :1]).softmax(dim=-1)  # (B, 1, C)
    weighted = cosines * probability / probability.mean(dim=-1, keepdim=True)
    return weighted - weighted.mean(dim=-1, keepdim=True)
