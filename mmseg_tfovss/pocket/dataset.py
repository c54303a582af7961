"""The pocket benchmark's two datasets for MMSegmentation; their scenes are drawn on first use."""

from pathlib import Path
from typing import Any, ClassVar

from mmseg_tfovss.datasets.framework import BaseSegDataset
from mmseg_tfovss.pocket.classes import CLASSES, STUFF_PALETTE, THING_PALETTE, THINGS
from mmseg_tfovss.registry import DATASETS


class _PocketDataset(BaseSegDataset):
    """Scenes under `data_root`, drawn there when they are missing.

    Args:
        data_root: folder of the benchmark, shared by both datasets.
        data_prefix: folders of images and annotations below it; default: the validation split.
        subset: number of the validation split's scenes to take, chosen to represent all of them, see
            `mmseg_tfovss.pocket.subset`; default: all.
        **kwargs: see `BaseSegDataset`.
    """

    annotations: ClassVar[str]

    def __init__(
        self,
        data_root: str = "data/pocket",
        data_prefix: dict[str, str] | None = None,
        subset: int | None = None,
        **kwargs: Any,  # noqa: ANN401 - handed on to MMSegmentation as they are
    ) -> None:
        # Imported here so that `python -m` of the first module is the only import of it.
        from mmseg_tfovss.pocket.scenes import ensure_scenes
        from mmseg_tfovss.pocket.subset import scenes_of_subset

        ensure_scenes(Path(data_root))
        if subset is not None:
            _check_alone(data_prefix=data_prefix, indices=kwargs.get("indices"))
            kwargs["indices"] = list(scenes_of_subset(Path(data_root), subset))
        super().__init__(
            data_root=data_root,
            data_prefix=data_prefix or {"img_path": "images/val", "seg_map_path": f"{self.annotations}/val"},
            img_suffix=".png",
            seg_map_suffix=".png",
            reduce_zero_label=False,
            **kwargs,
        )


def _check_alone(**others: object) -> None:
    """Refuse other choices of scenes beside a subset."""
    for name, value in others.items():
        if value is not None:
            raise ValueError(
                "test_dataloader.dataset.subset chooses among all scenes of the validation split, so it does not go"
                f" with test_dataloader.dataset.{name}: leave one of them out."
            )


@DATASETS.register_module()
class PocketAllDataset(_PocketDataset):
    """Eight things and six stuffs; every pixel belongs to one of the 14 (as in VOC20)."""

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": CLASSES,
        "palette": THING_PALETTE + STUFF_PALETTE,
    }
    annotations = "annotations_all"


@DATASETS.register_module()
class PocketThingDataset(_PocketDataset):
    """Background, which is all stuff, and eight things (as in VOC21)."""

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": ("background", *THINGS),
        "palette": [[0, 0, 0], *THING_PALETTE],
    }
    annotations = "annotations_thing"
