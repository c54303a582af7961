"""Where labels are compared with the truth: on a scene's patches, or on finer cells that scores are upsampled to.

DSLO's label is the argmax of the *upsampled* discrepancy (Eq. 9). Upsampling mixes neighbours, so that how much larger
a score is counts as well, and not only which one is the largest.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.upsampling import UPSAMPLINGS, Upsampling
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import VALIDATION_SIZE, Scene
from mmseg_tfovss.studies.discriminability.patch_pairs import find_patch_classes

SIDE = 16  # patches
FINE_SIDE = 64  # cells, 4 pixels each
NO_UPSAMPLING = "none"
CELLS = (NO_UPSAMPLING, *UPSAMPLINGS)


@dataclass(frozen=True)
class Cells:
    """What is labelled.

    Attributes:
        side: rows of the square grid.
        truth: class of each cell (M,).
        matrix: weights of the patches in each cell (M, N); ``None``: the cells are the patches.
    """

    side: int
    truth: Tensor
    matrix: Tensor | None = None

    def labels(self, scores: Tensor, classes: Tensor) -> Tensor:
        """The class (M,) of the largest score, of scores on patches (N, K) for classes (K,)."""
        return classes[(scores if self.matrix is None else self.matrix @ scores).argmax(dim=1)]


def make_cells(scene: Scene, upsampling: str) -> Cells:
    """The cells of a scene, for one of the names in :data:`CELLS`."""
    if upsampling == NO_UPSAMPLING:
        return Cells(SIDE, find_truth(scene, SIDE))
    # Upsampling is linear: what it makes of one patch after the other says everything.
    each = torch.eye(SIDE**2).unflatten(1, (SIDE, SIDE))
    size: Size = (FINE_SIDE, FINE_SIDE)
    small = F.interpolate(pixels(scene), size=size, mode="area")[0]
    canvas = Upsampling(upsampling).canvas(each, small, size)
    return Cells(FINE_SIDE, find_truth(scene, FINE_SIDE), canvas.dense().flatten(1).T.contiguous())


def find_truth(scene: Scene, side: int) -> Tensor:
    """The class that most pixels of each cell have, row by row: (side side,)."""
    labels = torch.from_numpy(scene.labels)
    return find_patch_classes(labels, (VALIDATION_SIZE, VALIDATION_SIZE), VALIDATION_SIZE // side, len(CLASSES))


def pixels(scene: Scene) -> Tensor:
    """Grey levels (1, 3, S, S)."""
    return torch.from_numpy(scene.image).permute(2, 0, 1)[None].float()
