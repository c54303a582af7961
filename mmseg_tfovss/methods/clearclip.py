"""ClearCLIP: the last block without residual and feed-forward. Lan et al., ECCV 2024, arXiv:2407.12442.

Official code: mc-lan/ClearCLIP @ ad68a40 with model_type='ClearCLIP' (its shipped default is another method).

Last block on x (1 + N tokens, class token included, per head):
    x <- out_proj(softmax(q q^T / sqrt(d)) v)

and every window is padded with zeros, symmetrically, to whole patches.

Deviations: none in float32 (the official code adds up windows in float16).
"""

from mmseg_tfovss.encoders.clip import Projections
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.attention import Scores
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class ClearCLIP(OpenVocabSegmentor):
    """Keep only query-query attention of the last block.

    Args:
        pad_to: as in the official code, windows are padded to whole patches.
        **kwargs: see :class:`OpenVocabSegmentor`.
    """

    keeps_residual = False
    keeps_feed_forward = False

    def __init__(self, *, pad_to: int | str | None = "patch", **kwargs: object) -> None:
        super().__init__(pad_to=pad_to, **kwargs)  # type: ignore[arg-type]

    def scores(self, projections: Projections, stream: Stream) -> list[Scores]:
        """Self-self attention."""
        query, _, _ = projections  # each (B, heads, 1 + hw, d)
        return [Scores(query, query)]
