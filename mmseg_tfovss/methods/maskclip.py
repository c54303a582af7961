"""MaskCLIP: value features of CLIP's last block. Zhou, Loy and Dai, ECCV 2022, arXiv:2112.01071.

Official code: chongzhou96/MaskCLIP (mmseg 0.x); the form evaluated by later papers: mc-lan/ClearCLIP @ ad68a40,
model_type='MaskCLIP'. Reproduced here: the latter, which is the paper's equation under the later protocol.

Last block on x (1 + N tokens), attention = identity:
    x <- x + out_proj(v);  x <- x + FFN(x)          (``ignore_residual=True``: x <- out_proj(v))

Deviations from the official repository: CLIP's normalisation, LayerNorm epsilon and QuickGELU (it used ImageNet's, 1e-6
and exact GELU, an accident of its port); no key smoothing and no prompt denoising, which its configs switch off too.
"""

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import without_residual
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class MaskCLIP(OpenVocabSegmentor):
    """Let every token attend to itself only.

    Args:
        ignore_residual: ClearCLIP's name for ``residual=False`` and ``feed_forward=False`` together ("MaskCLIP +
            ClearCLIP" in its tables).
        **kwargs: see :class:`OpenVocabSegmentor`.
    """

    def __init__(self, *, ignore_residual: bool = False, **kwargs: object) -> None:
        super().__init__(**without_residual(ignore_residual, kwargs))
        self.ignore_residual = ignore_residual

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Values through out_proj; no token looks at another."""
        _, _, value = block.qkv(tokens)  # (B, heads, 1 + hw, d)
        return block.merge_heads(value)
