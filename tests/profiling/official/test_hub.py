"""Both sides have the same random DINO, and nothing is downloaded."""

import pytest
import torch
from mmengine.config import Config

from mmseg_tfovss.profiling.official.hub import instead_of_downloads, open_hub, share_dino
from mmseg_tfovss.profiling.random_weights import dino as dino_module

HUBCONF = """
import torch
def dino_vitb8(pretrained=True):
    assert not pretrained
    return torch.nn.Linear(2, 1)
"""


@pytest.fixture
def dino(tmp_path, monkeypatch):
    monkeypatch.setattr(dino_module, "random_dino", lambda patch: {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    config = Config({"model": {"vfm": {"type": "DINO"}}})
    path = share_dino(config, tmp_path)
    assert config.model.vfm.pretrained == str(path)
    return path


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


def test_a_folder_that_is_not_there_should_be_a_clone_of_dino(tmp_path):
    told = rf"^--hub {tmp_path}/no: no such folder\. Clone https://github\.com/facebookresearch/dino there\.$"
    with pytest.raises(FileNotFoundError, match=told):
        open_hub(tmp_path / "no")


def test_other_networks_than_dino_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model\.vfm is SAM"):
        share_dino(Config({"model": {"vfm": {"type": "SAM"}}}), tmp_path)
    with pytest.raises(ValueError, match=r"ViT-B/8 or ViT-B/16, but model\.vfm\.pretrained is 'dino-vits8'"):
        share_dino(Config({"model": {"vfm": {"type": "DINO", "pretrained": "dino-vits8"}}}), tmp_path)
    assert share_dino(Config({"model": {"type": "SCLIP"}}), tmp_path) is None
