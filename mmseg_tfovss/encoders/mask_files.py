"""Masks of images on disk: recorded ones, which a method takes as they are, and a cache of those that it has found."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmseg_tfovss.encoders.recorded import recorded_file
from mmseg_tfovss.encoders.torch_archives import check_torch_file
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.vocabulary.features import cache_folder
from mmseg_tfovss.whole_file import whole_file

ENDINGS = (".npz", ".npy", ".pth", ".pt")
_FORMAT = "1"  # bump when the masks of the same image and settings change
_logger = logging.getLogger(__name__)


def recorded_masks(place: Path, image: str, size: Size) -> np.ndarray:
    """The masks that were recorded for an image.

    Args:
        place: a file, or a folder with a file for each image, called like it (``2007_000033.npz``).
        image: path of the image.
        size: its H and W.

    Returns:
        (M, H, W), bool; the last one is of the pixels that lie in no other.

    Raises:
        FileNotFoundError: nothing is recorded for this image.
        ValueError: the file holds something else.
    """
    path = recorded_file("model.masks", place, image, ENDINGS)
    masks = _unpacked(_read(path), size)
    if masks is None:
        raise ValueError(
            f"model.masks: {path} must hold masks (M, H, W) of 0 and 1, also packed by numpy.packbits along W, for the"
            f" image {image or '(no path)'} of {size[0]}x{size[1]} pixels (height x width)."
        )
    if not np.array_equal(masks[-1], ~masks[:-1].any(axis=0)):
        raise ValueError(f"model.masks: the last mask of {path} must hold the pixels that are in no other mask.")
    return masks


def cached_masks(
    find: Callable[[], np.ndarray], what: Mapping[str, Any], size: Size, folder: Path | None = None
) -> np.ndarray:
    """Masks from the disk cache, or found and then stored there.

    A damaged entry is found again; a folder that cannot be written costs a warning, never the run.

    Args:
        find: gives the masks (M, H, W), bool, when they are not cached.
        what: all that they depend on, by name: the contents of the image, the settings, the networks.
        size: H and W.
        folder: defaults to ``masks`` in the user's cache folder.
    """
    key = hashlib.sha256(json.dumps([_FORMAT, size, dict(what)], sort_keys=True).encode()).hexdigest()
    path = (folder or cache_folder() / "masks") / f"{key}.npz"
    if path.is_file():
        try:
            masks = _unpacked(_read(path), size)
        except ValueError as error:
            _logger.info("Cached masks %s are damaged (%s): found again.", path, error)
        else:
            if masks is not None:
                return masks
    masks = find()
    try:
        with whole_file(path) as scratch:
            np.savez_compressed(scratch, masks=np.packbits(masks, axis=-1))
    except OSError as error:
        _logger.warning("Masks could not be cached in %s: %s.", path.parent, error)
    return masks


def _read(path: Path) -> np.ndarray:
    """The array in a file.

    Raises:
        ValueError: it holds none, or is damaged.
    """
    try:
        if path.suffix in (".pth", ".pt"):
            check_torch_file(path)
            return np.asarray(torch.load(path, map_location="cpu", weights_only=True))
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return np.asarray(loaded["masks" if "masks" in loaded else loaded.files[0]])
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        detail = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"model.masks: {path} is not a readable file of masks ({detail[0]}).") from error


def _unpacked(array: np.ndarray, size: Size) -> np.ndarray | None:
    """Masks (M, H, W), bool, of an array as it was recorded; None if it is of something else."""
    height, width = size
    numbers = array.dtype == bool or np.issubdtype(array.dtype, np.number)
    if not numbers or array.ndim != 3 or not len(array) or array.shape[1] != height:
        return None
    if array.shape[2] == -(-width // 8) and array.dtype == np.uint8 and array.shape[2] != width:
        return np.unpackbits(array, axis=-1, count=width).astype(bool)
    inside = array != 0
    return inside if array.shape[2] == width and np.array_equal(array, inside) else None
