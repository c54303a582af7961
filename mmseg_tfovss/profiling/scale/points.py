"""What is measured: image sizes, vocabularies and batches, each varied while the other two stay small."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

AXES = ("megapixels", "words", "batch")
SIZES, WORDS, BATCHES = (0.3, 1, 2, 4, 8), (20, 100, 1000, 10_000), (1, 2, 4, 8, 16)
_STEP = 16  # sides are multiples of it


@dataclass(frozen=True)
class Point:
    """One setting to measure.

    Attributes:
        megapixels: of each image, which is 4:3.
        words: classes of the vocabulary, one query each.
        batch: images that go through the network together.
    """

    megapixels: float
    words: int
    batch: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels; 0.3 megapixels are 480 x 640."""
        pixels = self.megapixels * 1e6
        height, width = (math.sqrt(pixels * ratio) for ratio in (3 / 4, 4 / 3))
        return max(1, round(height / _STEP)) * _STEP, max(1, round(width / _STEP)) * _STEP


@dataclass(frozen=True)
class Sweeps:
    """The points along each axis; the smallest value of an axis is what the other axes are measured at.

    Raises:
        ValueError: no values, or values that are not positive.
    """

    megapixels: Sequence[float] = SIZES
    words: Sequence[int] = WORDS
    batch: Sequence[int] = BATCHES

    def __post_init__(self) -> None:
        for option, axis in zip(("--sizes", "--words", "--batches"), AXES, strict=True):
            values = getattr(self, axis)
            if not values or not all(0 < value < math.inf for value in values):
                raise ValueError(f"{option} must be numbers above 0, but got {' '.join(map(str, values))}.")
            object.__setattr__(self, axis, tuple(sorted(set(values))))

    def along(self, axis: str) -> list[Point]:
        """The points of one of :data:`AXES`, in ascending order."""
        smallest = {name: getattr(self, name)[0] for name in AXES}
        return [Point(**{**smallest, axis: value}) for value in getattr(self, axis)]

    def __iter__(self) -> Iterator[Point]:
        """All points, each once."""
        return iter(dict.fromkeys(point for axis in AXES for point in self.along(axis)))
