"""Data: what MMSegmentation lacks, and loaders that name what is wrong with a file."""

import mmseg_tfovss.datasets.framework  # noqa: F401 - before all that import MMSegmentation's
from mmseg_tfovss.datasets.coco_object import COCOObjectDataset
from mmseg_tfovss.datasets.large_vocabulary import ADE20K847Dataset, PascalContext459Dataset
from mmseg_tfovss.datasets.listed import ListedDataset
from mmseg_tfovss.datasets.transforms import LoadImage, LoadLabels, Relabel
from mmseg_tfovss.datasets.twenty_seven import Cityscapes27Dataset, COCO27Dataset
from mmseg_tfovss.datasets.voc20 import PascalVOC20Dataset

__all__ = [
    "ADE20K847Dataset",
    "COCO27Dataset",
    "COCOObjectDataset",
    "Cityscapes27Dataset",
    "ListedDataset",
    "LoadImage",
    "LoadLabels",
    "PascalContext459Dataset",
    "PascalVOC20Dataset",
    "Relabel",
]
