"""From the official annotation files to the ones that are evaluated: functions of whole files' bytes."""

import io
import json
import re
import reprlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

import cv2
import numpy as np
import scipy.io
from PIL import Image, ImageDraw

from mmseg_tfovss.datasets.facts import VOID, VOID_16_BIT
from mmseg_tfovss.datasets.files import MOST_PIXELS, decode_labels
from mmseg_tfovss.datasets.twenty_seven import CITYSCAPES27_COLOURS, CITYSCAPES27_FIRST_ID, COCO27_GROUPS

DATA = Path(__file__).parent / "data"
_UNKNOWN = -1  # in a table of new labels: this old label does not occur in the official files
_SHOWN = 5  # unknown labels named in a message
_FARTHEST = 100_000  # pixels from the corner of an image to that of a polygon
_RUN_LENGTHS = re.compile("[0-o]*")
_LONGEST_RUN = 35  # bits; MOST_PIXELS has 28

# COCO's raw ids 0 .. 181 are category ids minus one; these belong to categories that nobody annotated.
_COCO_GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
_COCO_IDS = 182
_COCO_LAST_THING = 89

# The ids, of 459, of PASCAL Context's 59 usual classes; 0 stands for all others.
CONTEXT59_IDS = (
    *(2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159),
    *(162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368),
    *(397, 415, 416, 420, 424, 427, 440, 445, 454, 458),
)
_CONTEXT_IDS = 459

# Cityscapes' names of the evaluated classes and their ids; all other ids up to 33 are ignored.
_CITYSCAPES19 = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
_CITYSCAPES27 = {name: number for number, name in enumerate(CITYSCAPES27_COLOURS, CITYSCAPES27_FIRST_ID)}
_CITYSCAPES_IDS = 34

_ADE_SHORT_SIDE = 512


def checked(content: bytes, labels: int) -> bytes:
    """The file as it is, when it is a label map.

    Args:
        content: PNG with the labels 0 .. ``labels`` - 1 and 255.
        labels: how many there are.

    Raises:
        ValueError: an image in colours, or a label out of range.
    """
    table = np.full(VOID + 1, _UNKNOWN)
    table[[*range(labels), VOID]] = 0
    _relabel(decode_labels(content, "annotation"), table)
    return content


def coco_stuff(content: bytes) -> bytes:
    """COCO-Stuff's raw map (0 .. 181, 255) to the 171 classes 0 .. 170, in the order of the raw ids; 255 stays."""
    return _png(_relabel(decode_labels(content, "annotation"), _coco_table()))


def coco_object(content: bytes) -> bytes:
    """COCO-Stuff's raw map to the 80 things 1 .. 80; stuff and unlabelled pixels (255) become background, 0."""
    stuff = _coco_table()
    table = np.where(stuff == _UNKNOWN, _UNKNOWN, 0)
    table[: _COCO_LAST_THING + 1] = np.where(stuff == _UNKNOWN, _UNKNOWN, stuff + 1)[: _COCO_LAST_THING + 1]
    return _png(_relabel(decode_labels(content, "annotation"), table))


def coco27(content: bytes) -> bytes:
    """COCO-Stuff's raw map to the 27 coarse classes 0 .. 26; 255 stays."""
    table = _coco_table()
    known = table != _UNKNOWN
    for label, ids in enumerate(COCO27_GROUPS.values()):
        table[list(ids)] = label
    return _png(_relabel(decode_labels(content, "annotation"), np.where(known, table, _UNKNOWN)))


def cityscapes(content: bytes) -> bytes:
    """Cityscapes' ``labelIds`` (0 .. 33) to the 19 classes (``labelTrainIds``), the others to 255."""
    return _cityscapes_ids(content, _CITYSCAPES19)


def cityscapes27(content: bytes) -> bytes:
    """Cityscapes' ``labelIds`` 7 .. 33 to the 27 classes 0 .. 26, the others to 255."""
    return _cityscapes_ids(content, _CITYSCAPES27)


def cityscapes_polygons(content: bytes) -> bytes:
    """Cityscapes' ``polygons.json`` drawn as ``labelTrainIds``, in the order of the file; groups count as their class.

    Number plates are not drawn, so that the car behind them shows, nor is what was deleted.
    """
    return _cityscapes_drawn(content, _CITYSCAPES19)


def cityscapes27_polygons(content: bytes) -> bytes:
    """Cityscapes' ``polygons.json`` drawn as the 27 classes; see :func:`cityscapes_polygons`."""
    return _cityscapes_drawn(content, _CITYSCAPES27)


def _cityscapes_ids(content: bytes, classes: Mapping[str, int]) -> bytes:
    table = np.full(_CITYSCAPES_IDS, VOID)
    table[list(classes.values())] = np.arange(len(classes))
    return _png(_relabel(decode_labels(content, "annotation"), table))


