"""DINO and DINOv2 through transformers, on tiny random ones; CLIPtrase with DINOv2's masks; their graphs."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.encoders.dino import DINO, DINO_MEAN, DINO_STD, MAE, POSITIONS, DINOv2, DINOv2Registers
from mmseg_tfovss.encoders.weight_files import hash_tensors
from tests.fixtures import READ_ONCE


@pytest.fixture(scope="module")
def tiny_dino(tmp_path_factory):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return folder


def test_tokens_are_those_of_transformers_on_the_grid_that_is_asked_for(tiny_dino):
    from transformers import Dinov2Model

    network = DINOv2(str(tiny_dino))
    images = 255 * torch.rand(2, 3, 42, 70, generator=torch.Generator().manual_seed(0))
    normalised = (images - torch.tensor(DINO_MEAN).view(3, 1, 1)) / torch.tensor(DINO_STD).view(3, 1, 1)
    with torch.inference_mode():
        expected = Dinov2Model.from_pretrained(tiny_dino).eval()(pixel_values=normalised).last_hidden_state
        found = network.tokens(images, (3, 5))
        assert network.tokens(images, (4, 4)).shape == (2, 17, 32)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_cliptrase_clusters_its_cosines(tiny_dino, build_method):
    network = {"type": "DINOv2", "pretrained": str(tiny_dino)}
    model = build_method("CLIPtrase", test_cfg={"mode": "whole"}, mask_network=network, denoising="none")
    plain = build_method("CLIPtrase", test_cfg={"mode": "whole"}, denoising="none")
    image = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        tokens, correlation = model.tokens_and_correlation(image)
        own_tokens, own = plain.tokens_and_correlation(image)
        grey_levels = image * model.data_preprocessor.std + model.data_preprocessor.mean
        unit = F.normalize(model.mask_network.tokens(grey_levels, (4, 6)), dim=-1)
    assert torch.equal(tokens, own_tokens)
    torch.testing.assert_close(correlation, unit @ unit.transpose(1, 2), atol=1e-5, rtol=0)
    assert (correlation - own).abs().max() > 0.1
    assert model.predict([image[0]])[0].pred_sem_seg.data.shape == (1, 32, 48)


def masked(build_method, pretrained):
    """CLIPtrase with DINOv2's masks."""
    network = {"type": "DINOv2", "pretrained": str(pretrained)}
    return build_method("CLIPtrase", test_cfg={"mode": "whole"}, mask_network=network)


def test_missing_weights_say_what_to_download(build_method, tmp_path):
    """And which of the method's options names them."""
    with pytest.raises(FileNotFoundError, match=r"DINOv2 .*facebook/dinov2-base.* set model\.mask_network\.pretrained"):
        masked(build_method, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"DINOv2 weights facebook/dinov2-tiny .* could not be downloaded"):
        masked(build_method, "facebook/dinov2-tiny")


def test_numbers_that_are_none_are_refused_with_their_tensor(tiny_dino, build_method, tmp_path):
    from transformers import Dinov2Model

    network = Dinov2Model.from_pretrained(tiny_dino)
    network.layernorm.bias.data[3] = torch.nan
    network.save_pretrained(tmp_path)
    said = (
        r"^model\.mask_network\.pretrained: .* is damaged: its tensor layernorm\.bias holds numbers that are not finite"
    )
    with pytest.raises(ValueError, match=said):
        masked(build_method, tmp_path)


def test_another_network_is_refused(build_method, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        ValueError,
        match=r"^model\.mask_network\.pretrained: .* does not hold a readable DINOv2 .*config\.json describes a bert",
    ):
        masked(build_method, tmp_path)


def test_wrong_options_are_named_with_the_option_that_holds_them(build_method, tiny_dino):
    network = {"type": "DINOv2", "pretrained": str(tiny_dino)}
    for option, value in (("precision", "int8"), ("layers", [3])):
        with pytest.raises(ValueError, match=rf"^model\.mask_network\.{option} must be "):
            build_method("CLIPtrase", test_cfg={"mode": "whole"}, mask_network={**network, option: value})


