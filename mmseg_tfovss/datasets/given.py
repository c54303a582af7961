"""Images that a program gives: files, Pillow's pictures and arrays, as one kind of array."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mmseg_tfovss.datasets.files import MOST_PIXELS, read_image

Picture = str | os.PathLike[str] | Image.Image | np.ndarray
_DEEP = ("I", "F")  # and I;16: more than 8 bits, or fractions


def pixels_of(image: object, name: str = "image") -> np.ndarray:
    """The pixels of an image, as :func:`mmseg_tfovss.datasets.files.read_image` gives those of a file.

    Args:
        image: a path; a Pillow picture, turned as its EXIF orientation says, its alpha channel dropped; or an array
            (H, W, 3) uint8 RGB.
        name: what it is, for messages.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: no such file.
        ValueError: something else, or an image that cannot be used.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image).expanduser())
    if isinstance(image, Image.Image):
        image = _rgb(image, name)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"The {name} must be a path, a PIL image or an array (H, W, 3) of uint8 in RGB order, but got"
            f" {type(image).__name__}."
        )
    _check_array(image, name)
    return np.ascontiguousarray(image[..., ::-1])


def _rgb(picture: Image.Image, name: str) -> np.ndarray:
    if picture.mode.startswith(_DEEP):
        raise ValueError(
            f"The {name} has the mode {picture.mode} of PIL, more than 8 bits per channel: convert it to 8 bits first."
        )
    try:
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except OSError as error:  # Pillow decodes a file only now
        raise ValueError(f"The {name} is truncated or damaged ({error}): replace it.") from error


def _check_array(pixels: np.ndarray, name: str) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        remedy = _remedy(pixels.shape)
        raise ValueError(f"The {name} must be an array (H, W, 3), but its shape is {pixels.shape}{remedy}.")
    if pixels.dtype != np.uint8:
        raise ValueError(f"The {name} must be an array of uint8 (0 to 255), but it holds {pixels.dtype}: convert it.")
    count = pixels.shape[0] * pixels.shape[1]
    if not count:
        raise ValueError(f"The {name} has no pixels: its shape is {pixels.shape}.")
    if count > MOST_PIXELS:
        raise ValueError(
            f"The {name} has {count} pixels, but at most {MOST_PIXELS} are taken: shrink it, or cut it into tiles."
        )


def _remedy(shape: tuple[int, ...]) -> str:
    """What to do with an array that is no image."""
    if len(shape) == 2:
        return ": repeat grey levels, as in np.stack([image] * 3, axis=-1)"
    if len(shape) == 4:
        return ": give several images as a list"
    if len(shape) == 3 and shape[0] == 3:
        return ": move the channels to the end, as in image.transpose(1, 2, 0)"
    return ": drop the alpha channel, as in image[..., :3]" if len(shape) == 3 and shape[2] == 4 else ""
