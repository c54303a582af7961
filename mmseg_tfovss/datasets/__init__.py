"""Data: what MMSegmentation lacks, and loaders that name what is wrong with a file."""

import contextlib
import io

# MMSegmentation's datasets print a line about an optional package on their first import.
with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from mmseg_tfovss.datasets.pocket import PocketAllDataset, PocketThingDataset
from mmseg_tfovss.datasets.transforms import LoadImage, LoadLabels, ResizeShortSide
from mmseg_tfovss.datasets.voc20 import PascalVOC20Dataset

__all__ = [
    "LoadImage",
    "LoadLabels",
    "PascalVOC20Dataset",
    "PocketAllDataset",
    "PocketThingDataset",
    "ResizeShortSide",
]
