"""Image and label files: decoded as the field does, or refused with the reason."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.datasets.files import read_image, read_labels


def colours(height=40, width=30, channels=3, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(array, path, **kwargs):
    Image.fromarray(array).save(path, **kwargs)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPG", "bmp", "webp"])
def test_image_is_what_opencv_decodes(suffix, tmp_path):
    path = save(colours(), tmp_path / f"a.{suffix}")
    found = read_image(str(path))
    assert found.dtype == np.uint8
    assert np.array_equal(found, cv2.imread(str(path)))


def test_image_is_bgr(tmp_path):
    assert np.array_equal(read_image(save(colours(), tmp_path / "a.png")), colours()[..., ::-1])


def test_greyscale_becomes_three_equal_channels(tmp_path):
    found = read_image(save(colours(channels=0), tmp_path / "a.png"))
    assert np.array_equal(found, np.repeat(colours(channels=0)[..., None], 3, axis=2))


def test_alpha_is_dropped(tmp_path):
    found = read_image(save(colours(channels=4), tmp_path / "a.png"))
    assert np.array_equal(found, colours(channels=4)[..., 2::-1])


def test_palette_image_gives_its_colours(tmp_path):
    image = Image.fromarray(colours(channels=0) % 2).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    assert {tuple(pixel) for pixel in read_image(tmp_path / "a.png").reshape(-1, 3)} == {(0, 0, 255), (255, 0, 0)}


def test_exif_orientation_is_applied_as_mmcv_does(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    path = save(colours(), tmp_path / "a.jpg", exif=exif)
    assert read_image(path).shape == (30, 40, 3)


def test_16_bit_image_is_refused(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), colours().astype(np.uint16) * 257)
    with pytest.raises(ValueError, match=r"The image .*a\.png has 16 bits per channel; convert it to 8 bits first"):
        read_image(path)


@pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_labels, "annotation")])
def test_missing_file_is_named(read, kind, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"The {kind} .*a\.png does not exist"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_labels, "annotation")])
def test_empty_file_is_named(read, kind, tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.png is empty \(0 bytes\)"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_labels, "annotation")])
def test_folder_is_named(read, kind, tmp_path):
    with pytest.raises(ValueError, match=rf"The {kind} .* cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.98])
@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg"])
def test_truncated_image_is_named(suffix, kept, tmp_path):
    path = save(colours(200, 200), tmp_path / f"a.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=rf"The image .*a\.{suffix} is truncated or damaged"):
        read_image(path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.98])
def test_truncated_annotation_is_named(kept, tmp_path):
    path = save(colours(200, 200, 0), tmp_path / "a.png")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=r"The annotation .*a\.png is truncated or damaged"):
        read_labels(path)


@pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_labels, "annotation")])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_something_else_is_named(suffix, read, kind, tmp_path):
    path = tmp_path / f"a.{suffix}"
    path.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.{suffix} (is truncated or damaged|cannot be decoded)"):
        read(path)


@pytest.mark.parametrize("trailer", [b"\x00" * 7, b"camera notes"])
def test_complete_jpeg_with_a_trailer_is_read(trailer, tmp_path):
    path = save(colours(), tmp_path / "a.jpg")
    expected = read_image(path)
    path.write_bytes(path.read_bytes() + trailer)
    assert np.array_equal(read_image(path), expected)


def test_8_bit_labels_are_kept(tmp_path):
    labels = colours(channels=0)
    found = read_labels(save(labels, tmp_path / "a.png"))
    assert found.dtype == np.int64
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_labels_are_kept(suffix, tmp_path):
    labels = np.array([[0, 255, 256], [459, 846, 65535]], dtype=np.uint16)
    assert np.array_equal(read_labels(save(labels, tmp_path / f"a.{suffix}")), labels)


def test_palette_labels_give_indices(tmp_path):
    labels = np.array([[0, 1, 20], [255, 3, 2]], dtype=np.uint8)
    image = Image.fromarray(labels).convert("P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.putdata(labels.flatten().tolist())
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_labels(tmp_path / "a.png"), labels)


@pytest.mark.parametrize(("channels", "mode"), [(3, "RGB"), (4, "RGBA")])
def test_colour_mask_is_refused(channels, mode, tmp_path):
    path = save(colours(channels=channels), tmp_path / "a.png")
    with pytest.raises(ValueError, match=rf"The annotation .*a\.png has the colour mode {mode}; expected one channel"):
        read_labels(path)


def test_1_bit_mask_is_refused(tmp_path):
    Image.fromarray(colours(channels=0) > 128).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="has the colour mode 1; expected one channel of class ids"):
        read_labels(tmp_path / "a.png")


def test_fractional_labels_are_refused(tmp_path):
    path = save(np.array([[0.5, 1.7]], dtype=np.float32), tmp_path / "a.tif")
    with pytest.raises(ValueError, match="expected one channel of class ids"):
        read_labels(path)
