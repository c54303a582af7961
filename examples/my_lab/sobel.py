"""The second network of the example: a frozen convolution that finds edges. Put your own network here."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class SobelEdges(nn.Module):
    """Strength of edges, by Sobel's two filters.

    Args:
        sharpness: factor on the grey levels' differences, > 0.
    """

    def __init__(self, sharpness: float = 0.02) -> None:
        super().__init__()
        self.sharpness = sharpness
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        self.conv = nn.Conv2d(1, 2, 3, bias=False)
        self.conv.weight.data = torch.stack([across, across.T])[:, None] / 8

    def forward(self, images: Tensor) -> Tensor:
        """Edges (B, 1, H, W) in [0, 1) of RGB images (B, 3, H, W) in grey levels 0 .. 255."""
        grey = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return torch.tanh(self.sharpness * self.conv(grey).norm(dim=1, keepdim=True))
