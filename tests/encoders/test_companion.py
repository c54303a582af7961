"""Companions: a name and a hash without anyone writing one, and what each kind can give."""

import re
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_tfovss.encoders import DINO, MAE, SAM, CLIPGraph, DINOv2, DINOv2Registers, StableDiffusion
from mmseg_tfovss.encoders.companion import Companion, declare
from mmseg_tfovss.encoders.weight_files import hash_tensors
from tests.encoders.test_sam import random_image, tiny_sam  # noqa: F401 - a fixture
from tests.fixtures import READ_ONCE

# Which of the networks that come with the package have what, written down by hand.
HAVING = {
    "features": {"DINO", "DINOv2", "DINOv2Registers", "MAE", "SAM"},
    "projections": {"DINO", "DINOv2", "DINOv2Registers", "MAE"},
    "graph": {"CLIPGraph", "DINO", "DINOv2", "DINOv2Registers", "MAE", "StableDiffusion"},
    "masks": {"SAM"},
}
SENTENCES = {
    "features": "gives no features (B, D, h, w): take one of ",
    "projections": "gives no projections of patches (B, heads, N, d): take one of ",
    "graph": "gives no graph of patches (B, N, N): take one of ",
    "masks": "gives no masks for prompts: take one of ",
}
KINDS = {kind.__name__: kind for kind in (CLIPGraph, DINO, DINOv2, DINOv2Registers, MAE, SAM, StableDiffusion)}


def small(seed=0, **attributes):
    """A network with a parameter, a buffer that is saved and one that is not, in training."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    network.register_buffer("mean", torch.ones(3), persistent=False)
    for name, value in attributes.items():
        setattr(network, name, value)
    return network.train()


# -- a name and a hash ----------------------------------------------------------------------------------------------


def test_any_module_is_frozen_and_gets_a_name_and_a_hash():
    network = small()
    assert declare(network, {"type": "Small", "pretrained": "some/where"}) is network
    assert not network.training
    assert not network[1].training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network.name == "some/where"
    assert re.fullmatch("[0-9a-f]{64}", network.weights_hash)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"type": "Small", "pretrained": "hub/id"}, "hub/id"),
        ({"type": "Small", "pretrained": None}, "Small"),
        ({"type": "Small"}, "Small"),
        ({"type": nn.Sequential}, "Sequential"),
        ({"type": lambda: None}, "Sequential"),
        ({}, "Sequential"),
    ],
)
def test_names_are_where_weights_come_from_or_the_kind(settings, name):
    assert declare(small(), settings).name == name


def test_the_hash_follows_every_tensor():
    """Parameters, and buffers whether they are saved or not; not the name, and not what is no tensor."""
    expected = declare(small(), {"type": "A"}).weights_hash
    again = small(option=3)
    everything = {**dict(again.named_parameters()), **dict(again.named_buffers())}
    assert declare(again, {"type": "B"}).weights_hash == expected == hash_tensors(everything)
    for name in ("0.weight", "0.bias", "1.weight", "1.running_var", "1.num_batches_tracked", "mean"):
        other = small()
        owner, _, tensor = name.rpartition(".")
        getattr(other.get_submodule(owner), tensor).data += 1
        assert declare(other, {"type": "A"}).weights_hash != expected, name
    assert declare(small(seed=1), {"type": "A"}).weights_hash != expected


def test_a_network_keeps_its_own_name_and_hash():
    network = declare(small(name="mine", weights_hash="0" * 64), {"type": "Small", "pretrained": "hub/id"})
    assert (network.name, network.weights_hash) == ("mine", "0" * 64)
    unnamed = declare(small(name=SimpleNamespace(), weights_hash=7), {"type": "Small"})
    assert unnamed.name == "Small"
    assert len(unnamed.weights_hash) == 64


def test_a_name_and_a_hash_are_no_tensors_of_the_network():
    network = small()
    before = list(network.state_dict())
    assert list(declare(network, {"type": "Small"}).state_dict()) == before


def test_a_network_without_tensors_has_a_name_and_a_hash():
    found = declare(nn.Identity(), {"type": "Identity"})
    assert (found.name, found.weights_hash) == ("Identity", hash_tensors({}))


# -- what each can give ---------------------------------------------------------------------------------------------


def ask(network, interface):
    """Call an interface as it is called."""
    images = torch.zeros(1, 3, 32, 32)
    if interface == "masks":
        return list(network.masks(images[0], torch.zeros(1, 2), torch.ones(1, 1)))
    return getattr(network, interface)(images, (4, 4))


@pytest.mark.parametrize("interface", HAVING)
@pytest.mark.parametrize("kind", [*KINDS, "Companion"])
def test_what_a_network_lacks_is_refused_with_those_which_have_it(kind, interface):
    """The sentence needs no weights, and names the network and every one to take in its place."""
    having = HAVING[interface]
    if kind in having:
        assert getattr(KINDS[kind], interface) is not getattr(Companion, interface)
        return
    network = object.__new__(KINDS.get(kind, Companion))
    with pytest.raises(ValueError, match=rf"^{kind} ") as info:
        ask(network, interface)
    sentence = str(info.value).removeprefix(f"{kind} ")
    named = sentence.removeprefix(SENTENCES[interface]).removesuffix(".").split(", ")
    assert sentence.startswith(SENTENCES[interface])
    assert named == sorted(named)
    assert having <= set(named)
    assert not (set(KINDS) - having) & set(named)


def test_a_network_of_somebody_else_lacks_what_it_does_not_say():
    class Own(Companion):
        def features(self, images, grid):
            return images.new_zeros(len(images), 5, *grid)

    network = declare(Own(), {"type": "Own"})
    assert ask(network, "features").shape == (1, 5, 4, 4)
    for interface in ("projections", "graph", "masks"):
        with pytest.raises(ValueError, match=r"^Own gives no "):
            ask(network, interface)


@pytest.fixture(scope="module")
def tiny_vits(tmp_path_factory):
    """A folder for each of DINO's kinds."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    networks = {
        "DINO": transformers.ViTModel(transformers.ViTConfig(**sizes, intermediate_size=64), add_pooling_layer=False),
        "DINOv2": transformers.Dinov2Model(transformers.Dinov2Config(**sizes)),
        "DINOv2Registers": transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(**sizes, num_register_tokens=3)
        ),
        "MAE": transformers.ViTMAEModel(transformers.ViTMAEConfig(**sizes, intermediate_size=64)),
    }
    folders = {}
    for name, network in networks.items():
        folders[name] = tmp_path_factory.mktemp(name)
        network.save_pretrained(folders[name])
        READ_ONCE.add(str(folders[name]))
    return folders


