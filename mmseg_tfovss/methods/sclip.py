"""SCLIP: correlative self-attention in CLIP's last block. Wang et al., ECCV 2024, arXiv:2312.01597.

Official code: wangf3014/SCLIP @ b56bd30.

Last block on x (1 + N tokens, class token included, per head):
    A = softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))      (a sum, not a mean: rows sum to 2)
    x <- x + out_proj(A v);  x <- x + FFN(x)

Deviations: none.
"""

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class SCLIP(OpenVocabSegmentor):
    """Replace query-key attention by query-query plus key-key attention."""

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Correlative self-attention."""
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + hw, d)
        return block.merge_heads(self_correlation(query, value) + self_correlation(key, value))
