"""COCO-Object: the 80 things of COCO-Stuff, everything else background."""

from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset, COCOStuffDataset

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.registry import DATASETS

_THINGS = 80  # COCO-Stuff's first classes, in this order


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """COCO's 80 object classes (1..80) and background (0), which also holds what is unlabelled: no pixel is ignored.

    Args:
        img_suffix: ending of image files.
        seg_map_suffix: ending of annotation files; ``tfovss prepare coco_object`` makes them.
        **kwargs: see MMSeg's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": ("background", *COCOStuffDataset.METAINFO["classes"][:_THINGS]),
        "palette": [[0, 0, 0], *COCOStuffDataset.METAINFO["palette"][:_THINGS]],
        "ignore_index": FACTS["coco_object"].ignored,
    }

    def __init__(
        self,
        img_suffix: str = ".jpg",
        seg_map_suffix: str = "_instanceTrainIds.png",
        **kwargs: Any,  # noqa: ANN401 - handed on as they are
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
