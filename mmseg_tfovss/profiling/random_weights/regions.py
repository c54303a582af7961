"""The same regions for official code and ours, in the place of masks that another network would find."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.engine.single import read_image
from mmseg_tfovss.ops.canvas import Size

_MASKS = 8  # that LaVG cuts from an image at most
_INSTANCES = 40  # of an instance map


def share_regions(config: Config, image: Path, folder: Path, device: torch.device) -> Path | None:
    """Let a config of ours read regions that are made here, if its method takes them from files.

    Args:
        config: ours; changed.
        image: what is labelled.
        folder: in which they are written; it is made.
        device: on which official code reads them.

    Returns:
        The folder, or ``None``: the method takes no regions from files.
    """
    write = {"LaVG": _write_masks, "CorrCLIP": _write_instances}.get(config.model.type)
    if write is None:
        return None
    folder.mkdir(exist_ok=True)
    height, width = read_image(image).shape[:2]
    write((height, width), folder / image.stem, device)
    config.model.masks = str(folder)
    if config.model.type == "LaVG":
        config.model.pop("vfm", None)  # its DINO finds masks, and does nothing else
    return folder


def nearest_seed(size: Size, seeds: int) -> np.ndarray:
    """A map (H, W) of the numbers 0 .. seeds - 1: at each pixel that of the nearest one of some random places."""
    places = np.random.default_rng(0).uniform(0, size, (seeds, 2))
    rows, columns = np.indices(size)
    best, number = np.full(size, np.inf), np.zeros(size, np.int64)
    for seed, (row, column) in enumerate(places):
        distance = (rows - row) ** 2 + (columns - column) ** 2
        number[distance < best] = seed
        best = np.minimum(best, distance)
    return number


def _write_masks(size: Size, path: Path, device: torch.device) -> None:
    """LaVG's form: (M, H, W), bool, the rest last."""
    number = torch.from_numpy(nearest_seed(size, _MASKS + 1))
    masks: Tensor = torch.stack([number == seed for seed in range(_MASKS + 1)])
    torch.save(masks.to(device), path.with_name(f"{path.name}.pth"))


def _write_instances(size: Size, path: Path, device: torch.device) -> None:
    """CorrCLIP's form: (H, W), 0 where no instance is."""
    np.savez_compressed(
        path.with_name(f"{path.name}.npz"), instance_mask=nearest_seed(size, _INSTANCES).astype(np.int32)
    )
