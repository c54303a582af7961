"""COCO-Stuff's 27 coarse classes, and the 27 of Cityscapes: the benchmarks of unsupervised segmentation."""

from typing import Any, ClassVar

from mmseg.datasets import BaseSegDataset

from mmseg_tfovss.ops.colours import pascal_colours
from mmseg_tfovss.registry import DATASETS

# Coarse class -> its raw ids in COCO-Stuff's maps, 0 .. 181, also the eleven that nobody annotated. Names, order and
# groups: xu-ji/IIC @ b7602b7, cocostuff_fine_to_coarse.py; the same in STEGO, PiCIE and ReCo.
COCO27_GROUPS = {
    "electronic-things": (*range(71, 77),),
    "appliance-things": (*range(77, 83),),
    "food-things": (*range(51, 61),),
    "furniture-things": (*range(61, 71),),
    "indoor-things": (*range(83, 91),),
    "kitchen-things": (*range(43, 51),),
    "accessory-things": (*range(25, 33),),
    "animal-things": (*range(15, 25),),
    "outdoor-things": (*range(9, 15),),
    "person-things": (0,),
    "sports-things": (*range(33, 43),),
    "vehicle-things": (*range(1, 9),),
    "ceiling-stuff": (101, 102),
    "floor-stuff": (100, *range(113, 118)),
    "food-stuff": (120, 121, 152, 169),
    "furniture-stuff": (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164),
    "rawmaterial-stuff": (99, 131, 138, 142),
    "textile-stuff": (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167),
    "wall-stuff": (*range(170, 177),),
    "window-stuff": (179, 180),
    "building-stuff": (94, 95, 127, 150, 157, 165),
    "ground-stuff": (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158),
    "plant-stuff": (93, 96, 118, 123, 128, 133, 141, 162, 168),
    "sky-stuff": (105, 156),
    "solid-stuff": (126, 134, 149, 159, 161, 181),
    "structural-stuff": (98, 112, 137, 145, 163),
    "water-stuff": (119, 147, 154, 177, 178),
}
# The classes of Cityscapes' labelIds from 7 (road) to 33 (bicycle), in this order, with their colours, of which pole
# and polegroup share one (mcordts/cityscapesScripts @ 0bcc4a7, helpers/labels.py). Ids 0 .. 6 are void.
CITYSCAPES27_FIRST_ID = 7
CITYSCAPES27_COLOURS = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "pole": (153, 153, 153),
    "polegroup": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}


@DATASETS.register_module()
class COCO27Dataset(BaseSegDataset):
    """COCO-Stuff's images in 27 coarse classes, 12 of things and 15 of stuff; 255 is ignored.

    Args:
        ann_file: list of image names, below ``data_root``: the benchmark has 2175 of COCO's 5000.
        img_suffix: ending of image files.
        seg_map_suffix: ending of annotation files; ``tfovss prepare coco27`` makes them.
        **kwargs: see MMSeg's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": tuple(COCO27_GROUPS),
        "palette": pascal_colours(len(COCO27_GROUPS)),
    }

    def __init__(
        self,
        ann_file: str,
        img_suffix: str = ".jpg",
        seg_map_suffix: str = "_label27TrainIds.png",
        **kwargs: Any,  # noqa: ANN401 - handed on as they are
    ) -> None:
        super().__init__(ann_file=ann_file, img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class Cityscapes27Dataset(BaseSegDataset):
    """Cityscapes in all 27 classes that are not void, beyond the usual 19; 255 is ignored.

    Args:
        img_suffix: ending of image files.
        seg_map_suffix: ending of annotation files; ``tfovss prepare cityscapes27`` makes them.
        **kwargs: see MMSeg's ``BaseSegDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": tuple(CITYSCAPES27_COLOURS),
        "palette": [list(colour) for colour in CITYSCAPES27_COLOURS.values()],
    }

    def __init__(
        self,
        img_suffix: str = "_leftImg8bit.png",
        seg_map_suffix: str = "_gtFine_label27TrainIds.png",
        **kwargs: Any,  # noqa: ANN401 - handed on as they are
    ) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
