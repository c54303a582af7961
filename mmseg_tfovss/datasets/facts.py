"""What is known of each benchmark before any file is read: the numbers that a prepared dataset must have."""

from dataclasses import dataclass

VOID = 255  # ignored label of the 8-bit sets
VOID_16_BIT = 65535  # ignored label of the 16-bit sets, where 255 is a class


@dataclass(frozen=True)
class Facts:
    """Facts of a benchmark's validation set.

    Attributes:
        title: as papers write it.
        images: how many images the set has.
        classes: how many classes are evaluated.
        background: whether class 0 is "everything else".
        labels: the annotation files hold 0 .. labels - 1, and ``ignored``.
        ignored: the true label that does not count, ``None`` if every pixel counts.
    """

    title: str
    images: int
    classes: int
    background: bool
    labels: int
    ignored: int | None = VOID


# Sources: docs/datasets.md. The ten of open-vocabulary segmentation, which every method is run on:
_USUAL = {
    "voc21": Facts("PASCAL VOC 2012, with background", 1449, 21, True, 21),
    "voc20": Facts("PASCAL VOC 2012, 20 objects", 1449, 20, False, 21),
    "context60": Facts("PASCAL Context, with background", 5104, 60, True, 60),
    "context59": Facts("PASCAL Context, 59 classes", 5104, 59, False, 60),
    "coco_object": Facts("COCO-Object", 5000, 81, True, 81, None),
    "coco_stuff164k": Facts("COCO-Stuff 164k", 5000, 171, False, 171),
    "cityscapes": Facts("Cityscapes", 500, 19, False, 19),
    "ade20k": Facts("ADE20K-150", 2000, 150, False, 151),
    "pc459": Facts("PASCAL Context, 459 classes", 5104, 459, False, 459, VOID_16_BIT),
    "ade847": Facts("ADE20K, 847 classes", 2000, 847, False, 847, VOID_16_BIT),
}
# Those of unsupervised segmentation, which some methods are run on as well.
_TWENTY_SEVEN = {
    "coco27": Facts("COCO-Stuff, 27 coarse classes", 2175, 27, False, 27),
    "cityscapes27": Facts("Cityscapes, 27 classes", 500, 27, False, 27),
}
_POCKET = {
    "pocket_all": Facts("Pocket, things and stuff", 200, 14, False, 14),
    "pocket_thing": Facts("Pocket, things and background", 200, 9, True, 9),
}
FACTS = _USUAL | _TWENTY_SEVEN | _POCKET
BENCHMARKS = tuple(_USUAL)
# Those that tfovss prepare makes; the pocket scenes draw themselves.
PREPARED = (*_USUAL, *_TWENTY_SEVEN)