def _cityscapes_drawn(content: bytes, classes: Mapping[str, int]) -> bytes:
    order = {name: label for label, name in enumerate(classes)}
    try:
        scene = json.loads(content)
        image = Image.new("L", _size(scene["imgWidth"], scene["imgHeight"]), VOID)
        draw = ImageDraw.Draw(image)
        for thing in scene["objects"]:
            name = thing["label"]
            if name == "license plate" or thing.get("deleted"):
                continue
            single = name if name == "polegroup" else name.removesuffix("group")  # the former is a class of its own
            draw.polygon(_corners(thing["polygon"]), fill=order.get(name, order.get(single, VOID)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the polygons cannot be read ({type(error).__name__}: {error}).") from error
    return _png(np.asarray(image))


def _corners(polygon: object) -> list[tuple[float, float]]:
    """A polygon's corners, which may lie a little outside the image; Pillow's drawing never ends for huge ones."""
    try:
        points = np.array(polygon, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or not np.abs(points).max(initial=0) <= _FARTHEST:
        raise ValueError(f"a polygon is not a list of points within {_FARTHEST} pixels")
    return [(x, y) for x, y in points.tolist()]


def _size(width: object, height: object) -> tuple[int, int]:
    """Width and height, once they are known to be such numbers."""
    if not (_is_count(width) and _is_count(height)) or not 0 < width * height <= MOST_PIXELS:
        raise ValueError(f"{reprlib.repr(width)} x {reprlib.repr(height)} is no size of an image")
    return width, height


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_PIXELS


def context60(content: bytes) -> bytes:
    """One image's segments of ``trainval_merged.json`` to background 0 and the 59 classes 1 .. 59.

    Args:
        content: JSON with ``height``, ``width`` and ``segments``: the image's records of ``annos_segmentation``, of
            which later ones cover earlier ones.

    Returns:
        PNG file.

    Raises:
        ValueError: a segment of another class or size.
    """
    try:
        record = json.loads(content)
        width, height = _size(record["width"], record["height"])
        segments = [_read_segment(segment) for segment in record["segments"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the segments cannot be read ({type(error).__name__}: {error}).") from error
    labels = np.zeros((height, width), np.int16)
    for segment in segments:
        _paint(labels, *segment)
    table = np.full(_CONTEXT_IDS + 1, _UNKNOWN)
    table[[0, *CONTEXT59_IDS]] = np.arange(len(CONTEXT59_IDS) + 1)
    return _png(_relabel(labels, table))


def _read_segment(segment: Mapping[str, Any]) -> tuple[str, object, object, str]:
    """Name for messages, class, size and run lengths."""
    mask = segment["segmentation"]
    return reprlib.repr(segment.get("id")), segment["category_id"], mask["size"], mask["counts"]


def _paint(labels: np.ndarray, name: str, raw: object, size: object, counts: str) -> None:
    """Draw one segment over others, in place."""
    if size != list(labels.shape):
        raise ValueError(f"the segment {name} is {reprlib.repr(size)}, its image {labels.shape}.")
    if not _is_count(raw) or raw > _CONTEXT_IDS:
        raise ValueError(f"the annotation holds labels that the official files do not have: {reprlib.repr(raw)}.")
    lengths = run_lengths(counts)
    if min(lengths, default=0) < 0 or sum(lengths) != labels.size:
        raise ValueError(f"the run lengths of the segment {name} do not fit its image of {labels.shape}.")
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)  # column after column, beginning with "not"
    labels[inside.reshape(labels.shape[::-1]).T] = raw


def run_lengths(counts: str) -> list[int]:
    """COCO's compressed run lengths.

    Each number is written in groups of 5 bits, the lowest first, as characters from "0" on; 32 is added to all groups
    but the last, whose highest bit is the sign. From the fourth on, numbers are differences to that two places before.

    Args:
        counts: the characters.

    Raises:
        ValueError: no such characters, a number that is longer than any image, or one that has no end.
    """
    if not isinstance(counts, str) or not _RUN_LENGTHS.fullmatch(counts):
        raise ValueError(f"run lengths are a text of the characters 0 to o, but got {reprlib.repr(counts)}.")
    lengths: list[int] = []
    number = shift = 0
    for character in counts:
        group = ord(character) - ord("0")
        number |= (group & 31) << shift
        shift += 5
        if shift > _LONGEST_RUN:
            raise ValueError("run lengths hold a number that is longer than any image.")
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        lengths.append(number + (lengths[-2] if len(lengths) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("run lengths end in the middle of a number.")
    return lengths


def context459(content: bytes) -> bytes:
    """``LabelMap`` (1 .. 459, 0 = none) of a MATLAB file to a 16-bit TIFF with 0 .. 458, and 65535 for none."""
    try:
        labels = np.asarray(scipy.io.loadmat(io.BytesIO(content), variable_names=["LabelMap"])["LabelMap"])
    # scipy signals damage with many exception types, depending on where it is. Or a signal ends the process (jobs.py).
    except Exception as error:
        raise ValueError(f"the MATLAB file has no readable LabelMap ({type(error).__name__}: {error}).") from error
    whole = labels.dtype.kind in "ui" or (labels.dtype.kind == "f" and np.array_equal(labels, np.trunc(labels)))
    if labels.ndim != 2 or not labels.size or not whole:
        raise ValueError(f"LabelMap is no map of class ids: {labels.dtype} of shape {labels.shape}.")
    table = np.concatenate([[VOID_16_BIT], np.arange(_CONTEXT_IDS)])
    return _tiff(_relabel(labels, table))


def ade847_labels(content: bytes) -> bytes:
    """The full ADE20K's ``_seg.png`` to a 16-bit TIFF with 0 .. 846, and 65535 for rarer classes.

    The object class is coded as red // 10 * 256 + green; a short side above 512 pixels is reduced to that.

    Raises:
        ValueError: no colour image.
    """
    codes = _colours(content, "annotation").astype(np.int32)
    ids = codes[..., 0] // 10 * 256 + codes[..., 1]
    ids = cv2.resize(ids, _ade_size(ids.shape), interpolation=cv2.INTER_NEAREST)
    table = np.full(26 * 256, VOID_16_BIT)  # red up to 255, and 255 of green
    table[list(_ade847_ids())] = np.arange(len(_ade847_ids()))
    return _tiff(table[ids])


def ade847_image(content: bytes) -> bytes:
    """A photograph of the full ADE20K with its short side reduced to 512 pixels at most, as JPEG.

    As the field's script does, every photograph is compressed anew (Pillow's default quality), also a small one.
    """
    image = _colours(content, "image")
    resized = cv2.resize(image, _ade_size(image.shape), interpolation=cv2.INTER_LINEAR)
    return _encode(Image.fromarray(resized), "JPEG")


@cache
def _ade847_ids() -> tuple[int, ...]:
    lines = (DATA / "ade847_ids.txt").read_text(encoding="utf-8").splitlines()
    return tuple(int(line) for line in lines if not line.startswith("#"))


def _ade_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height for OpenCV; Python's rounding, half to even."""
    height, width = shape[:2]
    if min(height, width) <= _ADE_SHORT_SIDE:
        return width, height
    if width >= height:
        return round(width / height * _ADE_SHORT_SIDE), _ADE_SHORT_SIDE
    return _ADE_SHORT_SIDE, round(height / width * _ADE_SHORT_SIDE)


def _coco_table() -> np.ndarray:
    table = np.full(VOID + 1, _UNKNOWN)
    ids = [number for number in range(_COCO_IDS) if number not in _COCO_GAPS]
    table[ids] = np.arange(len(ids))
    table[VOID] = VOID
    return table


def _relabel(labels: np.ndarray, table: np.ndarray) -> np.ndarray:
    outside = (labels < 0) | (labels >= len(table))
    new = table[np.where(outside, 0, labels).astype(np.int64)]
    wrong = np.unique(labels[outside | (new == _UNKNOWN)])
    if len(wrong):
        named = ", ".join(str(label) for label in wrong[:_SHOWN])
        raise ValueError(
            f"the annotation holds labels that the official files do not have: {named}"
            f"{' ...' if len(wrong) > _SHOWN else ''}."
        )
    return new


def _colours(content: bytes, kind: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    try:
        image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        pixels = image.width * image.height
    # Pillow signals damage with many exception types, depending on where it is.
    except Exception as error:
        raise ValueError(f"the {kind} cannot be decoded: it is damaged, or neither JPEG nor PNG.") from error
    if pixels > MOST_PIXELS:
        raise ValueError(f"the {kind} has {image.width} x {image.height} pixels, more than any official one.")
    if kind == "annotation" and image.mode != "RGB":
        raise ValueError(f"the annotation has the colour mode {image.mode}; expected RGB.")
    try:
        return np.asarray(image.convert("RGB"))
    except Exception as error:  # as above
        raise ValueError(f"the {kind} cannot be decoded: {error}.") from error


def _png(labels: np.ndarray) -> bytes:
    return _encode(Image.fromarray(labels.astype(np.uint8)), "PNG")


def _tiff(labels: np.ndarray) -> bytes:
    return _encode(Image.fromarray(labels.astype(np.uint16)), "TIFF")


def _encode(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()
