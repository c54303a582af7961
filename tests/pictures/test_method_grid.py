"""Several methods on the same samples."""

import numpy as np
import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.pictures.method_grid import draw_method_grid
from tests.parity.cases import FOLDER

CONFIGS = FOLDER.parents[1] / "configs"


def pocket(method, tmp_path, weights):
    options = {
        "model.backbone.pretrained": str(weights),
        "model.backbone.arch": "auto",
        "model.decode_head.templates": "photo",
        "test_dataloader.dataset.data_root": str(tmp_path / "pocket"),
        "short_side": 64,
    }
    return load_config(CONFIGS / method / f"{method}_vit-pocket_pocket_all.py", options)


def test_one_row_per_sample_and_one_column_per_method(tmp_path, mini_clip):
    configs = [pocket(method, tmp_path, mini_clip) for method in ("clip", "sclip")]
    picture = np.array(draw_method_grid(configs, [0, 5], "cpu"))
    assert picture.shape[1] == 4 * 256 + 5 * 6
    assert picture.shape[0] == 2 * 256 + 3 * 6 + 2 * 22
    image, annotation = picture[22:278, 6:262], picture[22:278, 268:524]
    assert not np.array_equal(image, annotation)


def test_mistakes_are_named(tmp_path, mini_clip):
    config = pocket("clip", tmp_path, mini_clip)
    with pytest.raises(ValueError, match=r"Sample 200 does not exist: pocket_all has 0 .. 199"):
        draw_method_grid([config], [200], "cpu")
    other = load_config(CONFIGS / "clip/clip_vit-pocket_pocket_thing.py")
    with pytest.raises(ValueError, match="must share one dataset, but have pocket_all, pocket_thing"):
        draw_method_grid([config, other], [0], "cpu")
