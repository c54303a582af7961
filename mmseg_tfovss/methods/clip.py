"""CLIP as it is: the dense baseline of every paper. Radford et al., ICML 2021, arXiv:2103.00020.

Official code: openai/CLIP (the network); the dense readout is the one of SCLIP (csa=False) and ClearCLIP (vanilla).

Last block on x (1 + N tokens):  x <- x + out_proj(softmax(q k^T / sqrt(d)) v);  x <- x + FFN(x),
then ln_post and the projection on every patch token.

Deviations: none. ``ignore_residual=True`` is ClearCLIP's *default config* (attention output only), which is not what
the papers call CLIP: it gives about 9 mIoU on ADE20K in place of 2 (ClearCLIP issue 12).
"""

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import without_residual
from mmseg_tfovss.registry import MODELS


@MODELS.register_module(name="CLIP")
class VanillaCLIP(OpenVocabSegmentor):
    """Classify every patch token of the unmodified last block.

    Args:
        ignore_residual: ClearCLIP's name for ``residual=False`` and ``feed_forward=False`` together.
        **kwargs: see :class:`OpenVocabSegmentor`.
    """

    def __init__(self, *, ignore_residual: bool = False, **kwargs: object) -> None:
        super().__init__(**without_residual(ignore_residual, kwargs))
        self.ignore_residual = ignore_residual
