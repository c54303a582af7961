"""Layouts: the folders that the configs read, and what is there of a dataset."""

from dataclasses import replace

import pytest

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.prepare.layout import LAYOUTS, Layout
from tests.prepare import official

FOLDER = Layout("set", "images", "labels", label_suffix="_ids.png")
LISTED = replace(FOLDER, listing="lists/val.txt")


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def write_list(root, text):
    touch(root / "set/lists/val.txt")
    (root / "set/lists/val.txt").write_bytes(text)


@pytest.mark.parametrize("key", PREPARED)
def test_layout_is_that_of_the_config(key, tmp_path):
    settings, layout = official.config_settings(key), LAYOUTS[key]
    assert settings.data_root == f"data/{layout.folder}"
    assert settings.data_prefix == {"img_path": layout.images, "seg_map_path": layout.labels}
    assert settings.get("ann_file") == layout.listing
    built = official.empty_dataset(key, tmp_path)
    assert (built.img_suffix, built.seg_map_suffix) == (layout.image_suffix, layout.label_suffix)


def test_every_prepared_benchmark_has_a_layout():
    assert set(LAYOUTS) == set(PREPARED) == {key for key in FACTS if not key.startswith("pocket")}


def test_paths(tmp_path):
    assert FOLDER.image(tmp_path, "a/b") == tmp_path / "set/images/a/b.jpg"
    assert FOLDER.label(tmp_path, "a.b") == tmp_path / "set/labels/a.b_ids.png"


def test_images_of_a_folder_are_sorted_with_subfolders_and_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.jpg", "town/c.jpg", ".a.123.jpg", "town/.c.123.jpg", "a.png", "d.jpg.part"):
        touch(tmp_path / "set/images" / name)
    assert FOLDER.stems(tmp_path) == ["a", "b", "town/c"]


def test_without_a_folder_there_are_no_images_and_annotations(tmp_path):
    assert FOLDER.stems(tmp_path) == FOLDER.label_stems(tmp_path) == []


def test_annotations_of_another_ending_are_of_another_benchmark(tmp_path):
    for name in ("a_ids.png", "a_other.png", "b_other.png", ".b_ids.123_ids.png"):
        touch(tmp_path / "set/labels" / name)
    assert FOLDER.label_stems(tmp_path) == ["a"]


@pytest.mark.parametrize("text", [b"b\na\n", b"b\r\na\r\n", b"b \n a"])
def test_images_of_a_list_are_its_lines(text, tmp_path):
    write_list(tmp_path, text)
    assert LISTED.stems(tmp_path) == ["b", "a"]
    assert LISTED.has_list(tmp_path)


def test_missing_list_is_named(tmp_path):
    assert not LISTED.has_list(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"The list of images .*set/lists/val\.txt does not exist\."):
        LISTED.stems(tmp_path)


def test_folder_in_place_of_the_list_is_no_list(tmp_path):
    (tmp_path / "set/lists/val.txt").mkdir(parents=True)
    assert not LISTED.has_list(tmp_path)
    assert not FOLDER.has_list(tmp_path)
    assert not LISTED.complete(tmp_path, 0)


@pytest.mark.parametrize("layout", [FOLDER, LISTED])
def test_complete_means_that_number_of_images_and_all_annotations(layout, tmp_path):
    assert not layout.complete(tmp_path, 2)
    write_list(tmp_path, b"a\nb\n")
    for stem in "ab":
        assert not layout.complete(tmp_path, 2)
        touch(layout.image(tmp_path, stem))
        assert not layout.complete(tmp_path, 2)
        touch(layout.label(tmp_path, stem))
    assert layout.complete(tmp_path, 2)
    assert not layout.complete(tmp_path, 1)
    assert not layout.complete(tmp_path, 3)


@pytest.mark.parametrize("layout", [FOLDER, LISTED])
def test_folders_in_place_of_files_are_not_complete(layout, tmp_path):
    write_list(tmp_path, b"a\n")
    touch(layout.image(tmp_path, "a"))
    layout.label(tmp_path, "a").mkdir(parents=True)
    assert not layout.complete(tmp_path, 1)


def test_listed_image_must_exist(tmp_path):
    write_list(tmp_path, b"a\n")
    touch(LISTED.label(tmp_path, "a"))
    touch(LISTED.image(tmp_path, "b"))
    assert not LISTED.complete(tmp_path, 1)
