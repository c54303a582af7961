"""Images and weights that go wrong while a run is under way."""

import json

import cv2
import numpy as np
import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import run
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.state import StateFolder
from tests.engine.test_run import CONFIG, SIZES, make_voc, small_options
from tests.robustness.kill import interrupt


@pytest.fixture
def config(tmp_path, mini_clip):
    return load_config(CONFIG, small_options(make_voc(tmp_path), mini_clip, tmp_path / "work"))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_image_that_vanishes_is_named_and_comes_back(config, tmp_path, monkeypatch, workers):
    whole = run_test(config)
    image = tmp_path / "VOC2012/JPEGImages/2.jpg"
    config.test_dataloader.num_workers = workers
    begin = run.ResumableTestLoop.begin
    monkeypatch.setattr(
        run.ResumableTestLoop,
        "begin",
        lambda loop, peers: (begin(loop, peers), image.rename(image.with_suffix(".gone"))),
    )
    with pytest.raises(FileNotFoundError, match=r"The image .*2\.jpg does not exist"):
        run_test(config)
    assert [part.images for part in StateFolder(tmp_path / "work")._parts()] == [2]
    monkeypatch.undo()
    image.with_suffix(".gone").rename(image)
    rest = run_test(config, resume=True)
    assert (rest["metrics"], rest["num_images"]) == (whole["metrics"], len(SIZES))


@pytest.mark.parametrize("method", ["sclip", "cliptrase"])
def test_logits_of_damaged_weights_stop_the_run_and_name_the_image(method, config, mini_state, tmp_path):
    weights = dict(mini_state)
    weights["visual.proj"] = torch.full_like(weights["visual.proj"], torch.nan)
    torch.save(weights, tmp_path / "damaged.pt")
    options = small_options(tmp_path / "VOC2012", tmp_path / "damaged.pt", tmp_path / "damaged")
    if method == "cliptrase":
        options = {key: value for key, value in options.items() if "test_cfg" not in key}
    config = load_config(CONFIG.parents[1] / method / f"{method}_vit-b16_voc21.py", options)
    with pytest.raises(ValueError, match=r"The logits of the image .*0\.jpg are not numbers .*the weights are damaged"):
        run_test(config)
    assert not (tmp_path / "damaged/result.json").exists()


def test_unlabelled_images_and_another_formula_are_resumed_too(mini_clip, tmp_path, monkeypatch):
    """CLIPtrase's own metric."""
    root = make_voc(tmp_path)
    cv2.imwrite(str(root / "SegmentationClass/0.png"), np.zeros(SIZES[0], np.uint8))
    options = {key: v for key, v in small_options(root, mini_clip, tmp_path / "whole").items() if "test_cfg" not in key}
    path = CONFIG.parents[1] / "cliptrase" / "cliptrase_vit-b16_voc21.py"
    whole = run_test(load_config(path, options))
    config = load_config(path, {**options, "work_dir": str(tmp_path / "run")})
    interrupt(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_test(config)
    monkeypatch.undo()
    rest = run_test(config, resume=True)
    assert json.dumps(rest["per_class"]) == json.dumps(whole["per_class"])
    assert (rest["metrics"], rest["num_images"]) == (whole["metrics"], len(SIZES))
