"""ProxyCLIP: attend by another network's features. Lan et al., ECCV 2024, arXiv:2408.04883.

Official code: mc-lan/ProxyCLIP @ e7b767f (DINO ViT-B/8, vfm_model='dino').

Features of a frozen vision foundation model (VFM), on its own grid:   E (D, h', w'),   N' = h' w'
Proxy attention, one for all heads:   s_ij = cos(E_i, E_j),   A = softmax(gamma (s - beta mean s) where it is >= 0)
Last block, on the values of the patches (no class token), brought to the VFM's grid (bilinear):
    x <- out_proj(A v)                                           (no residual, no feed-forward)
Every window is padded with zeros, symmetrically, to a multiple of 56 pixels: whole patches of 8 and of 14.

DINO, DINOv2 with registers and MAE give the tokens after their last LayerNorm; SAM what its image encoder's neck gives.

Quirk of the official code, kept: the VFM's image is computed with CLIP's unrounded mean and std from one that was
normalised with rounded ones, which moves pairs at the threshold (``grey_levels``).
Deviations: none in float32 for square windows with DINO. The official code counts the VFM's columns as its rows and
reshapes values width first, which is right for squares only; here all grids are right. Where all patches are so alike
that none reaches beta times their mean, the official logits are not numbers; here such a patch attends to itself.
SAM sees windows as its own preprocessing makes them, in 8 bits; the official code stretches them as they are.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.checks import check_positive, check_range
from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.proxy import proxy_attention
from mmseg_tfovss.ops.tokens import values_on_grid
from mmseg_tfovss.registry import MODELS

FEATURES = "features of the VFM"  # given to the last block: E


@MODELS.register_module()
class ProxyCLIP(OpenVocabSegmentor):
    """Let patches attend to those that another network finds alike.

    Args:
        vfm: config of the network that gives features, ``dict(type='DINO')``, ``DINOv2Registers``, ``SAM``, ``MAE``.
        beta: how many times the mean similarity a pair of patches must reach, >= 0.
        gamma: inverse temperature of the attention, > 0.
        pad_to: as in the official code, windows are padded to multiples of 56 pixels.
        **kwargs: see :class:`OpenVocabSegmentor`, but for ``residual`` and ``feed_forward``.

    Raises:
        ValueError: a setting out of range, or a network without features.
        FileNotFoundError: the network's weights are not on this machine.
    """

    def __init__(
        self,
        *,
        vfm: Mapping[str, Any],
        beta: float = 1.2,
        gamma: float = 3.0,
        pad_to: int | str | None = 56,
        **kwargs: object,
    ) -> None:
        check_range("model.beta", beta, 0, math.inf)
        check_positive(**{"model.gamma": gamma})
        super().__init__(pad_to=pad_to, **kwargs)  # type: ignore[arg-type]
        self.beta, self.gamma = beta, gamma
        self.companion("vfm", vfm, gives="own_patches")

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Map windows (B, 3, H, W) to features in text space on the VFM's grid, (B, D, h', w')."""
        features = self.vfm_features(inputs)  # E (B, D, h', w')
        stream = self.run_blocks(inputs, {FEATURES: features})
        return self.backbone.to_text_space(stream.tokens, (features.shape[-2], features.shape[-1]))

    def vfm_features(self, images: Tensor) -> Tensor:
        """Features E (B, D, h', w') of windows (B, 3, H, W), on the VFM's own grid."""
        return self.vfm.features(*self.vfm.own_patches(self.grey_levels(images, unrounded=True)))

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Proxy attention: (B, 1 + h w, C) -> (B, 1 + h' w', C), the class token left as it was."""
        features = stream.given[FEATURES]
        grid = (features.shape[-2], features.shape[-1])
        values = values_on_grid(block.values(tokens), stream.grid, grid)  # v (B, h' w', C)
        attention = proxy_attention(features, self.beta, self.gamma)  # A (B, N', N')
        attended = block.out_proj(attention.to(values.dtype) @ values)
        return torch.cat([tokens[:, :1], attended.to(tokens.dtype)], dim=1)
