"""From patches to the pixels of the original image: bilinear, or guided by its colours (JBU)."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import check_option
from mmseg_tfovss.ops.canvas import Canvas, ComputedCanvas, PatchCanvas, Size
from mmseg_tfovss.ops.jbu import check_jbu, upsampled_strips
from mmseg_tfovss.ops.windows import interpolation_matrix

UPSAMPLINGS = ("jbu", "bilinear")


@dataclass(frozen=True)
class Upsampling:
    """How maps on patches become maps on pixels.

    Attributes:
        upsampling: ``jbu`` or ``bilinear``.
        sigma_space: JBU's, in patches.
        sigma_range: JBU's, for colours in [0, 1].
        radius: JBU's, in patches.
    """

    upsampling: str = "jbu"
    sigma_space: float = 1.0
    sigma_range: float = 0.1
    radius: int = 2

    def __post_init__(self) -> None:
        check_option("model.upsampling", self.upsampling, UPSAMPLINGS)
        check_jbu(self.sigma_space, self.sigma_range, self.radius)

    def canvas(self, maps: Tensor, image: Tensor, size: Size, like: Canvas | None = None) -> Canvas:
        """Maps (C, h, w) on an image of H x W pixels.

        Args:
            maps: on patches that share the image evenly.
            image: what guides, (3, H', W') in grey levels; it is brought to the size (bilinear).
            size: H and W.
            like: ``bilinear`` goes to pixels as this canvas does, if it lies on the same patches.
        """
        if self.upsampling == "bilinear":
            if isinstance(like, PatchCanvas) and like.grid == maps.shape[-2:]:
                return PatchCanvas(maps, like.rows, like.columns, like.even)
            rows, columns = (interpolation_matrix(maps.shape[1 + i], size[i], maps.device).to(maps) for i in (0, 1))
            return PatchCanvas(maps, rows, columns, even=True)
        guide = F.interpolate(image[None] / 255, size=size, mode="bilinear", align_corners=False)[0]
        widths = {"sigma_space": self.sigma_space, "sigma_range": self.sigma_range}
        channels = slice(0, len(maps))
        return ComputedCanvas(
            size,
            len(maps),
            maps.device,
            lambda: ((r, channels, s) for r, s in upsampled_strips(maps, guide, **widths, radius=self.radius)),
        )
