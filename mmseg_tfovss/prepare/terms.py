"""What people want to know before they fetch a benchmark: terms and sizes, as docs/datasets.md has them."""

from dataclasses import dataclass

_VOC = "the photographs come from Flickr and are subject to its terms"
_CONTEXT = "none were found with the annotations; the photographs are VOC2010's, subject to Flickr's terms"
_COCO = "annotations of COCO and COCO-Stuff: CC BY 4.0; the photographs are subject to Flickr's terms"
_CITYSCAPES = "non-commercial use, no redistribution"
_MB, _GB = 10**6, 10**9


@dataclass(frozen=True)
class Conditions:
    """Of a benchmark.

    Attributes:
        terms: of use.
        disk: bytes of the prepared validation set, estimated from the archives.
    """

    terms: str
    disk: int


CONDITIONS = {
    "voc21": Conditions(_VOC, 200 * _MB),
    "voc20": Conditions(_VOC, 200 * _MB),
    "context60": Conditions(_CONTEXT, 600 * _MB),
    "context59": Conditions(_CONTEXT, 600 * _MB),
    "pc459": Conditions(_CONTEXT, 600 * _MB),
    "coco_object": Conditions(_COCO, 800 * _MB),
    "coco_stuff164k": Conditions(_COCO, 800 * _MB),
    "coco27": Conditions(_COCO, 400 * _MB),
    "cityscapes": Conditions(_CITYSCAPES, 1200 * _MB),
    "cityscapes27": Conditions(_CITYSCAPES, 1200 * _MB),
    "ade20k": Conditions("non-commercial research and education", 100 * _MB),
    "ade847": Conditions("those that you agree to when you register", 200 * _MB),
}
# Of archives whose exact size is not known: the publishers' rounded numbers, in bytes.
ROUNDED_SIZES = {
    "VOCtrainval_03-May-2010.tar": 1300 * _MB,
    "trainval.tar.gz": 31 * _MB,
    "stuffthingmaps_trainval2017.zip": 700 * _MB,
    "ADEChallengeData2016.zip": _GB,
}
