"""The bundled benchmark: a scene generator, its two datasets, and a CLIP trained on it."""

from mmseg_tfovss.pocket.dataset import PocketAllDataset, PocketThingDataset

__all__ = ["PocketAllDataset", "PocketThingDataset"]
