"""Read image and label files completely, or say what is wrong with them."""

import io
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 2**27  # of a picture: 11585 x 11585; its labels are a gigabyte
_MOST_BYTES = 2**30  # of a file: three channels of 16 bits, not compressed, need fewer
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PPM", "JPEG2000", "AVIF")  # as Pillow calls them
_USUAL_NAMES = {"WEBP": "WebP", "JPEG2000": "JPEG 2000"}
# What holds numbers as they were written. GIF does not, for writers renumber its palette; nor does PPM, for readers
# stretch what has another maximum than 255.
_LABEL_FORMATS = ("PNG", "TIFF", "BMP")
_LOSSLESS_TIFF = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}  # none, fax, LZW, deflate, PackBits, LZMA, Zstandard
_LABEL_MODES = ("L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "P", "PA", "L", "LA", "1")
_IMAGE_MODES = (*_LABEL_MODES, "F", "1", "LA", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_OTHER_NUMBERS = {"I": "integers of more than 8 bits", "F": "fractions"}
_JPEG_END = b"\xff\xd9"
_EXIF_ORIENTATION, _TIFF_BITS, _TIFF_COMPRESSION, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES = 274, 258, 259, 262, 339
_UPRIGHT, _FIRST_TRANSPOSED, _LAST_ORIENTATION = 1, 5, 8  # from 5 on, width and height change places


@cache
def formats() -> tuple[str, ...]:
    """Formats that are read at all, by Pillow's names; a build of it may lack some."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image as the field does: OpenCV, 8-bit BGR, turned as its EXIF orientation says.

    Greyscale becomes three equal channels (COCO has such photographs); an alpha channel is dropped.

    Args:
        path: image file.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, not 8 bits per channel, several pictures, or too many pixels.
    """
    return load_image(path)[0]


def load_image(path: str | Path) -> tuple[np.ndarray, int]:
    """:func:`read_image`, and the EXIF orientation (1..8, 1 = upright) that has been applied."""
    name = f"image {path}"
    raw = _read_bytes(Path(path), "image")
    with _opened(raw, name) as picture:
        orientation, kind, mode = _orientation(picture, raw), picture.format, picture.mode
        if mode not in _IMAGE_MODES:
            raise ValueError(f"The {name} has the colour mode {mode}: save it as RGB.")
        if kind != "MPO":  # a photograph with previews of itself
            _check_one_picture(picture, name)
        if kind in ("TIFF", "AVIF") and orientation != _UPRIGHT:  # OpenCV's versions differ in what they turn
            raise ValueError(f"The {name} has an orientation tag ({kind}): save it upright, without the tag.")
        if kind not in ("JPEG", "MPO") or not raw.rstrip(b"\x00").endswith(_JPEG_END):
            _check_complete(picture, raw, name, decode=kind != "PNG")  # whose checksums tell
    return _turned(_pixels(raw, mode, name), orientation), orientation


def image_orientation(path: str | Path) -> int:
    """The EXIF orientation of an image file (1..8, 1 = upright); it is not decoded."""
    raw = _read_bytes(Path(path), "image")
    with _opened(raw, f"image {path}") as picture:
        return _orientation(picture, raw)


def read_labels(path: str | Path) -> np.ndarray:
    """Decode a label map: one class id per pixel, turned as its EXIF orientation says.

    Args:
        path: single-channel 8- or 16-bit image whose compression keeps every number: PNG, TIFF or BMP; a palette gives
            its indices.

    Returns:
        (H, W) int64.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, compressed with losses (whatever the file's name ends in), several
            pictures, too many pixels, or colours or fractions instead of class ids.
    """
    return load_labels(path)[0]


def load_labels(path: str | Path) -> tuple[np.ndarray, int]:
    """:func:`read_labels`, and the EXIF orientation (1..8, 1 = upright) that has been applied."""
    return _decode(_read_bytes(Path(path), "annotation"), f"annotation {path}")


def load_colours(path: str | Path) -> tuple[np.ndarray, int]:
    """The colours of a mask, a palette's too, and the EXIF orientation (1..8, 1 = upright) that has been applied.

    Args:
        path: image of 8 bits per channel whose compression keeps every number; an alpha channel is dropped.

    Returns:
        (H, W, 3) uint8 RGB, and the orientation.

    Raises:
        FileNotFoundError: no such file.
        ValueError: see :func:`read_labels`; 16 bits are refused too.
    """
    raw, name = _read_bytes(Path(path), "annotation"), f"annotation {path}"
    with _opened(raw, name, _LABEL_FORMATS) as picture:
        _check_lossless(picture, raw, name)
        _check_one_picture(picture, name)
        if picture.mode not in _COLOUR_MODES:
            raise ValueError(f"The {name} has the colour mode {picture.mode}; expected colours of 8 bits per channel.")
        orientation, is_tiff = _orientation(picture, raw), picture.format == "TIFF"
        _check_complete(picture, raw, name)
        colours = np.array(picture.convert("RGB"))
    return colours if is_tiff else _turned(colours, orientation), orientation


def decode_labels(raw: bytes, name: str) -> np.ndarray:
    """Decode a label map from the bytes of its file.

    Args:
        raw: a whole file; see :func:`read_labels`.
        name: what it is, for messages.

    Returns:
        (H, W) int64.

    Raises:
        ValueError: see :func:`read_labels`.
    """
    return _decode(raw, name)[0]


def check_pair(
    image: str | Path, shape: tuple[int, ...], turned: int, annotation: str | Path, labels: tuple[np.ndarray, int]
) -> None:
    """Refuse an annotation that does not lie on its image's pixels.

    Args:
        image: its file.
        shape: height and width of the image.
        turned: orientation of :func:`load_image`.
        annotation: its file.
        labels: of :func:`load_labels`.

    Raises:
        ValueError: the sizes differ, or the orientations do, unless the sizes tell that both are upright now.
    """
    found, orientation = labels
    if found.shape != tuple(shape[:2]):
        raise ValueError(
            f"The annotation {annotation} is {found.shape[0]}x{found.shape[1]} pixels, but its image {image} is"
            f" {shape[0]}x{shape[1]} (height x width)."
        )
    sizes_tell = shape[0] != shape[1] and (turned < _FIRST_TRANSPOSED) != (orientation < _FIRST_TRANSPOSED)
    if turned != orientation and not sizes_tell:
        raise ValueError(
            f"The image {image} has the EXIF orientation {turned} and its annotation {annotation} has {orientation}"
            " (1 = upright), so it is unknown which pixels belong together: save both upright, without that tag."
        )


def _pixels(raw: bytes, mode: str, name: str) -> np.ndarray:
    """An image's pixels (H, W, 3) uint8, BGR, as they lie in the file."""
    if mode in _OTHER_NUMBERS:  # OpenCV decodes some of them
        found = _OTHER_NUMBERS[mode]
    else:
        # As MMCV's loader does, but without cutting 16 bits to 8 unasked, and turned by one rule for all formats.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            image = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
        except cv2.error:
            image = None
        if image is None:
            raise ValueError(f"The {name} cannot be decoded: replace the file.")
        if image.dtype == np.uint8:
            return image
        found = f"{image.dtype.itemsize * 8} bits{' with a sign' if image.dtype.kind == 'i' else ''}"
    raise ValueError(
        f"The {name} has {found} per channel; convert it to 8 bits first (which range of its values is black to white"
        " only you know)."
    )


def _decode(raw: bytes, name: str) -> tuple[np.ndarray, int]:
    with _opened(raw, name, _LABEL_FORMATS) as picture:
        _check_lossless(picture, raw, name)
        _check_one_picture(picture, name)
        if picture.mode not in _LABEL_MODES:
            raise ValueError(
                f"The {name} has the colour mode {picture.mode}; expected one channel of class ids (8-bit, 16-bit or"
                " palette)."
            )
        orientation, is_tiff = _orientation(picture, raw), picture.format == "TIFF"
        _check_complete(picture, raw, name)
        labels = _stored_numbers(picture, raw, name)
    if labels.min(initial=0) < 0:
        raise ValueError(f"The {name} holds the label {labels.min()}: class ids and the ignored label are 0 or more.")
    # Pillow turns TIFFs by itself.
    return np.ascontiguousarray(labels if is_tiff else _turned(labels, orientation), np.int64), orientation


def _read_bytes(path: Path, kind: str) -> bytes:
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise ValueError(f"The {kind} {path} is a folder: name a file.")
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MOST_BYTES:
            what = "has more than a gigabyte" if stat.S_ISREG(facts.st_mode) else "is no file but a device or a pipe"
            raise ValueError(f"The {kind} {path} {what}: name a picture file.")
        raw = path.read_bytes()
    except FileNotFoundError:
        link = f"links to {path.readlink()}, which does not exist" if path.is_symlink() else "does not exist"
        raise FileNotFoundError(f"The {kind} {path} {link}.") from None
    except OSError as error:
        raise ValueError(f"The {kind} {path} cannot be read: {error.strerror}.") from error
    if not raw:
        raise ValueError(f"The {kind} {path} is empty (0 bytes): replace the file.")
    return raw


@contextmanager
def _opened(raw: bytes, name: str, kinds: Sequence[str] = _FORMATS) -> Iterator[Image.Image]:
    """A picture of which only the header has been read, and which is not too large to be decoded.

    ``kinds`` are the formats that a message tells the user to take.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what is refused here or does no harm
        try:
            picture: Image.Image = Image.open(io.BytesIO(raw), formats=formats())
            pixels = picture.width * picture.height
        except Image.DecompressionBombError as error:  # says how many
            picture, pixels = Image.new("L", (1, 1)), int((re.findall(r"\d+", str(error)) or [MOST_PIXELS + 1])[0])
        except UnidentifiedImageError:
            shown = (_USUAL_NAMES.get(kind, kind) for kind in kinds if kind in formats() and kind != "DIB")
            raise ValueError(
                f"The {name} is truncated or damaged, or in none of the formats that are read: {', '.join(shown)}, with"
                " at most 32 bits per channel. Replace the file."
            ) from None
        # Pillow signals damage with any exception, depending on where it is.
        except Exception as error:
            raise ValueError(f"The {name} is truncated or damaged ({error}): replace the file.") from error
        with picture:
            if pixels > MOST_PIXELS:
                raise ValueError(
                    f"The {name} has {pixels} pixels, but at most {MOST_PIXELS} are read: shrink it, or cut it into"
                    " tiles."
                )
            yield picture


def _check_complete(picture: Image.Image, raw: bytes, name: str, *, decode: bool = True) -> None:
    """Decode a picture with Pillow, which notices missing data; of a PNG, look at every checksum."""
    try:
        if picture.format == "PNG":
            with Image.open(io.BytesIO(raw), formats=("PNG",)) as again:
                again.verify()
        if decode:
            picture.load()
    except Exception as error:  # as above
        raise ValueError(f"The {name} is truncated or damaged ({error}): replace the file.") from error


def _check_one_picture(picture: Image.Image, name: str) -> None:
    try:
        count = getattr(picture, "n_frames", 1)
    except Exception as error:  # as above
        raise ValueError(f"The {name} is truncated or damaged ({error}): replace the file.") from error
    if count != 1:
        raise ValueError(f"The {name} holds {count} pictures: save the one that is meant as a file of its own.")


def _check_lossless(picture: Image.Image, raw: bytes, name: str) -> None:
    kind = "JPEG" if picture.format == "MPO" else str(picture.format)
    if kind == "TIFF" and picture.tag_v2.get(_TIFF_COMPRESSION, 1) not in _LOSSLESS_TIFF:  # type: ignore[attr-defined]
        kind = f"TIFF with {picture.info.get('compression', 'unknown')} compression"
    elif kind in _LABEL_FORMATS or (kind == "WEBP" and b"VP8L" in raw[:64]):  # WebP without losses: colours
        return
    raise ValueError(
        f"The {name} is in the format {kind}, whatever its suffix. That format may change class ids: make it again from"
        " its source, as PNG."
    )


def _orientation(picture: Image.Image, raw: bytes) -> int:
    """The EXIF orientation, of EXIF alone: OpenCV knows no XMP either."""
    try:
        if picture.format == "TIFF":
            found = picture.tag_v2.get(_EXIF_ORIENTATION)  # type: ignore[attr-defined]
        else:
            if picture.format == "PNG" and "exif" not in picture.info and b"eXIf" in raw:  # behind the pixels
                picture.load()
            exif = Image.Exif()
            exif.load(picture.info.get("exif") or b"")
            found = exif.get(_EXIF_ORIENTATION)
    except Exception:  # as above; what cannot be read turns nothing
        return _UPRIGHT
    return found if isinstance(found, int) and _UPRIGHT <= found <= _LAST_ORIENTATION else _UPRIGHT


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array (H, W, ...) as the orientation wants it shown."""
    if orientation >= _FIRST_TRANSPOSED:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _stored_numbers(picture: Image.Image, raw: bytes, name: str) -> np.ndarray:
    """A label map's numbers as the file holds them, where Pillow stretches, inverts or wraps them."""
    labels, bits = np.array(picture), 8
    if picture.format == "PNG" and not raw[25]:  # grey; its bits lie one byte before
        bits = raw[24]
    elif picture.format == "TIFF" and picture.mode != "P":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        bits = tags.get(_TIFF_BITS, (8,))[0]
        if not tags.get(_TIFF_PHOTOMETRIC, 1):
            raise ValueError(f"The {name} is a TIFF file in which 0 is white: save it as PNG, with class ids.")
        if tags.get(_TIFF_SAMPLES, (1,))[0] == 2:  # with a sign
            labels = labels.view(np.int8) if bits == 8 else labels
        elif labels.dtype == np.int32:
            labels = labels.view(np.uint32)
    if bits in (2, 4):
        labels = labels // (255 // (2**bits - 1))
    return labels
