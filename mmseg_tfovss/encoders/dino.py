"""The frozen DINOv2: an image -> tokens. Oquab et al., TMLR 2024, arXiv:2304.07193; through transformers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.encoders.pretrained import Network, load_frozen
from mmseg_tfovss.encoders.weights import hash_tensors
from mmseg_tfovss.ops.windows import Size
from mmseg_tfovss.registry import MODELS

# ImageNet's; RGB, in grey levels.
DINO_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
DINO_STD = tuple(255 * std for std in (0.229, 0.224, 0.225))
_DINOV2 = Network("DINOv2", "model.mask_network.pretrained", "facebook/dinov2-base", "dinov2", "Dinov2Model")


@MODELS.register_module()
class DINOv2Encoder(nn.Module):
    """Frozen DINOv2.

    Args:
        pretrained: a hub id (``facebook/dinov2-small``, ``-base``, ``-large``, ``-giant``), or a folder with the
            config.json and model.safetensors of one.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder holds something else than a DINOv2.
    """

    def __init__(self, pretrained: str = _DINOV2.default) -> None:
        super().__init__()
        self.model = load_frozen(pretrained, _DINOV2)
        self.name, self.weights_hash = pretrained, hash_tensors(self.model.state_dict())
        self.patch_size: int = self.model.config.patch_size
        self.register_buffer("mean", torch.tensor(DINO_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(DINO_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, images: Tensor, grid: Size) -> Tensor:
        """Last tokens (B, 1 + hw, D), class token first, after the network's final LayerNorm.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted; the images are resized (bicubic, antialiased) to as many.
        """
        size = (grid[0] * self.patch_size, grid[1] * self.patch_size)
        resized = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        return self.model(pixel_values=(resized - self.mean) / self.std).last_hidden_state
