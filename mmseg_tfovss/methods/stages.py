"""What passes between the five stages of a method: look, encode, assemble, refine, label.

    Scene      one image, and what ``look`` has seen of it as a whole
    Windows    a batch of windows, each with the scene that it was cut from   (``encode`` makes named maps of them)
    Assembly   a scene, and a canvas for each map, of all its windows
    Refined    what is labelled: logits on the image's pixels, and what else the labels depend on

Data travels one way, under names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.windows import Place

LOGITS = "logits"  # the map that every method gives, by now or after refinement
Seen = Tensor | Sequence[Any]
"""What is seen of B images, one after the other: (B, ...), or a list."""
Maps = dict[str, Tensor]
"""By name, (n, C, h, w): maps of C channels on the patches of n windows."""


@dataclass(frozen=True)
class Scene:
    """One image.

    Attributes:
        image: the network's input, normalised RGB (3, H', W').
        size: H and W of the original image, on whose pixels labels are wanted.
        path: of the image; empty if it has none.
        truth: labels + 1 (H', W') of the network's input, for oracles only; None for all honest methods.
        seen: what :meth:`~mmseg_tfovss.methods.base.OpenVocabSegmentor.look` has found, by name.
        original: the image before resizing, (H, W, 3) uint8 RGB, for methods whose ``reads_original`` asks for it; None
            where only the network's input is known.
    """

    image: Tensor
    size: Size
    path: str = ""
    truth: Tensor | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    original: np.ndarray | None = None

    @property
    def resized(self) -> Size:
        """H' and W'."""
        return self.image.shape[-2], self.image.shape[-1]


@dataclass(frozen=True)
class Windows:
    """Windows of one size, of any images.

    Attributes:
        images: (n, 3, h, w).
        scenes: the n images that they were cut from.
        truth: (n, h, w), of oracles' scenes; 0 where a window was padded.
        places: where they lie in these; empty: all begin with their image's first pixel.
    """

    images: Tensor
    scenes: Sequence[Scene]
    truth: Tensor | None = None
    places: Sequence[Place] = ()

    def seen(self, name: str) -> Tensor:
        """What was seen of the windows' images under a name, (n, ...)."""
        if any(name not in scene.seen for scene in self.scenes):
            raise ValueError(f"look has not seen {name!r}, but {sorted(self.scenes[0].seen)}.")
        return torch.stack([scene.seen[name] for scene in self.scenes])

    def cut(self, maps: Sequence[Tensor], beyond: float = 0) -> Tensor:
        """What lies under the windows: of maps (C, H', W') of their resized images, (n, C, h, w).

        Args:
            maps: one for each window.
            beyond: the value where a window was padded.
        """
        size = (self.images.shape[-2], self.images.shape[-1])
        places = self.places or [Place()] * len(self.scenes)
        return torch.stack([place.cut(values, size, beyond) for values, place in zip(maps, places, strict=True)])


@dataclass(frozen=True)
class Assembly:
    """One image, after its windows were put together.

    Attributes:
        scene: the image.
        canvases: one for each map, by the map's name.
    """

    scene: Scene
    canvases: Mapping[str, Canvas]


@dataclass(frozen=True)
class Refined:
    """What is labelled.

    Attributes:
        logits: of K queries; the largest wins. Of the C classes, where a method says ``of_classes``.
        queries: (K,) which of the vocabulary's queries they are, ascending; the others are rejected. None: all Q.
        confidence: logits of all queries whose class probability ``prob_threshold`` looks at, where they are others
            than ``logits``.
        regions: (H, W) region ids from 0 on, each of which takes the class that most of its pixels have; pixels with -1
            keep theirs.
    """

    logits: Canvas
    queries: Tensor | None = None
    confidence: Canvas | None = None
    regions: Tensor | None = None
