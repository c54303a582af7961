"""Files of the pocket benchmark that somebody names before they have been drawn."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mmseg_tfovss.own_configs import configs_folder
from mmseg_tfovss.vocabulary.features import cache_folder

_PACKAGE = Path(__file__).parents[1]
_FOLDER = ("data", "pocket")
_FILE = re.compile(r"(?:images|annotations_all|annotations_thing)/(val|train)/(\d{4})\.png")


def scenes_folder() -> Path:
    """Where the scenes are kept: in the repository, or, for an installed package, in the user's cache."""
    configs = configs_folder()
    if configs is None or configs.parent == _PACKAGE:
        return cache_folder() / "pocket"
    return configs.parent.joinpath(*_FOLDER)


def ensure_pocket_file(path: Path) -> None:
    """Draw the pocket benchmark if this is one of its files and not there yet; a line on stderr says so.

    Args:
        path: any file; only what lies in a folder ``data/pocket`` under a name that the benchmark has is looked at.

    Raises:
        ValueError: the folder holds something else than the benchmark, or only a part of it.
        OSError: the folder cannot be written.
    """
    if path.exists():
        return
    place = Path(os.path.abspath(path))  # noqa: PTH100 - without following links, which would change names
    root = next((parent for parent in place.parents if parent.parts[-2:] == _FOLDER), None)
    match = _FILE.fullmatch(place.relative_to(root).as_posix()) if root else None
    if root is None or match is None:
        return
    count, draw = _split(match[1])
    if int(match[2]) < count:
        sys.stderr.write(f"Drawing the scenes of the pocket benchmark into {root}, once; this takes some seconds.\n")
        draw(root)


def _split(name: str) -> tuple[int, Callable[[Path], None]]:
    """Number of scenes of a split, and what draws them."""
    if name == "val":
        from mmseg_tfovss.pocket.scenes import NUM_VALIDATION, ensure_scenes

        return NUM_VALIDATION, ensure_scenes
    from mmseg_tfovss.pocket.training_split import NUM_TRAINING, ensure_training_scenes

    return NUM_TRAINING, ensure_training_scenes
