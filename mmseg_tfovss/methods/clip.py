"""CLIP as it is: the dense baseline of every paper. Radford et al., ICML 2021, arXiv:2103.00020.

Official code: openai/CLIP (the network); the dense readout is the one of SCLIP (csa=False) and ClearCLIP (vanilla).

Last block on x (1 + N tokens):  x <- x + out_proj(softmax(q k^T / sqrt(d)) v);  x <- x + FFN(x),
then ln_post and the projection on every patch token.

Deviations: none. ``ignore_residual=True`` is ClearCLIP's *default config* (attention output only), which is not what
the papers call CLIP: it gives about 9 mIoU on ADE20K in place of 2 (ClearCLIP issue 12).
"""

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import MODELS


@MODELS.register_module(name="CLIP")
class VanillaCLIP(OpenVocabSegmentor):
    """Classify every patch token of the unmodified last block.

    Args:
        ignore_residual: keep only the attention output of the last block (no residual, no feed-forward).
        **kwargs: see :class:`OpenVocabSegmentor`.
    """

    def __init__(self, *, ignore_residual: bool = False, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.ignore_residual = ignore_residual

    def last_block(self, block: CLIPBlock, tokens: Tensor, grid: Grid) -> Tensor:
        """The block as trained, or its attention alone."""
        return block.attention(tokens) if self.ignore_residual else block(tokens)
