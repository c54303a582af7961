"""Read image and label files completely, or say what is wrong with them."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# The last bytes of complete files. A file that lacks them is decoded by Pillow too, which notices missing data.
_ENDINGS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}


def read_image(path: str | Path) -> np.ndarray:
    """Decode an image as the field does: OpenCV, 8-bit BGR.

    Greyscale becomes three equal channels (COCO has such photographs); an alpha channel is dropped.

    Args:
        path: image file.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, or not 8 bits per channel.
    """
    path = Path(path)
    raw = _read_bytes(path, "image")
    _check_complete(path, raw, "image")
    # As MMCV's loader decodes (three channels, EXIF orientation applied), but without cutting 16 bits to 8 unasked.
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None:
        raise ValueError(f"The image {path} cannot be decoded: replace the file.")
    if image.dtype != np.uint8:
        raise ValueError(
            f"The image {path} has {image.dtype.itemsize * 8} bits per channel; convert it to 8 bits first (which"
            " range of its values is black to white only you know)."
        )
    return image


def read_labels(path: str | Path) -> np.ndarray:
    """Decode a label map: one class id per pixel.

    Args:
        path: single-channel 8- or 16-bit image; a palette gives its indices.

    Returns:
        (H, W) int64.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, truncated, or an image in colours instead of class ids.
    """
    path = Path(path)
    raw = _read_bytes(path, "annotation")
    _check_complete(path, raw, "annotation")
    return decode_labels(raw, f"annotation {path}")


def decode_labels(raw: bytes, name: str) -> np.ndarray:
    """Decode a label map from the bytes of its file.

    Args:
        raw: a whole file; see :func:`read_labels`.
        name: what it is, for messages.

    Returns:
        (H, W) int64.

    Raises:
        ValueError: not an image, truncated, or an image in colours instead of class ids.
    """
    try:
        with Image.open(io.BytesIO(raw)) as image:
            mode, labels = image.mode, np.array(image)
    # Pillow signals damage with several exception types, depending on where it is.
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"The {name} cannot be decoded: {error}.") from error
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise ValueError(
            f"The {name} has the colour mode {mode}; expected one channel of class ids (8-bit, 16-bit or palette)."
        )
    return labels.astype(np.int64)


def _read_bytes(path: Path, kind: str) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"The {kind} {path} does not exist.") from None
    except OSError as error:
        raise ValueError(f"The {kind} {path} cannot be read: {error.strerror}.") from error
    if not raw:
        raise ValueError(f"The {kind} {path} is empty (0 bytes): replace the file.")
    return raw


def _check_complete(path: Path, raw: bytes, kind: str) -> None:
    ending = _ENDINGS.get(path.suffix.lower())
    if ending is None or raw.rstrip(b"\x00").endswith(ending):
        return
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"The {kind} {path} is truncated or damaged ({error}): replace the file.") from error
