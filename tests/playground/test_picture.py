"""Uploads within bounds, and scenes that need no data folder."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.playground.picture import NUM_SCENES, draw_scenes, fitted_upload
from mmseg_tfovss.pocket.scenes import draw_validation


def test_an_image_within_the_bound_is_taken_as_it_is(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (60, 40)).save(path)
    with fitted_upload(path, 60, tmp_path) as (found, note):
        assert (found, note) == (path, None)
    assert path.exists()


def test_a_larger_one_is_shrunk_for_the_time_being(tmp_path):
    path, folder = tmp_path / "a.jpg", tmp_path / "answer"
    folder.mkdir()
    exif = Image.Exif()
    exif[274] = 6  # a photograph on its side
    Image.new("RGB", (600, 400), "red").save(path, exif=exif)
    with fitted_upload(path, 90, folder) as (found, note):
        assert found == folder / "a.png"
        picture = Image.open(found)
        assert picture.size == (60, 90)
        red, green, blue = picture.getpixel((30, 30))
        assert red > 200 > 60 > max(green, blue)
    assert note.startswith("The image of 400 x 600 pixels was shrunk to 60 x 90, and its masks have that size.")
    assert list(folder.iterdir()) == []


def test_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ValueError, match="truncated or damaged"), fitted_upload(tmp_path / "a.png", 90, tmp_path):
        pass


def test_scenes_are_those_of_the_pocket_benchmark(tmp_path):
    scenes = draw_scenes(tmp_path)
    assert list(scenes)[:2] == [
        "apple, donut, starfish, fish on brick",
        "donut, tree, fish, gift, ball on grass, brick",
    ]
    assert len(scenes) == NUM_SCENES
    for path, scene in zip(scenes.values(), draw_validation(), strict=False):
        assert np.array_equal(np.array(Image.open(path)), scene.image)
