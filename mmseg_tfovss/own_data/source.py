"""Where a dataset's files were found, recorded so that they can be looked for again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmseg_tfovss.own_data.folder import IMAGES, MASKS, PAIRS
from mmseg_tfovss.own_data.pairs import Pairs, find_pairs
from mmseg_tfovss.own_data.report import check_complete

SOURCE = "source.json"


@dataclass(frozen=True)
class Source:
    """How ``tfovss dataset init`` found images and masks.

    Attributes:
        masks: their folder, if they were written anew; None: the link ``masks`` leads to it.
        image_suffix: what images' names end in.
        mask_suffix: what masks' names end in.
        only_pairs: whether images without a mask are left out.
        split: whether a list names the images that count.
    """

    masks: str | None
    image_suffix: str | None
    mask_suffix: str | None
    only_pairs: bool
    split: bool


def write_source(source: Source, folder: Path) -> None:
    """Record it in a dataset's folder."""
    (folder / SOURCE).write_text(json.dumps(asdict(source), indent=1) + "\n", encoding="utf-8")


def look_again(folder: Path, listed: list[tuple[str, str]]) -> tuple[Pairs, list[str]]:
    """Pair the files that are there now, as init did.

    Args:
        folder: that init has made.
        listed: the pairs that are evaluated.

    Returns:
        What was found, and images with masks that are not listed. Nothing if a list says which images count, or if
        the masks were written anew and the folder of the first ones is gone.

    Raises:
        FileNotFoundError: a folder does not exist, or holds no picture.
        ValueError: an image without a mask, or what :func:`find_pairs` refuses.
    """
    source = _read_source(folder)
    if source is None or source.split or (source.masks and not Path(source.masks).is_dir()):
        return Pairs([], [], []), []
    images, masks = (folder / IMAGES).resolve(), Path(source.masks or folder / MASKS).resolve()
    found = find_pairs(images, masks, source.image_suffix, source.mask_suffix)
    remedy = f"Add their masks, or delete {folder} and make it anew, e.g. with --only-pairs to leave them out."
    check_complete(found, images, only_pairs=source.only_pairs, remedy=remedy)
    known = {image for image, _ in listed}
    return found, [image for image, _ in found.pairs if image not in known]


def _read_source(folder: Path) -> Source | None:
    """What is recorded; None in a folder of an earlier version."""
    file = folder / SOURCE
    try:
        return Source(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file} cannot be read ({error}): delete it to check the files of {PAIRS} alone, or make {folder} anew."
        ) from error
