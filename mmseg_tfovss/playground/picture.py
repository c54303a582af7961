"""The image that somebody uploads, and the scenes that the page offers instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.pictures.grid import shrink
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import draw_validation

NUM_SCENES = 4
_SHRUNK = (
    "The image of {} x {} pixels was shrunk to {} x {}, and its masks have that size. Start the page with a larger"
    " --max-side, or use tfovss demo, for masks of the full size."
)


@contextmanager
def fitted_upload(path: Path, longest: int, folder: Path) -> Iterator[tuple[Path, str | None]]:
    """An image whose long side is within a bound: the file itself, or a smaller copy of it.

    Args:
        path: the uploaded file.
        longest: side in pixels.
        folder: where a copy may lie, as PNG, inside the block.

    Yields:
        The file to segment, and what its owner should know.

    Raises:
        ValueError: a file that is no image, or a damaged one.
    """
    pixels = read_image(path)
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        yield path, None
        return
    smaller = shrink(pixels[..., ::-1], longest)
    copy = folder / f"{path.stem}.png"
    Image.fromarray(smaller).save(copy)
    try:
        yield copy, _SHRUNK.format(width, height, smaller.shape[1], smaller.shape[0])
    finally:
        copy.unlink()


def draw_scenes(folder: Path) -> dict[str, Path]:
    """Write the first scenes of the pocket benchmark, which need no data folder.

    Args:
        folder: exists.

    Returns:
        Files (256 x 256, PNG) by what can be seen on them: "apple, fish on brick".
    """
    scenes = {}
    for number, scene in enumerate(islice(draw_validation(), NUM_SCENES)):
        path = folder / f"scene_{number}.png"
        Image.fromarray(np.asarray(scene.image)).save(path)
        things, grounds = (", ".join(CLASSES[index] for index in seen) for seen in (scene.things, scene.stuff))
        scenes[f"{things} on {grounds}"] = path
    return scenes
