"""The pocket benchmark's training split: scenes like the validation split's, from the seed that the CLIP trained with.

The pocket CLIP read scenes 0 .. 39 999 of seed 0; these are the ones behind them, drawn at the validation split's size
and scale. They are made on first use, for what is tuned with labels and must not look at the validation split.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mmseg_tfovss.pocket.scenes import (
    VALIDATION_RADII,
    VALIDATION_SIZE,
    VALIDATION_UNIT,
    Dice,
    Scene,
    draw_scene,
    ensure_scenes,
    to_thing_labels,
)

NUM_TRAINING = 500
TRAINING_SEED, FIRST_SCENE = 0, 40_000
_FOLDERS = ("annotations_all", "annotations_thing", "images")  # the last one in place says that all are


def draw_training() -> Iterator[Scene]:
    """Draw the training split, scene by scene."""
    for index in range(NUM_TRAINING):
        dice = Dice(TRAINING_SEED, FIRST_SCENE + index)
        yield draw_scene(dice, VALIDATION_SIZE, VALIDATION_UNIT, dice.between(2, 5), VALIDATION_RADII)


def ensure_training_scenes(root: Path) -> None:
    """Write the folders ``train`` beside ``val`` under ``root``, unless they are there.

    Each folder appears complete or not at all, also when several processes start at once.

    Args:
        root: of the benchmark.

    Raises:
        ValueError: what lies under ``root`` is not the pocket benchmark.
    """
    ensure_scenes(root)
    if (root / _FOLDERS[-1] / "train").is_dir():
        return
    scratch = Path(tempfile.mkdtemp(prefix=".train-", dir=root))
    try:
        for name in _FOLDERS:
            (scratch / name).mkdir()
        for index, scene in enumerate(draw_training()):
            pictures = (scene.labels, to_thing_labels(scene.labels), scene.image)
            for name, pixels in zip(_FOLDERS, pictures, strict=True):
                Image.fromarray(pixels).save(scratch / name / f"{index:04d}.png", compress_level=1)
        for name in _FOLDERS:
            _move(scratch / name, root / name / "train")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    """Rename; losing the race against another process that made the same folder is success."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
