"""A random DINO is one that our DINO reads."""

import pytest
import torch

from mmseg_tfovss.encoders.facebook_vit import DINO_LAYOUT
from mmseg_tfovss.profiling.random_weights import dino as module
from mmseg_tfovss.profiling.random_weights.dino import random_dino, take_random_dino


def test_random_weights_are_in_the_authors_layout():
    tensors = random_dino(128, 2)
    config, _ = DINO_LAYOUT.convert(tensors)
    assert (config["num_hidden_layers"], config["patch_size"], config["image_size"]) == (2, 8, 224)
    assert random_dino(128, 1, patch=16)["patch_embed.proj.weight"].shape == (128, 3, 16, 16)
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in tensors.values())


@pytest.mark.parametrize(
    ("settings", "patch"),
    [({}, 8), ({"pretrained": "facebook/dino-vitb16"}, 16), ({"pretrained": "x/dino_vitbase8_pretrain.pth"}, 8)],
)
def test_patches_are_those_of_the_named_network(settings, patch, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "random_dino", lambda patch: {"patch": torch.tensor(patch)})
    network = {"type": "DINO", **settings}
    path = take_random_dino(network, "model.vfm", tmp_path)
    assert network["pretrained"] == str(path)
    assert torch.load(path)["patch"] == patch


def test_other_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"but model\.graph\.pretrained is 'dino-vits8': take facebook/dino-vitb8"):
        take_random_dino({"pretrained": "dino-vits8"}, "model.graph", tmp_path)
