"""SCLIP: correlative self-attention in CLIP's last block. Wang et al., ECCV 2024, arXiv:2312.01597.

Official code: wangf3014/SCLIP @ b56bd30.

Last block on x (1 + N tokens, class token included, per head):
    A = softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))      (a sum, not a mean: rows sum to 2)
    x <- x + out_proj(A v);  x <- x + FFN(x)

Deviations: none.
"""

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class SCLIP(OpenVocabSegmentor):
    """Replace query-key attention by query-query plus key-key attention."""

    def last_block(self, block: CLIPBlock, tokens: Tensor, grid: Grid) -> Tensor:
        """Correlative self-attention, residual and feed-forward kept."""
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + hw, d)
        heads = self_correlation(query, value) + self_correlation(key, value)
        tokens = tokens + block.merge_heads(heads)
        return tokens + block.feed_forward(tokens)
