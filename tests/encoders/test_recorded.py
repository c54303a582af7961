"""Recorded maps of instances: which file belongs to an image, what it holds, and what is wrong with it."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.encoders.recorded import check_recorded, read_instances, recorded_file

IDS = np.array([[0, 3, 3], [7, 7, 300]])
PLACE = "model.masks"


def save(path, values, key="instance_mask"):
    np.savez(path, **{key: values})
    return path


def test_a_file_is_for_any_image(tmp_path):
    path = save(tmp_path / "one.npz", IDS)
    assert recorded_file(PLACE, check_recorded(PLACE, str(path)), "") == path
    assert recorded_file(PLACE, path, "elsewhere/cat.jpg") == path


@pytest.mark.parametrize("suffix", [".npz", ".png"])
def test_a_folder_has_a_file_for_each_stem(suffix, tmp_path):
    (tmp_path / f"cat.v2{suffix}").touch()
    source = check_recorded(PLACE, str(tmp_path))
    assert recorded_file(PLACE, source, "elsewhere/cat.v2.jpg") == tmp_path / f"cat.v2{suffix}"


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"model\.masks: there is no file or folder {tmp_path}/none"):
        check_recorded(PLACE, str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=rf"the folder {tmp_path} has no file cat\.npz or cat\.png for .*a/cat"):
        recorded_file(PLACE, tmp_path, "a/cat.jpg")
    with pytest.raises(ValueError, match=r"this image has no path: name one file"):
        recorded_file(PLACE, tmp_path, "")
    for suffix in ("npz", "png"):
        (tmp_path / f"cat.{suffix}").touch()
    with pytest.raises(ValueError, match=r"has cat\.npz and cat\.png: remove one"):
        recorded_file(PLACE, tmp_path, "a/cat.jpg")


@pytest.mark.parametrize(("source", "message"), [(3, "must be a file or a folder .* got 3"), ("", "but got ''")])
def test_no_path_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        check_recorded(PLACE, source)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"a file that ends in \.npz or \.png, but got .*a\.jpg"):
        check_recorded(PLACE, str(tmp_path / "a.jpg"))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.int64, np.uint64])
def test_archives_are_read(kind, tmp_path):
    for values in (IDS, IDS[None]):
        found = read_instances(save(tmp_path / "a.npz", values.astype(kind)))
        assert (found.dtype, found.tolist()) == (np.int64, IDS.tolist())


def test_pictures_are_read(tmp_path):
    """8 bits, 16 bits, a palette's indices and a single mask."""
    small = np.minimum(IDS, 9).astype(np.uint8)
    palette = Image.fromarray(small).convert("P")
    palette.putdata(small.flatten().tolist())
    for picture, expected in (
        (Image.fromarray(small), small),
        (Image.fromarray(IDS.astype(np.uint16)), IDS),
        (palette, small),
        (Image.fromarray(IDS > 0), IDS > 0),
    ):
        picture.save(tmp_path / "a.png")
        assert read_instances(tmp_path / "a.png").tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (IDS.astype(float), r"must hold whole numbers \(H, W\), but holds float64 of the shape \(2, 3\)"),
        (np.zeros((2, 4, 4), int), r"of the shape \(2, 4, 4\)"),
        (np.zeros((0, 4), int), r"of the shape \(0, 4\)"),
        (IDS - 1, r"holds the id -1: ids are 0 or more"),
        (np.array([{"a": 1}], dtype=object), r"cannot be read"),
    ],
)
def test_other_values_are_refused(values, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_instances(save(tmp_path / "a.npz", values))


def test_another_archive_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.npz has no array 'instance_mask', but labels"):
        read_instances(save(tmp_path / "a.npz", IDS, key="labels"))


def test_damaged_files_are_refused(tmp_path):
    whole = save(tmp_path / "a.npz", np.arange(10000).reshape(100, 100)).read_bytes()
    for name, content in (("b.npz", whole[:900]), ("c.npz", b"no archive"), ("d.png", b"\x89PNG"), ("e.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"The instance map .*{name} cannot be read"):
            read_instances(tmp_path / name)


def test_colours_are_refused(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png has the colour mode RGB: expected one channel of ids"):
        read_instances(tmp_path / "a.png")