@pytest.mark.parametrize("kind", [DINO, DINOv2, DINOv2Registers, MAE])
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 7)])
@torch.inference_mode()
def test_features_of_dino_lie_on_the_grid_that_is_asked_for(kind, grid, tiny_vits):
    network = kind(str(tiny_vits[kind.__name__]))
    images = torch.stack([random_image(40, 56, seed=seed) for seed in (0, 1)]).float()
    found = network.features(images, grid)
    assert found.shape == (2, 32, *grid)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    tokens = network.tokens(images, grid)
    assert tokens.shape == (2, 1 + grid[0] * grid[1], 32)
    assert torch.equal(found.flatten(2).transpose(1, 2), tokens[:, 1:])
    singles = torch.cat([network.features(image[None], grid) for image in images])
    torch.testing.assert_close(found, singles, atol=1e-5, rtol=0)
    assert (found[0] - found[1]).abs().max() > 1e-3
    half = kind(str(tiny_vits[kind.__name__]), precision="bf16").features(images, grid)
    assert half.dtype == torch.float32
    assert 0 < (half - found).abs().mean() < 0.05


@pytest.fixture(scope="module")
def sam(tiny_sam):  # noqa: F811
    return SAM(str(tiny_sam))


# The tiny SAM sees 64 pixels as 8 x 8 places of 16 channels.
@pytest.mark.parametrize(
    ("size", "whole"),
    [((64, 64), (8, 8)), ((50, 100), (4, 8)), ((100, 50), (8, 4)), ((48, 32), (8, 6)), ((400, 3), (8, 1))],
)
@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (9, 12)])
@torch.inference_mode()
def test_features_of_sam_leave_its_padding_out(size, whole, grid, sam):
    images = torch.stack([random_image(*size, seed=seed) for seed in (0, 1)])
    found = sam.features(images, grid)
    assert found.shape == (2, 16, *grid)
    assert found.isfinite().all()
    for image, features in zip(images, found, strict=True):
        places = sam.embed(image)[0, :, : whole[0], : whole[1]]
        assert torch.equal(sam.features(image[None], whole)[0], places)
        expected = F.interpolate(places[None], size=grid, mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    assert (found[0] - found[1]).abs().max() > 1e-3
    torch.testing.assert_close(sam.features(images.float(), grid), found, atol=1e-6, rtol=0)
