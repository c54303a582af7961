"""CLIP's own graph: against its attention written out, shared with a method or alone."""

import pytest
import torch

from mmseg_tfovss.encoders import CLIPGraph, CLIPImageEncoder
from mmseg_tfovss.encoders.clip_graph import choose_layers
from mmseg_tfovss.encoders.preprocessor import CLIP_MEAN, CLIP_STD, EXACT_MEAN, EXACT_STD


@pytest.fixture
def tower(mini_clip):
    return CLIPImageEncoder("auto", str(mini_clip))


@pytest.fixture
def images():
    return 255 * torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def attached(tower, **options):
    graph = CLIPGraph(**options)
    graph.attach(tower)
    return graph


@torch.inference_mode()
def expected_graph(tower, images, layers, mean=CLIP_MEAN, std=CLIP_STD):
    """Softmax over patches of every head, its mean over heads and layers."""
    tokens = tower.embed((images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    maps = []
    for number, block in enumerate(tower.blocks, start=1):
        query, key, _ = (part[:, :, 1:] for part in block.qkv(tokens))
        if number in layers:
            maps.append((query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1))
        tokens = block(tokens)
    return torch.stack(maps).mean(dim=0)


@pytest.mark.parametrize("layers", [None, [3], [1, 3], [2, 1]])
def test_it_is_the_mean_over_heads_and_chosen_blocks(tower, images, layers):
    found = attached(tower, layers=layers).graph(images, (4, 6))
    torch.testing.assert_close(found, expected_graph(tower, images, layers or [1, 2, 3]))
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 24))
    assert found.dtype == torch.float32


def test_blocks_after_the_last_chosen_one_do_not_run(tower, images, monkeypatch):
    monkeypatch.setattr(tower.blocks[1], "feed_forward", None)
    monkeypatch.setattr(tower.blocks[2], "qkv", None)
    torch.testing.assert_close(attached(tower, layers=[2]).graph(images, (4, 6)).sum(dim=-1), torch.ones(2, 24))


def test_a_batch_is_its_images_one_by_one(tower, images):
    graph = attached(tower)
    singles = torch.cat([graph.graph(image[None], (4, 6)) for image in images])
    torch.testing.assert_close(graph.graph(images, (4, 6)), singles)


def test_pixels_beyond_the_last_whole_patch_are_dropped_as_the_method_drops_them(tower, images):
    wider = torch.cat([images, torch.zeros(2, 3, 32, 5)], dim=-1)
    graph = attached(tower)
    assert torch.equal(graph.graph(wider, (4, 6)), graph.graph(images, (4, 6)))


def test_another_grid_is_reached_by_resizing_the_image(tower, images):
    graph = attached(tower).graph(images, (3, 7))
    assert graph.shape == (2, 21, 21)
    torch.testing.assert_close(graph.sum(dim=-1), torch.ones(2, 21))


def test_the_methods_normalisation_is_used(tower, images):
    graph = CLIPGraph()
    graph.attach(tower, torch.tensor(EXACT_MEAN).view(3, 1, 1), EXACT_STD)
    expected = expected_graph(tower, images, [1, 2, 3], EXACT_MEAN, EXACT_STD)
    torch.testing.assert_close(graph.graph(images, (4, 6)), expected)


def test_a_shared_tower_is_not_part_of_the_graph(tower):
    graph = attached(tower)
    assert list(graph.parameters()) == []
    assert graph.state_dict() == {}
    assert (graph.name, graph.weights_hash) == (f"CLIPGraph({tower.name})", tower.weights_hash)


class Zeros:
    """A plug-in that leaves nothing of the tokens."""

    def run_block(self, number, block, stream, projections):
        return stream.tokens * 0

    def after_block(self, number, stream):
        return stream.tokens * 0


def test_plugins_of_the_method_that_shares_its_tower_do_not_act(build_method, images):
    model = build_method("DSLO", test_cfg={"mode": "whole"}, graph={"type": "CLIPGraph"})
    normalised = (images - model.data_preprocessor.mean) / model.data_preprocessor.std
    plain, tokens = model.graph_attention(normalised, (4, 6)), model.base.run_blocks(normalised).tokens
    model.base.plugins.append(Zeros())
    assert torch.equal(model.graph_attention(normalised, (4, 6)), plain)
    assert (model.base.run_blocks(normalised).tokens - tokens).abs().max() > 1e-3


def test_an_own_tower_is_kept_when_a_method_offers_another(tower, images, mini_clip):
    config = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)}
    graph = CLIPGraph(backbone=config)
    offered = CLIPImageEncoder("auto", str(mini_clip))
    offered.proj.data.zero_()
    graph.attach(offered)
    assert sum(parameter.numel() for parameter in graph.parameters()) == sum(p.numel() for p in tower.parameters())
    torch.testing.assert_close(graph.graph(images, (4, 6)), expected_graph(tower, images, [1, 2, 3]))


def test_dslo_shares_its_tower_and_labels_with_the_graph(build_method):
    model = build_method("DSLO", test_cfg={"mode": "whole"}, graph={"type": "CLIPGraph", "layers": [2, 3]})
    plain = build_method("DSLO", test_cfg={"mode": "whole"}, mode="kl")
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in plain.parameters())
    assert model.graph.layers == (2, 3)
    image = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = model.graph_attention(image, (4, 6))
        pixels = image * model.data_preprocessor.std + model.data_preprocessor.mean
        torch.testing.assert_close(found, expected_graph(model.backbone, pixels, [2, 3]), atol=1e-5, rtol=0)
    assert model.predict([image[0]])[0].pred_sem_seg.data.shape == (1, 32, 48)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_close(tower, images, precision):
    graph = attached(tower)
    full = graph.graph(images, (4, 6))
    tower.set_precision(precision)
    half = graph.graph(images, (4, 6))
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.02


def test_without_a_tower_it_says_what_to_do(images):
    with pytest.raises(ValueError, match=r"^CLIPGraph has no image tower: .* set model\.graph\.backbone\.$"):
        CLIPGraph().graph(images, (4, 6))


def test_all_layers_or_those_that_are_named():
    assert choose_layers(None, 3) == (1, 2, 3)
    assert choose_layers([3, 1], 3) == (3, 1)


@pytest.mark.parametrize("layers", [[], [0], [4], [-1], [1, 1], 2, ["1"], [1.5]])
def test_layers_that_do_not_exist_are_refused(tower, layers):
    with pytest.raises(ValueError, match=r"^model\.graph\.layers must be None \(all\) or .* from 1 to 3, but got"):
        attached(tower, layers=layers)
