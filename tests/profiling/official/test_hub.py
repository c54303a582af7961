"""Both sides have the same random DINO, and nothing is downloaded."""

import pytest
import torch
from mmengine.config import Config

from mmseg_tfovss.encoders.facebook_vit import DINO_LAYOUT
from mmseg_tfovss.profiling.official import hub as hub_module
from mmseg_tfovss.profiling.official.hub import instead_of_downloads, random_dino, share_dino

HUBCONF = """
import torch
def dino_vitb8(pretrained=True):
    assert not pretrained
    return torch.nn.Linear(2, 1)
"""


@pytest.fixture
def dino(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "random_dino", lambda patch: {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    config = Config({"model": {"vfm": {"type": "DINO"}}})
    path = share_dino(config, tmp_path / "dino.pth")
    assert config.model.vfm.pretrained == str(path)
    return path


def test_random_weights_are_in_the_authors_layout():
    tensors = random_dino(128, 2)
    config, _ = DINO_LAYOUT.convert(tensors)
    assert (config["num_hidden_layers"], config["patch_size"], config["image_size"]) == (2, 8, 224)
    assert random_dino(128, 1, patch=16)["patch_embed.proj.weight"].shape == (128, 3, 16, 16)
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in tensors.values())


def test_a_file_asked_for_is_ours(dino):
    with instead_of_downloads(dino, None):
        assert torch.hub.load_state_dict_from_url(url="https://example.org/dino.pth")["weight"].sum() == 2


def test_a_network_asked_for_comes_from_a_checkout(dino, tmp_path):
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    with instead_of_downloads(dino, tmp_path):
        network = torch.hub.load("facebookresearch/dino:main", "dino_vitb8")
    assert network.weight.sum() == 2


def test_without_a_checkout_of_it_the_remedy_is_named(dino, tmp_path):
    with (
        instead_of_downloads(dino, None),
        pytest.raises(ValueError, match=r"dino_vitb8 of facebookresearch/dino:main .* name the folder by --hub"),
    ):
        torch.hub.load("facebookresearch/dino:main", "dino_vitb8")
    (tmp_path / "empty").mkdir()
    with instead_of_downloads(dino, tmp_path / "empty"), pytest.raises(FileNotFoundError, match=r"no hubconf\.py"):
        torch.hub.load("facebookresearch/dino:main", "dino_vitb8")


def test_other_networks_than_dino_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model\.vfm is SAM"):
        share_dino(Config({"model": {"vfm": {"type": "SAM"}}}), tmp_path / "dino.pth")
    with pytest.raises(ValueError, match=r"ViT-B/8 or ViT-B/16, but model\.vfm\.pretrained is 'dino-vits8'"):
        share_dino(Config({"model": {"vfm": {"type": "DINO", "pretrained": "dino-vits8"}}}), tmp_path / "dino.pth")
    assert share_dino(Config({"model": {"type": "SCLIP"}}), tmp_path / "dino.pth") is None
