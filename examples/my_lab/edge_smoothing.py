"""EdgeSmoothing: SCLIP's attention; full-size logits spread over the image, but not across edges. An example.

Official code: none; this is no published method. Deviations: none.

Edges, once per image:          e = SobelEdges(image), in [0, 1)
Last block:                     softmax(q q^T / sqrt(d)) + softmax(k k^T / sqrt(d)), residual and feed-forward kept
Refinement, on H x W pixels:    L(x) <- sum over the 5 x 5 pixels y around x of (1 - e(y)) L(y) / sum of (1 - e(y))
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.stages import LOGITS, Refined, Scene
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.ops.canvas import Canvas, PixelCanvas
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class EdgeSmoothing(OpenVocabSegmentor):
    """SCLIP's logits, smoothed within edges.

    Args:
        edges: config of the network that finds them, e.g. ``dict(type='SobelEdges')``.
        size: side of the window of the smoothing, odd.
        **kwargs: see :class:`OpenVocabSegmentor`.
    """

    def __init__(self, *, edges: dict[str, Any], size: int = 5, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        if not isinstance(size, int) or size < 1 or size % 2 == 0:
            raise ValueError(f"model.size must be an odd number of pixels, but got {size!r}.")
        self.size = size
        self.companion("edges", edges)  # self.edges, from now on in every result, count and hash

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """As SCLIP."""
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + hw, d)
        return block.merge_heads(self_correlation(query, value) + self_correlation(key, value))

    def look(self, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Edges (B, 1, H', W') of the images."""
        return {"edges": self.edges(self.grey_levels(torch.stack([scene.image for scene in scenes])))}

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """Average the logits (Q, H, W) of pixels that are no edges."""
        logits = canvases[LOGITS].dense()[:, None]  # (Q, 1, H, W)
        weight = 1 - F.interpolate(scene.seen["edges"][None], size=scene.size, mode="bilinear", align_corners=False)
        options = {"kernel_size": self.size, "stride": 1, "padding": self.size // 2, "count_include_pad": False}
        smoothed = F.avg_pool2d(weight * logits, **options) / F.avg_pool2d(weight, **options)
        return Refined(PixelCanvas(smoothed[:, 0]))