# -- graphs ---------------------------------------------------------------------------------------------------------

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
# Class, transformers' classes and their options, patch size, tokens in front of the patches.
KINDS = {
    "DINO": (DINO, "ViTConfig", "ViTModel", {"image_size": 32, "patch_size": 8, "intermediate_size": 64}, 8, 1),
    "MAE": (MAE, "ViTMAEConfig", "ViTMAEModel", {"image_size": 32, "patch_size": 8, "intermediate_size": 64}, 8, 1),
    "DINOv2": (DINOv2, "Dinov2Config", "Dinov2Model", {"image_size": 28, "patch_size": 14}, 14, 1),
    "registers": (
        DINOv2Registers,
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        {"image_size": 28, "patch_size": 14, "num_register_tokens": 3},
        14,
        4,
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    """A graph's class, its folder, patch size, tokens in front of the patches, and transformers' own network."""
    import transformers

    graph, config, model, options, patch, skip = KINDS[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("graph")
    extra = {"add_pooling_layer": False} if request.param == "DINO" else {}
    network = getattr(transformers, model)(getattr(transformers, config)(**SIZES, **options), **extra).eval()
    with torch.no_grad():  # far from the nearly uniform attention of an untrained network
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape))
    network.save_pretrained(folder)
    READ_ONCE.add(str(folder))
    network.set_attn_implementation("eager")
    network.config.mask_ratio = 0.0  # of MAE: nothing is masked here, whatever its folder says
    return graph, folder, patch, skip, network


def as_transformers(graph):
    """Options under which positions are those of transformers, whose DINO differs from its authors' here."""
    return {"positions": "size"} if graph is DINO else {}


def transformers_options(graph):
    """Options of transformers' networks for a batch of two images of 3 x 5 patches."""
    if graph not in (DINO, MAE):
        return {}
    noise = {"noise": torch.arange(15.0).expand(2, -1)} if graph is MAE else {}
    return {"interpolate_pos_encoding": True, **noise}


def grey_levels(*shape):
    return 255 * torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def eager_attentions(kind, images):
    """Attention maps between patches, of every layer, (layers, B, n, n): renormalised per head, then averaged."""
    graph, _, _, skip, network = kind
    normalised = (images - torch.tensor(DINO_MEAN).view(3, 1, 1)) / torch.tensor(DINO_STD).view(3, 1, 1)
    with torch.inference_mode():
        layers = network(pixel_values=normalised, output_attentions=True, **transformers_options(graph)).attentions
    patches = torch.stack(layers)[..., skip:, skip:]
    return (patches / patches.sum(dim=-1, keepdim=True)).mean(dim=2)


@pytest.mark.parametrize("layers", [None, [3], [1, 2]])
def test_a_graph_is_the_mean_of_transformers_attention_maps(kind, layers):
    graph, folder, patch, _, _ = kind
    images = grey_levels(2, 3, 3 * patch, 5 * patch)
    with torch.inference_mode():
        found = graph(str(folder), layers, **as_transformers(graph)).graph(images, (3, 5))
    expected = eager_attentions(kind, images)[[layer - 1 for layer in layers or (1, 2, 3)]].mean(dim=0)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 15))
    assert (found - 1 / 15).abs().max() > 0.01


def test_a_batch_is_its_images_one_by_one_on_any_grid(kind):
    network = kind[0](str(kind[1]))
    images = grey_levels(3, 3, 50, 33)
    together = network.graph(images, (6, 4))
    assert together.shape == (3, 24, 24)
    assert not together.requires_grad
    singles = torch.cat([network.graph(image[None], (6, 4)) for image in images])
    torch.testing.assert_close(together, singles, atol=1e-6, rtol=0)


def feed_forwards(network):
    """Numbers of the layers whose feed-forward runs, in a list that grows with every pass."""
    layers = next(part for part in network.modules() if isinstance(part, torch.nn.ModuleList) and len(part) == 3)
    ran = []
    for number, layer in enumerate(layers, start=1):
        widest = max(
            (part for part in layer.modules() if isinstance(part, torch.nn.Linear)), key=lambda p: p.out_features
        )
        widest.register_forward_pre_hook(lambda module, args, number=number: ran.append(number))
    return ran


@pytest.mark.parametrize(("layers", "whole"), [([1], []), ([3, 1], [1, 2]), ([2], [1]), (None, [1, 2])])
def test_only_the_layers_that_are_needed_run_and_the_hash_is_the_files(kind, layers, whole):
    """The last one as far as its attention, and no layer after it; tokens need them all, and have them."""
    graph, folder, _, _, network = kind
    full, some = graph(str(folder)), graph(str(folder), layers)
    expected = hash_tensors(network.state_dict())
    assert full.weights_hash == some.weights_hash == expected
    assert some.name == str(folder)
    ran = feed_forwards(some)
    some.graph(grey_levels(1, 3, 28, 42), (2, 3))
    assert ran == whole
    ran.clear()
    images = grey_levels(1, 3, 28, 42)
    assert torch.equal(some.tokens(images, (2, 3)), full.tokens(images, (2, 3)))
    assert ran == [1, 2, 3]
    assert not any(parameter.requires_grad for parameter in full.parameters())


