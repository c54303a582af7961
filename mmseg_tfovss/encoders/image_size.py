"""The size at which a network sees an image: a setting of the model, so that it is the same by every door.

Images come as they are in their files; the preprocessor resizes them here, on the CPU, as the field's pipelines do.
"""

import mmcv
import numpy as np
from PIL import Image

LONG_CAP = 2048  # pixels of the long side; it binds only for aspect ratios above LONG_CAP / short side


def check_image_size(short_side: object, centre_square: object, stretch_to_square: object = False) -> None:
    """Raise ValueError for a size that is none, a square without a size, or two squares."""
    whole = isinstance(short_side, int) and not isinstance(short_side, bool)
    if short_side is not None and not (whole and short_side > 0):  # type: ignore[operator]
        raise ValueError(f"model.short_side must be a positive number of pixels, or None, but got {short_side!r}.")
    squares = {"centre_square": centre_square, "stretch_to_square": stretch_to_square}
    for name, value in squares.items():
        if not isinstance(value, bool):
            raise ValueError(f"model.{name} must be True or False, but got {value!r}.")
        if value and short_side is None:
            raise ValueError(f"model.{name}=True needs a size: set model.short_side.")
    if all(squares.values()):
        raise ValueError("model.centre_square=True and model.stretch_to_square=True exclude each other: take one.")


def resize_short_side(image: np.ndarray, short_side: int, name: str = "") -> np.ndarray:
    """Resize to a short side, keeping the aspect ratio: MMCV's ``Resize(scale=(2048, S), keep_ratio=True)``.

    factor = min(2048 / long side, S / short side); new size = int(size * factor + 0.5); OpenCV bilinear.

    Args:
        image: (H, W, 3) uint8.
        short_side: S, pixels (> 0).
        name: of the image, for messages.

    Returns:
        (h, w, 3) uint8.

    Raises:
        ValueError: the image is so long that its short side would vanish.
    """
    height, width = image.shape[:2]
    if min(height, width) * max(LONG_CAP, short_side) < 0.5 * max(height, width):
        raise ValueError(
            f"The image {name or '(no path)'} of {height}x{width} pixels (height x width) is too elongated: nothing of"
            " its short side is left after resizing."
        )
    resized: np.ndarray = mmcv.imrescale(image, (LONG_CAP, short_side), interpolation="bilinear", backend="cv2")
    return resized


def stretch_to_square(image: np.ndarray, side: int) -> np.ndarray:
    """Resize to a square with Pillow's bicubic filter, whatever the aspect ratio: torchvision's ``Resize((S, S))``.

    Args:
        image: (H, W, 3) uint8; the order of the channels does not matter.
        side: S, pixels (> 0).

    Returns:
        (S, S, 3) uint8.
    """
    return np.array(Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BICUBIC))


def cut_centre_square(image: np.ndarray, side: int) -> np.ndarray:
    """Resize to a short side with Pillow's bicubic filter and cut out the square in the middle.

    This is CLIP's own preprocessing (torchvision's ``Resize`` and ``CenterCrop``), in which CLIPtrase is evaluated.

    Args:
        image: (H, W, 3) uint8; a filter treats the channels alike, so their order does not matter.
        side: pixels of the square's side.

    Returns:
        (side, side, 3) uint8.
    """
    return np.array(_cut(Image.fromarray(np.ascontiguousarray(image)), side, Image.Resampling.BICUBIC))


def cut_centre_square_labels(labels: np.ndarray, side: int) -> np.ndarray:
    """The same of labels (H, W), resized to the nearest: (side, side) int64."""
    image = Image.fromarray(labels.astype(np.int32))
    return np.asarray(_cut(image, side, Image.Resampling.NEAREST)).astype(np.int64)


def _cut(image: Image.Image, side: int, resample: Image.Resampling) -> Image.Image:
    # torchvision's rounding: the long side down, the corner half to even.
    width, height = (int(side * pixels / min(image.size)) for pixels in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.resize((width, height), resample).crop((left, top, left + side, top + side))
