"""The whole way, with a made-up repository and a small random CLIP: checks, shared files, pairs, table."""

import shutil

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.official import run as run_module
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.run import choose_code, time_against
from tests.profiling.official.conftest import CPU

SMALL = {"model.short_side": 32}


@pytest.fixture
def against(repository, tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "write_random_clip", lambda path, _: shutil.copy(tiny_clip, path))
    image = make_noise_image(tmp_path / "noise.jpg", (32, 48))
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def call(config, **options):
        usual = {"changes": {}, "precisions": ["fp32"], "device": CPU, "repeats": 2, "scratch": scratch}
        return time_against(config, repository, image, **{**usual, **options})

    return call


def test_both_sides_are_timed_on_the_same_image(against, repository):
    source = repository / "naclip.py"
    words = "self.query_features = torch.zeros(2, 1)\n        self.words"
    source.write_text(source.read_text().replace("self.words", words, 1))
    found = against(load_config("naclip_vit-b16_voc20", SMALL), precisions=["fp32", "bf16"])
    assert (found.config, found.code, found.image) == ("naclip_vit-b16_voc20", "theirs @ unknown commit", "32x48")
    assert set(found.pairs) == {"fp32", "bf16"}
    assert len(found.pairs["fp32"].official) == 2
    assert found.pairs["fp32"].agreement < 0.9  # what is made up labels by brightness
    assert "the two did not compute the same" in found.remarks[0]


def test_every_driver_knows_its_folder(repository, tmp_path):
    for name in ("gem/gem_wrapper", "clip/clip_surgery_model", "clip_self_correlation"):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
        assert sum(driver.is_one(tmp_path) for driver in run_module._DRIVERS) == 1
        file.unlink()
    assert [driver for driver in run_module._DRIVERS if driver.is_one(repository)] == [Checkout]
    with pytest.raises(FileNotFoundError, match="no repository whose code the command can run"):
        choose_code(load_config("naclip_vit-b16_voc20"), tmp_path, {}, None)


def test_mistakes_are_found_before_anything_slow(against, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "write_random_clip", None)
    with pytest.raises(ValueError, match="theirs has the code of NACLIP"):
        against(load_config("sclip_vit-b16_voc20", SMALL))
    with pytest.raises(ValueError, match="is a config of RFCLIP"):
        against(load_config("rf_clip_vit-b16_voc20", SMALL))
    with pytest.raises(ValueError, match="--hub: the code of theirs asks"):
        against(load_config("naclip_vit-b16_voc20", SMALL), hub=tmp_path)
    with pytest.raises(ValueError, match="theirs has no settings for 'voc21'"):
        against(load_config("naclip_vit-b16_voc21", SMALL))
