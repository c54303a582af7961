"""PASCAL VOC 2012 without its background class."""

from typing import Any, ClassVar

from mmseg.datasets import PascalVOCDataset

from mmseg_tfovss.registry import DATASETS


@DATASETS.register_module()
class PascalVOC20Dataset(PascalVOCDataset):
    """VOC's 20 object classes; background (0) and void (255) are ignored.

    Args:
        ann_file: list of image names, below ``data_root``.
        **kwargs: see MMSeg's ``PascalVOCDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": PascalVOCDataset.METAINFO["classes"][1:],
        "palette": PascalVOCDataset.METAINFO["palette"][1:],
    }

    def __init__(self, ann_file: str, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(ann_file=ann_file, reduce_zero_label=True, **kwargs)
