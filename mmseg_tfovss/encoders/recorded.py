"""What another program has found in images, read from files: one for an image, or a folder with one for each."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

_KEY = "instance_mask"  # of an archive
_SUFFIXES = (".npz", ".png")  # of instance maps
_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's, of one channel of whole numbers


def check_recorded(place: str, source: str | Path, suffixes: Sequence[str] = _SUFFIXES) -> Path:
    """The file or folder that an option names.

    Args:
        place: of the option, ``model.masks``.
        source: what it says.
        suffixes: of files of the kind.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is no path, or a file of another kind.
    """
    if not isinstance(source, str | Path) or not str(source):
        raise ValueError(f"{place} must be a file or a folder with a file for each image, but got {source!r}.")
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{place}: there is no file or folder {path}.")
    if path.is_file() and path.suffix.lower() not in suffixes:
        raise ValueError(f"{place} must be a folder, or a file that ends in {' or '.join(suffixes)}, but got {path}.")
    return path


def recorded_file(place: str, source: Path, image: str, suffixes: Sequence[str] = _SUFFIXES) -> Path:
    """The file that belongs to an image: the source itself, or the one in it with the image's stem.

    Args:
        place: of the option, for messages.
        source: of :func:`check_recorded`.
        image: path of the image.
        suffixes: of files of the kind.

    Raises:
        FileNotFoundError: the folder has none.
        ValueError: the image has no path, or the folder has two.
    """
    if not source.is_dir():
        return source
    if not image:
        raise ValueError(f"{place}={source} has a file for each image, but this image has no path: name one file.")
    stem = Path(image).stem
    found = [path for suffix in suffixes if (path := source / f"{stem}{suffix}").is_file()]
    if not found:
        names = " or ".join(f"{stem}{suffix}" for suffix in suffixes)
        raise FileNotFoundError(f"{place}: the folder {source} has no file {names} for the image {image}.")
    if len(found) > 1:
        raise ValueError(f"{place}: the folder {source} has {found[0].name} and {found[1].name}: remove one of them.")
    return found[0]


def read_instances(path: Path) -> np.ndarray:
    """A map of instances: at each pixel the id of the one that covers it, 0 where none does.

    Args:
        path: a PNG of one channel, or an .npz with the key ``instance_mask``, of H x W whole numbers.

    Returns:
        (H, W) int64.

    Raises:
        ValueError: it is damaged, or something else.
    """
    try:
        values = _from_archive(path) if path.suffix.lower() == ".npz" else _from_picture(path)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, UnidentifiedImageError) as error:
        raise ValueError(f"The instance map {path} cannot be read: it is damaged, or no such file ({error}).") from None
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim != 2 or not values.size or values.dtype.kind not in "bui":
        raise ValueError(
            f"The instance map {path} must hold whole numbers (H, W), but holds {values.dtype} of the shape"
            f" {tuple(values.shape)}."
        )
    found = values.astype(np.int64)
    if found.min() < 0:
        raise ValueError(f"The instance map {path} holds the id {found.min()}: ids are 0 or more.")
    return found


def _from_archive(path: Path) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("no archive")
    with np.load(path, allow_pickle=False) as archive:
        if _KEY not in archive:
            raise ValueError(f"The instance map {path} has no array {_KEY!r}, but {', '.join(archive) or 'none'}.")
        try:
            return archive[_KEY]
        except ValueError as error:  # pickled objects, or a damaged header
            raise EOFError(str(error)) from None


def _from_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        if picture.mode not in _MODES:
            raise ValueError(
                f"The instance map {path} has the colour mode {picture.mode}: expected one channel of ids (8-bit,"
                " 16-bit or palette)."
            )
        return np.asarray(picture)
