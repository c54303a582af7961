"""PASCAL Context with 459 classes and ADE20K with 847: 16-bit annotations in which 65535, not 255, is ignored."""

from collections.abc import Sequence
from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset

from mmseg_tfovss.datasets.facts import VOID_16_BIT
from mmseg_tfovss.ops.colours import pascal_colours
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary import load_vocabulary


class _SixteenBitDataset(BaseSegDataset):
    """A dataset of more than 255 classes: MMSeg's 255 for "ignored" is a class here, and 65535 takes its place."""

    def __init__(self, ann_file: str, seg_map_suffix: str = ".tif", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(ann_file=ann_file, seg_map_suffix=seg_map_suffix, ignore_index=VOID_16_BIT, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """MMSeg's map onto some of the classes, with the others ignored."""
        usual = super().get_label_map(new_classes)
        if not usual or new_classes is None:
            return usual
        kept = set(new_classes)
        return {old: new if cls.METAINFO["classes"][old] in kept else VOID_16_BIT for old, new in usual.items()}

    def _update_palette(self) -> list[list[int]]:
        colours = dict(zip(self.METAINFO["classes"], self.METAINFO["palette"], strict=True))
        return [colours[name] for name in self._metainfo["classes"]]


def _metainfo(name: str) -> dict[str, Any]:
    classes = load_vocabulary(name).names
    return {"classes": classes, "palette": pascal_colours(len(classes)), "ignore_index": VOID_16_BIT}


@DATASETS.register_module()
class PascalContext459Dataset(_SixteenBitDataset):
    """PASCAL Context's 459 classes on VOC2010's images; ``tfovss prepare pc459`` makes the annotations.

    Args:
        ann_file: list of image names, below ``data_root``.
        seg_map_suffix: ending of annotation files.
        **kwargs: see MMSeg's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = _metainfo("pc459")


@DATASETS.register_module()
class ADE20K847Dataset(_SixteenBitDataset):
    """The 847 most frequent classes of the full ADE20K; ``tfovss prepare ade847`` makes the annotations.

    Args:
        ann_file: list of image names, below ``data_root``.
        seg_map_suffix: ending of annotation files.
        **kwargs: see MMSeg's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = _metainfo("ade847")
