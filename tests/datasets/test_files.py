"""Image and label files: decoded as the field does, or refused with the reason."""

import io
import os
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmseg_tfovss.datasets.files import check_pair, image_orientation, load_image, load_labels, read_image, read_labels

BOTH = pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_labels, "annotation")])


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


@BOTH
def test_missing_file_is_named(read, kind, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"The {kind} .*a\.png does not exist"):
        read(tmp_path / "a.png")


@BOTH
def test_empty_file_is_named(read, kind, tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.png is empty \(0 bytes\)"):
        read(tmp_path / "a.png")


@BOTH
def test_folder_is_named(read, kind, tmp_path):
    with pytest.raises(ValueError, match=rf"The {kind} .* is a folder: name a file\."):
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


@BOTH
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


def turn(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def little_tiff(values, bits, numbers=1, white=1):
    """An uncompressed TIFF of one strip: what Pillow does not write itself."""
    height, width = values.shape
    data = values.tobytes()
    if bits < 8:
        packed = values.reshape(height, -1, 8 // bits).astype(np.uint8)
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        data = (packed << shifts).sum(axis=-1).astype(np.uint8).tobytes()
    data += b"\0" * (len(data) % 2)
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, white), (273, 8), (277, 1), (278, height)]
    entries += [(279, len(data)), (339, numbers)]
    listing = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + listing + b"\0" * 4


def little_png(values, bits):
    """A grey PNG of 2 or 4 bits, which Pillow does not write."""
    height, width = values.shape
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    packed = (values.reshape(height, -1, 8 // bits).astype(np.uint8) << shifts).sum(axis=-1).astype(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def huge_png(side):
    """A picture of few bytes that says it has so many pixels."""
    small = little_png(np.zeros((1, 4)), 2)
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_to_images(orientation, suffix, tmp_path):
    path = save(colours(), tmp_path / f"a.{suffix}", exif=turn(orientation), lossless=True)
    found, applied = load_image(path)
    assert applied == image_orientation(path) == orientation
    assert np.array_equal(found, cv2.imread(str(path)))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied_to_labels(orientation, suffix, tmp_path):
    path = save(colours(channels=0), tmp_path / f"a.{suffix}", exif=turn(orientation))
    found, applied = load_labels(path)
    assert applied == orientation
    assert np.array_equal(found, turned(orientation))


def turned(orientation):
    """What Pillow makes of a JPEG-like tag on the same pixels."""
    image = Image.fromarray(colours(channels=0))
    image.getexif()[0x0112] = orientation
    return np.array(ImageOps.exif_transpose(image))


def test_a_tiff_photograph_that_is_to_be_turned_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.tif has an orientation tag \(TIFF\): save it upright"):
        read_image(save(colours(), tmp_path / "a.tif", exif=turn(3)))


@pytest.mark.parametrize(("image", "labels"), [(1, 1), (3, 3), (6, 6)])
def test_a_pair_turned_alike_is_read(image, labels):
    check_pair("a.jpg", (30, 30), image, "a.png", (np.zeros((30, 30)), labels))


@pytest.mark.parametrize(("image", "labels"), [(1, 3), (3, 1), (6, 1), (1, 8), (5, 6), (2, 4)])
def test_a_pair_turned_differently_is_refused_where_sizes_do_not_tell(image, labels):
    message = rf"a\.jpg has the EXIF orientation {image} and its annotation a\.png has {labels}"
    with pytest.raises(ValueError, match=message):
        check_pair("a.jpg", (30, 30), image, "a.png", (np.zeros((30, 30)), labels))


def test_sizes_tell_that_an_annotation_without_the_tag_is_upright():
    check_pair("a.jpg", (40, 30), 6, "a.png", (np.zeros((40, 30)), 1))
    for image in (3, 6):  # upside down keeps the size
        with pytest.raises(ValueError, match=r"unknown which pixels|pixels, but its image"):
            check_pair("a.jpg", (40, 30), image, "a.png", (np.zeros((40, 30) if image == 3 else (30, 40)), 1))


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(
    ("kind", "how", "named"),
    [
        ("JPEG", {}, "JPEG"),
        ("WEBP", {}, "WEBP"),
        ("JPEG2000", {}, "JPEG2000"),
        ("AVIF", {}, "AVIF"),
        ("TIFF", {"compression": "jpeg"}, "TIFF with jpeg compression"),
        ("PPM", {}, "PPM"),
        ("GIF", {}, "GIF"),
    ],
)
def test_labels_that_lost_something_are_refused_by_what_is_inside(kind, how, named, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colours(64, 64, channels=0)).save(path, kind, **how)
    with pytest.raises(
        ValueError, match=rf"The annotation .*a\.{suffix} is in the format {named}, whatever .* make it again"
    ):
        read_labels(path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_lossless_labels_are_read_whatever_their_name(kind, tmp_path):
    Image.fromarray(colours(channels=0)).save(tmp_path / "a.jpg", kind)
    assert np.array_equal(read_labels(tmp_path / "a.jpg"), colours(channels=0))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_lossless_tiffs_are_read(compression, tmp_path):
    path = save(colours(channels=0), tmp_path / "a.tif", compression=compression)
    assert np.array_equal(read_labels(path), colours(channels=0))


@pytest.mark.parametrize("make", [little_png, little_tiff])
@pytest.mark.parametrize("bits", [2, 4])
def test_labels_of_few_bits_are_not_stretched(bits, make, tmp_path):
    labels = np.random.default_rng(0).integers(0, 2**bits, (6, 8))
    (tmp_path / "a").write_bytes(make(labels, bits))
    assert np.array_equal(read_labels(tmp_path / "a"), labels)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
def test_labels_with_a_sign_are_right_or_refused(kind, tmp_path):
    labels = np.array([[0, 5], [20, 127]], kind)
    (tmp_path / "a.tif").write_bytes(little_tiff(labels, labels.itemsize * 8, numbers=2))
    assert np.array_equal(read_labels(tmp_path / "a.tif"), labels)
    (tmp_path / "a.tif").write_bytes(little_tiff(labels - 1, labels.itemsize * 8, numbers=2))
    with pytest.raises(ValueError, match=r"a\.tif holds the label -1: class ids"):
        read_labels(tmp_path / "a.tif")


def test_labels_of_32_bits_are_kept(tmp_path):
    labels = np.array([[0, 65536], [7, 2**32 - 1]], np.uint32)
    (tmp_path / "a.tif").write_bytes(little_tiff(labels, 32))
    assert np.array_equal(read_labels(tmp_path / "a.tif"), labels)


@pytest.mark.parametrize(("form", "numbers"), [(np.float16, 3), (np.float32, 3), (np.float64, 3), (np.int64, 2)])
@BOTH
def test_other_numbers_are_refused(read, kind, form, numbers, tmp_path):
    values = np.ones((4, 4), form)
    (tmp_path / "a.tif").write_bytes(little_tiff(values, values.itemsize * 8, numbers=numbers))
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.tif "):
        read(tmp_path / "a.tif")


def test_a_tiff_in_which_0_is_white_is_refused_as_labels(tmp_path):
    (tmp_path / "a.tif").write_bytes(little_tiff(colours(channels=0), 8, white=0))
    with pytest.raises(ValueError, match=r"a\.tif is a TIFF file in which 0 is white"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "LA", "1", "YCbCr", "LAB"])
def test_colours_are_no_labels(mode, tmp_path):
    Image.fromarray(colours()).convert("L" if mode == "LA" else "RGB").convert(mode).save(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as saved:  # older versions of Pillow read YCbCr as RGB
        mode = saved.mode
    with pytest.raises(ValueError, match=rf"a\.tif has the colour mode {mode}; expected one channel"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["tif", "gif", "png"])
@BOTH
def test_several_pictures_in_one_file_are_refused(read, kind, suffix, tmp_path):
    pictures = [Image.fromarray(colours(channels=0, seed=seed)) for seed in range(3)]
    pictures[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pictures[1:])
    message = "is in the format GIF" if (suffix, kind) == ("gif", "annotation") else "holds 3 pictures"
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.{suffix} {message}"):
        read(tmp_path / f"a.{suffix}")


def test_a_photograph_with_previews_of_itself_is_read(tmp_path):
    pictures = [Image.fromarray(colours(seed=seed)) for seed in range(2)]
    pictures[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=pictures[1:])
    assert np.array_equal(read_image(tmp_path / "a.jpg"), cv2.imread(str(tmp_path / "a.jpg")))
    with pytest.raises(ValueError, match=r"a\.jpg is in the format JPEG"):
        read_labels(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_photographs_in_cmyk_have_their_colours(suffix, tmp_path):
    image = Image.fromarray(np.kron(colours(6, 8), np.ones((8, 8, 1), np.uint8))).convert("CMYK")
    image.save(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as again:
        expected = np.array(again.convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / f"a.{suffix}")[..., ::-1] - expected).max() <= 2


def test_colours_that_opencv_takes_for_others_are_refused(tmp_path):
    Image.fromarray(colours()).convert("LAB").save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif has the colour mode LAB: save it as RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("kind", "message"),
    [(np.float32, "fractions"), (np.int16, "integers of more than 8 bits"), (np.int8, "8 bits with a sign")],
)
def test_images_of_other_numbers_are_refused(kind, message, tmp_path):
    values = colours(channels=0).astype(kind)
    numbers = 3 if kind is np.float32 else 2
    (tmp_path / "a.tif").write_bytes(little_tiff(values, values.itemsize * 8, numbers=numbers))
    with pytest.raises(ValueError, match=rf"a\.tif has {message} per channel; convert it to 8 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("side", [12_000, 40_000])
@BOTH
def test_decompression_bombs_are_refused_before_they_are_decoded(read, kind, side, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(huge_png(side))
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"The {kind} .*a\.png has {side**2} pixels, but at most 134217728 are read"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@BOTH
def test_pipes_and_dangling_links_are_named(read, kind, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=rf"The {kind} .*pipe\.png is no file but a device or a pipe"):
        read(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("gone.png")
    with pytest.raises(FileNotFoundError, match=rf"The {kind} .*link\.png links to gone\.png, which does not exist"):
        read(tmp_path / "link.png")


def test_a_file_name_of_other_bytes_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"photo\xff.png")
    assert np.array_equal(read_labels(save(colours(channels=0), path)), colours(channels=0))
    assert read_image(path).shape == (40, 30, 3)


def test_formats_that_a_build_of_pillow_lacks_are_left_out(monkeypatch):
    from mmseg_tfovss.datasets import files

    assert {"JPEG", "PNG", "TIFF"} <= set(files.formats())
    files.formats.cache_clear()
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    monkeypatch.setattr(Image, "init", lambda: None)
    assert "AVIF" not in files.formats()
    files.formats.cache_clear()


def damaged(raw, draw):
    """The bytes with some changed, cut off, doubled or put elsewhere."""
    raw = bytearray(raw)
    for _ in range(int(draw.integers(1, 4))):
        place, length = (int(draw.integers(0, len(raw) + 1)) for _ in range(2))
        match int(draw.integers(0, 5)):
            case 0:
                del raw[place:]
            case 1:
                raw[place:place] = raw[place : place + length // 8]
            case 2:
                del raw[place : place + length // 16]
            case _ if place < len(raw):
                raw[place] ^= int(draw.integers(1, 256))
    return bytes(raw)


def fuzz(seed, rounds, tmp_path):
    """How many damaged files were refused; what is read of a PNG is what was written."""
    draw, refused = np.random.default_rng(seed), 0
    labels = draw.integers(0, 21, (23, 17), dtype=np.uint8)
    forms = [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("JPEG", {}), ("BMP", {}), ("GIF", {})]
    forms += [("WEBP", {"lossless": True}), ("PNG", {"exif": turn(6)}), ("JPEG", {"exif": turn(5)})]
    for round_number in range(rounds):
        form, how = forms[round_number % len(forms)]
        file = io.BytesIO()
        Image.fromarray(labels).save(file, form, **how)
        (tmp_path / "a.png").write_bytes(file.getvalue())
        whole = {read: attempt(read, tmp_path / "a.png") for read in (read_image, read_labels)}
        (tmp_path / "a.png").write_bytes(damaged(file.getvalue(), draw))
        for read, expected in whole.items():
            found = attempt(read, tmp_path / "a.png")
            refused += found is None
            if form == "PNG" and found is not None:
                assert np.array_equal(found, expected), (seed, round_number)
    return refused


def attempt(read, path):
    """The pixels, or nothing where a sentence names the file."""
    try:
        return read(path)
    except ValueError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


def test_damaged_files_are_refused_in_a_sentence_or_read_as_they_were(tmp_path):
    assert fuzz(0, 180, tmp_path) > 90


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_damaged_files(seed, tmp_path):
    assert fuzz(seed, 1000, tmp_path) > 500
