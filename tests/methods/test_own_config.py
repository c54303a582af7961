"""What the tests of every method build is what a config of it says, as far as the networks are here."""

import pytest
import torch

from mmseg_tfovss.encoders import DINO, SAM, DINOv2, DINOv2Registers, StableDiffusion
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.registry import MODELS
from tests.methods import own_config
from tests.methods.own_config import WHOLE, own_settings, registered_methods


class Fresh(SCLIP):
    """A method that somebody has just written: of whole images, beside a network, with a ranking."""

    def __init__(self, *, gain=1.0, teacher=None, ranking=None, k=10, **kwargs):
        super().__init__(**kwargs)
        if self.mode != "whole":
            raise ValueError("model.test_cfg.mode must be 'whole'.")
        if k:
            raise FileNotFoundError("no ranking")
        self.gain = gain
        self.companion("teacher", teacher)


@pytest.fixture
def with_fresh(tmp_path, monkeypatch):
    """``Fresh`` is registered, and has one config, not on pocket."""
    bases = [str(own_config.CONFIGS / "_base_" / part) for part in ("datasets/voc20.py", "methods/sclip.py")]
    model = {"type": "Fresh", "gain": 2.0, "teacher": {"type": "DINOv2", "layers": [1]}, "ranking": "heads.json"}
    folder = tmp_path / "configs" / "fresh"
    folder.mkdir(parents=True)
    text = f"_base_ = {bases}\nprotocol = 'unified'\nmodel = dict(_base_.unified.model, **{model})\n"
    (folder / "fresh_vit-b16_voc20.py").write_text(text)
    monkeypatch.setattr(own_config, "CONFIGS", tmp_path / "configs")
    monkeypatch.setitem(MODELS.module_dict, "Fresh", Fresh)
    caches = (own_config.own_settings, own_config._likely_models)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_every_method_has_a_config():
    for name in registered_methods():
        settings = own_settings(name)
        assert settings["type"] == name
        assert not {"backbone", "decode_head", "test_cfg"} & set(settings)


def test_the_plainest_config_on_pocket_is_taken():
    assert own_settings("LHTCLIP")["base"] == {"type": "SCLIP"}
    assert own_settings("DSLO")["graph"]["pretrained"] == "pocket"
    assert own_settings("DSLO")["mode"] == "max_velocity"
    assert own_settings("CLIPtraseSAM")["sam"] == {"type": "SAM"}


def test_a_method_of_one_new_file_with_one_config_is_built(with_fresh, build_own):
    model = build_own("Fresh", window_batch=3)
    assert (model.gain, model.window_batch, model.mode) == (2.0, 3, "whole")
    assert isinstance(model.teacher, DINOv2)
    assert model.teacher.layers == (1,)
    assert build_own("Fresh", gain=3.0).gain == 3.0
    assert build_own("Fresh", test_cfg=WHOLE).mode == "whole"


def test_a_mode_that_it_refuses_is_skipped_and_another_error_is_not(with_fresh, build_own):
    with pytest.raises(pytest.skip.Exception, match=r"model\.test_cfg\.mode must be 'whole'"):
        build_own("Fresh", test_cfg=own_config.SLIDE)
    with pytest.raises(ValueError, match="window_batch"):
        build_own("Fresh", test_cfg=own_config.SLIDE, window_batch=0)
    with pytest.raises(ValueError, match="window_batch"):
        build_own("Fresh", window_batch=0)


def test_a_method_without_a_config_is_named(with_fresh):
    with pytest.raises(LookupError, match=r"has model\.type='SCLIP': every method needs one"):
        own_settings("SCLIP")


@pytest.mark.parametrize("kind", [DINO, DINOv2, DINOv2Registers, SAM, StableDiffusion])
def test_networks_whose_weights_are_not_here_are_replaced_at_any_depth(kind, build_own):
    settings = {"type": kind.__name__}
    adapted = build_own.adapted({"type": "DSLO", "base": {"type": "CLIPtrase", "mask_network": settings}, "theta": 0.2})
    found = adapted["base"]["mask_network"]
    assert (adapted["theta"], found["type"]) == (0.2, kind.__name__)
    network = kind(**{name: value for name, value in found.items() if name != "type"})
    assert sum(parameter.numel() for parameter in network.parameters()) < 1e7


@pytest.mark.parametrize("kind", [DINO, DINOv2, DINOv2Registers])
def test_tiny_networks_tell_patches_apart(kind, build_own):
    network = kind(str(build_own.tiny(kind)))
    images = 255 * torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        graph, features = network.graph(images, (6, 5)), network.features(images, (6, 5))
    assert (graph - 1 / 30).abs().max() > 0.005
    assert features.std(dim=(2, 3)).mean() > 0.1


def test_towers_of_their_own_are_the_mini_clip_and_other_networks_stay(build_own):
    tower = {"type": "CLIPImageEncoder", "arch": "ViT-B-16", "position_mode": "exact"}
    found = build_own.adapted({"type": "CLIPGraph", "backbone": tower})
    assert found["backbone"] == {**tower, "arch": "auto", "pretrained": str(build_own.mini_clip)}
    for other in ({"type": "CLIPGraph", "layers": [1]}, {"type": "no such"}, {"gain": 1.0}, {"type": "TextHead"}):
        assert build_own.adapted(other) == other
    pocket = {"type": "StableDiffusion", "pretrained": "pocket", "steps": 2}
    assert build_own.adapted(pocket) == pocket


def test_rankings_that_nobody_has_made_are_left_out_at_any_depth(build_own):
    inner = {"type": "LHTCLIP", "base": {"type": "SCLIP"}, "k": 4, "tau": 0.3}
    found = build_own.adapted({"type": "DSLO", "base": inner})
    assert found["base"] == {**inner, "k": 0, "ranking": None}
