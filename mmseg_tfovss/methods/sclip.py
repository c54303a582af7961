"""SCLIP: correlative self-attention in CLIP's last block. Wang et al., ECCV 2024, arXiv:2312.01597.

Official code: wangf3014/SCLIP @ b56bd30.

Last block on x (1 + N tokens, class token included, per head):
    A = softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d))      (a sum, not a mean: rows sum to 2)
    x <- x + out_proj(A v);  x <- x + FFN(x)

Deviations: none.
"""

from mmseg_tfovss.encoders.clip import Projections
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.attention import Scores
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class SCLIP(OpenVocabSegmentor):
    """Replace query-key attention by query-query plus key-key attention."""

    def scores(self, projections: Projections, stream: Stream) -> list[Scores]:
        """Correlative self-attention: the sum of two softmaxes."""
        query, key, _ = projections  # each (B, heads, 1 + hw, d)
        return [Scores(query, query), Scores(key, key)]
