"""Overlays of a test run."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.leaderboard.results import collect_results
from mmseg_tfovss.pictures.hook import OverlayHook
from tests.engine.test_run import CONFIG, SIZES, make_voc, small_options


@pytest.fixture
def config(mini_clip, tmp_path):
    return load_config(CONFIG, small_options(make_voc(tmp_path), mini_clip, tmp_path / "work"))


def drawn(config):
    return sorted(path.name for path in Path(config.work_dir, "overlays").glob("*"))


def test_some_images_evenly_spread(config):
    plain = run_test(config)
    assert not Path(config.work_dir, "overlays").exists()
    result = run_test(config, hooks=[OverlayHook(2)])
    assert result["metrics"] == plain["metrics"]
    assert drawn(config) == ["0_overlay.png", "2_overlay.png"]
    picture = np.asarray(Image.open(Path(config.work_dir, "overlays/2_overlay.png")))
    assert picture.shape[0] >= SIZES[2][0]
    assert picture.shape[1] > SIZES[2][1]
    [run] = collect_results([Path(config.work_dir) / "result.json"]).runs
    assert [path.name for path in run.overlays] == drawn(config)


@pytest.mark.slow
def test_more_than_there_are_and_pictures_of_earlier_runs(config):
    run_test(config, hooks=[OverlayHook(99)])
    assert len(drawn(config)) == len(SIZES)
    run_test(config, hooks=[OverlayHook(1)])
    assert drawn(config) == ["0_overlay.png"]
    assert len(list(Path(config.work_dir, "overlays.1").iterdir())) == len(SIZES)
    Path(config.work_dir, "result.json").unlink()
    run_test(config, hooks=[OverlayHook(2)])
    assert drawn(config) == ["0_overlay.png", "2_overlay.png"]


def test_an_interrupted_run_draws_what_it_has_and_a_resumed_one_the_rest(config, tmp_path):
    gone = tmp_path / "VOC2012/JPEGImages/2.jpg"
    kept = gone.read_bytes()
    gone.write_bytes(b"broken".ljust(len(kept)))
    with pytest.raises(ValueError, match=r"2\.jpg"):
        run_test(config, hooks=[OverlayHook(3)])
    assert drawn(config) == ["0_overlay.png", "1_overlay.png"]
    gone.write_bytes(kept)
    run_test(config, resume=True, hooks=[OverlayHook(3)])
    assert drawn(config) == ["0_overlay.png", "1_overlay.png", "2_overlay.png"]


def test_pictures_that_a_killed_run_has_not_drawn_are_named(config, tmp_path, caplog):
    gone = tmp_path / "VOC2012/JPEGImages/2.jpg"
    kept = gone.read_bytes()
    gone.write_bytes(b"broken".ljust(len(kept)))
    with pytest.raises(ValueError, match=r"2\.jpg"):
        run_test(config, hooks=[OverlayHook(3)])
    Path(config.work_dir, "overlays/0_overlay.png").unlink()
    gone.write_bytes(kept)
    run_test(config, resume=True, hooks=[OverlayHook(3)])
    assert drawn(config) == ["1_overlay.png", "2_overlay.png"]
    assert "no overlays of 0: they were labelled before the run was interrupted." in caplog.text


def test_colours_are_the_datasets_over_the_image_in_greys(config, tmp_path):
    red = tmp_path / "VOC2012/JPEGImages/0.jpg"
    Image.new("RGB", (60, 40), (250, 0, 0)).save(red)
    run_test(config, hooks=[OverlayHook(1)])
    picture = np.asarray(Image.open(Path(config.work_dir, "overlays/0_overlay.png")))[:40, :60]
    found = np.unique(picture.reshape(-1, 3), axis=0).astype(float)
    palette = np.array(PascalVOCDataset.METAINFO["palette"])
    expected = 0.7 * palette + 0.3 * 0.299 * 250
    assert (np.abs(found[:, None] - expected).max(-1).min(1) <= 1).all()  # JPEG's red is not quite 250


def test_a_full_disk_costs_no_result(config, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "overlays/0_overlay.png")

    monkeypatch.setattr(Image.Image, "save", full)
    assert run_test(config, hooks=[OverlayHook(1)])["num_images"] == len(SIZES)
    assert "the overlays could not be written: overlays/0_overlay.png: No space left" in caplog.text


def test_images_of_one_name_in_several_folders_stay_apart():
    hook = OverlayHook(1)
    hook._folder = "data/images"
    assert [hook._name(f"data/images/{name}.jpg") for name in ("a/0", "b/0", "7")] == ["a_0", "b_0", "7"]
    assert hook._name("elsewhere/c/0.jpg") == "0"


def test_none_is_no_count():
    with pytest.raises(ValueError, match="--overlays must be at least 1, but got 0"):
        OverlayHook(0)