def test_tokens_and_features_are_transformers_without_registers(kind):
    graph, folder, patch, skip, network = kind
    images = grey_levels(2, 3, 3 * patch, 5 * patch)
    normalised = (images - torch.tensor(DINO_MEAN).view(3, 1, 1)) / torch.tensor(DINO_STD).view(3, 1, 1)
    with torch.inference_mode():
        last = network(pixel_values=normalised, **transformers_options(graph)).last_hidden_state
        found = graph(str(folder), **as_transformers(graph))
        tokens, features = (ask(images, (3, 5)) for ask in (found.tokens, found.features))
    expected = torch.cat([last[:, :1], last[:, skip:]], dim=1)
    assert features.shape == (2, 32, 3, 5)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-5)
    for number in range(15):
        torch.testing.assert_close(features[:, :, number // 5, number % 5], tokens[:, 1 + number])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_graphs_are_close(kind, precision):
    graph, folder = kind[:2]
    images = grey_levels(1, 3, 28, 42)
    half = graph(str(folder), precision=precision).graph(images, (4, 6))
    assert half.dtype == torch.float32
    assert 0 < (half - graph(str(folder)).graph(images, (4, 6))).abs().max() < 0.1
    torch.testing.assert_close(half.sum(dim=-1), torch.ones(1, 24))


def test_graphs_refuse_options_that_do_not_exist(kind):
    graph, folder = kind[:2]
    with pytest.raises(ValueError, match=r"^model\.graph\.layers must be .* from 1 to 3, but got \[4\]"):
        graph(str(folder), [4])
    with pytest.raises(ValueError, match=r"^model\.graph\.precision must be one of \['fp32', 'bf16', 'fp16'\]"):
        graph(str(folder), precision="int8")


def test_graphs_without_weights_say_what_to_download(kind, tmp_path):
    graph = kind[0]
    network = graph.network
    with pytest.raises(FileNotFoundError, match=rf"{network.name} .*{network.default}.* set model\.graph\.pretrained"):
        graph(str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=rf"{network.name} weights {network.default} .* could not be downloaded"
    ):
        graph()


def test_graphs_refuse_another_network(kind, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"^model\.graph\.pretrained: .*\(its config\.json describes a bert"):
        kind[0](str(tmp_path))


def test_dslo_labels_with_each_graph(kind, build_method):
    graph = {"type": kind[0].__name__, "pretrained": str(kind[1])}
    model = build_method("DSLO", test_cfg={"mode": "whole"}, graph=graph)
    image = torch.randn(3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert model.predict([image])[0].pred_sem_seg.data.shape == (1, 32, 48)
    assert model.graph.name == str(kind[1])


def test_other_channels_are_refused_before_they_run(kind, tmp_path):
    graph, _, _, _, network = kind
    config = type(network.config)(**network.config.to_dict() | {"num_channels": 4})
    extra = {"add_pooling_layer": False} if graph is DINO else {}
    type(network)(config, **extra).save_pretrained(tmp_path / "four")
    message = (
        r"^model\.graph\.pretrained: .*four is a (DINO.*|MAE) of another shape \(.*num_channels 4, but it must be 3\)"
    )
    with pytest.raises(ValueError, match=message):
        graph(str(tmp_path / "four"))


# -- projections of the last block ------------------------------------------------------------------------------------


def test_projections_are_what_the_last_attention_is_made_of(kind):
    """From query and key alone: transformers' attention between patches; the value is that layer's, of LayerNorm."""
    graph, folder, patch, skip, network = kind
    images = grey_levels(2, 3, 3 * patch, 5 * patch)
    with torch.inference_mode():
        query, key, value = graph(str(folder), **as_transformers(graph)).projections(images, (3, 5))
    assert query.shape == key.shape == value.shape == (2, 2, 15, 16)
    maps = (query @ key.transpose(2, 3) / 4).softmax(dim=-1).mean(dim=1)
    torch.testing.assert_close(maps, eager_attentions(kind, images)[-1], atol=1e-5, rtol=0)
    seen = []
    layer = next(part for name, part in network.named_modules() if name.endswith("2.attention"))
    projection = next(part for name, part in layer.named_modules() if name.endswith("v_proj"))
    hook = projection.register_forward_hook(lambda module, args, output: seen.append(output[:, skip:]))
    eager_attentions(kind, images)
    hook.remove()
    torch.testing.assert_close(value.transpose(1, 2).flatten(2), seen[0], atol=1e-5, rtol=1e-5)


def test_attention_step_by_step_gives_the_same_without_the_fused_kernel(kind, monkeypatch):
    graph, folder = kind[:2]
    images, network = grey_levels(1, 3, 50, 33), graph(str(folder), **as_transformers(graph))
    expected = network.projections(images, (6, 4))
    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", None)
        found = network.projections(images, (6, 4), fused=False)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert torch.equal(network.projections(images, (6, 4))[1], expected[1])


def test_projections_of_a_batch_are_its_images_one_by_one_in_float32(kind):
    graph, folder = kind[:2]
    images = grey_levels(2, 3, 50, 33)
    network, half = graph(str(folder)), graph(str(folder), precision="bf16")
    together = network.projections(images, (6, 4))
    for number, found in enumerate(together):
        singles = torch.cat([network.projections(image[None], (6, 4))[number] for image in images])
        torch.testing.assert_close(found, singles, atol=1e-5, rtol=0)
    for found, exact in zip(half.projections(images, (6, 4)), together, strict=True):
        assert found.dtype == torch.float32
        assert 0 < (found - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_images_of_the_grids_own_size_are_not_resampled(kind):
    network, patch = kind[0](str(kind[1])), kind[2]
    images = grey_levels(1, 3, 2 * patch, 3 * patch)
    assert torch.equal(network.pixels(images, (2, 3)), (images / 255 - network.mean) / network.std)


def test_own_patches_are_whole_ones_and_nothing_is_resampled(kind):
    network, patch = kind[0](str(kind[1])), kind[2]
    images = grey_levels(2, 3, 3 * patch - 1, 3 * patch + 2)
    covered, grid = network.own_patches(images)
    assert grid == (2, 3)
    assert torch.equal(covered, images[..., : 2 * patch, : 3 * patch])
    assert network.pixels(covered, grid).shape[-2:] == covered.shape[-2:]
    for size in ((patch - 1, 3 * patch), (3 * patch, patch - 1)):
        with pytest.raises(
            ValueError, match=rf"An image of {size[0]}x{size[1]} pixels .* than one {patch}x{patch} patch"
        ):
            network.own_patches(torch.zeros(1, 3, *size))


def test_an_image_smaller_than_a_patch_is_enlarged_and_none_is_refused(kind):
    network, patch = kind[0](str(kind[1])), kind[2]
    assert network.features(grey_levels(1, 3, 3, 2), (1, 1)).isfinite().all()
    message = (
        rf"cannot see 3 x 40 pixels as 0 x 5 patches: the image must be larger \(its patches have {patch} pixels\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        network.features(grey_levels(1, 3, 3, 40), (0, 5))


def test_positions_follow_the_option(kind):
    """On the native grid all are the same; on another one each is what its name says."""
    graph, folder, patch, _, _ = kind
    side = 4 if graph in (DINO, MAE) else 2
    native = grey_levels(1, 3, side * patch, side * patch)
    images = grey_levels(1, 3, 3 * patch, 5 * patch)
    found = {name: graph(str(folder), positions=name) for name in POSITIONS}
    alike = [network.tokens(native, (side, side)) for network in found.values()]
    assert torch.equal(alike[0], alike[1])
    assert torch.equal(alike[0], alike[2])
    default = graph(str(folder)).tokens(images, (3, 5))
    own = {DINO: "scale", MAE: "size", DINOv2: "size", DINOv2Registers: "antialiased"}[graph]
    assert torch.equal(default, found[own].tokens(images, (3, 5)))
    assert not torch.equal(found["scale"].tokens(images, (3, 5)), found["size"].tokens(images, (3, 5)))
    table = found["scale"].model.embeddings.position_embeddings[0]
    square = table[1:].T.unflatten(1, (side, side))[None]
    expected = F.interpolate(square, scale_factor=(3.1 / side, 5.1 / side), mode="bicubic")[0].flatten(1).T
    embeddings = found["scale"].model.embeddings
    placed = embeddings.interpolate_pos_encoding(torch.zeros(1, 16, 32), 3 * patch, 5 * patch)
    torch.testing.assert_close(placed[0, 1:], expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"positions must be one of \['scale', 'size', 'antialiased'\], but got 'x'"):
        graph(str(folder), positions="x")


def test_heads_are_read_from_a_folders_config(kind):
    with pytest.raises(
        ValueError, match=r"^model\.graph\.heads=2 acts only with the authors' own file: the config\.json"
    ):
        kind[0](str(kind[1]), heads=2)
