"""The numbers behind the picture of global patches, against open_clip and by hand, and the picture."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from sklearn.cluster import DBSCAN

from mmseg_tfovss.studies.global_patches import picture as global_patches_picture
from mmseg_tfovss.studies.global_patches.maps import central_patch, default_layers, find_patch_maps, layer_attention
from mmseg_tfovss.studies.global_patches.picture import draw_global_patches
from tests.mini import BLOCKS, PATCH

GRID = (4, 6)


@pytest.fixture
def image():
    return torch.randn(3, GRID[0] * PATCH, GRID[1] * PATCH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def build(build_method):
    return lambda **options: build_method("CLIPtrase", test_cfg={"mode": "whole"}, **options)


def projections(model, image, number):
    """Query, key and value (heads, 1 + N, d) that go into block ``number`` of the network as trained."""
    tokens = model.backbone.embed(image[None])
    for block in model.backbone.blocks[: number - 1]:
        tokens = block(tokens)
    return [part[0] for part in model.backbone.blocks[number - 1].qkv(tokens)]


def test_attention_is_that_of_open_clip(build, reference_clip):
    reference, quick_gelu = reference_clip
    backbone = build(backbone={"quick_gelu": quick_gelu}).backbone
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = layer_attention(backbone, image, [1, BLOCKS])
    assert list(found) == [1, BLOCKS]
    tokens = backbone.embed(image)
    for number, block in enumerate(reference.visual.transformer.resblocks, start=1):
        normal = block.ln_1(tokens)
        expected = block.attn(normal, normal, normal, need_weights=True, average_attn_weights=True)[1]
        if number in found:
            torch.testing.assert_close(found[number], expected, rtol=1e-4, atol=1e-6)
        tokens = block(tokens)


def test_attention_is_of_the_network_as_trained_whatever_is_recovered(build, image):
    plain, recovered = (
        find_patch_maps(build(recovery=recovery, recovery_layer=1), image) for recovery in ("none", "three_softmax")
    )
    for layer in (1, 2, 3):
        assert torch.equal(plain.attention[layer], recovered.attention[layer])
        torch.testing.assert_close(plain.attention[layer].sum(dim=1), torch.ones(1 + 24))


def test_correlation_is_the_mean_cosine_of_heads_and_projections(build, image):
    model = build(correlation_layer=2)
    maps = find_patch_maps(model, image, patch=(3, 1))
    vectors = [head[1:] for part in projections(model, image, 2) for head in part]
    expected = torch.stack([F.cosine_similarity(v[:, None], v[None], dim=-1) for v in vectors]).mean(dim=0)
    torch.testing.assert_close(maps.correlation, expected, rtol=1e-4, atol=1e-5)
    assert maps.index == 3 * 6 + 1
    assert maps.grid == GRID


def dbscan(rows, eps):
    return torch.from_numpy(DBSCAN(eps=eps, min_samples=2).fit_predict(rows.numpy())).view(GRID)


def test_clusters_are_those_of_rows_as_they_are_and_denoised(build, image):
    model = build(eps=0.9, min_samples=2)
    maps = find_patch_maps(model, image)
    w = model.tokens_and_correlation(image[None])[1][0]
    raw, denoised = w[1:, 1:], (w[1:, 1:] - w[:1, 1:]).clamp_min(0)
    assert torch.equal(maps.raw_clusters, dbscan(raw, 0.9))
    assert torch.equal(maps.clusters, dbscan(denoised, 0.9))
    assert not torch.equal(maps.raw_clusters, maps.clusters)
    assert len(maps.clusters.unique()) > 2


def test_features_are_clustered_where_the_config_says_so(build, image):
    model = build(cluster="features", eps=0.8, min_samples=2)
    tokens = model.tokens_and_correlation(image[None])[0][0, 1:]
    expected = dbscan(tokens, 0.8)
    assert len(expected.unique()) > 2
    assert torch.equal(find_patch_maps(model, image).clusters, expected)


def test_defaults():
    assert default_layers(12) == [3, 6, 9, 11, 12]
    assert default_layers(24) == [6, 12, 18, 23, 24]
    assert default_layers(3) == [1, 2, 3]
    assert default_layers(1) == [1]
    assert central_patch((14, 14)) == (6, 6)  # 6 * 14 + 6 = 90
    assert central_patch((5, 1)) == (2, 0)


@pytest.mark.parametrize("layers", [[0], [1, 4], [-1]])
def test_layers_that_do_not_exist(build, image, layers):
    with pytest.raises(ValueError, match=r"--layers takes block numbers from 1 to 3, but got"):
        find_patch_maps(build(), image, layers)


@pytest.mark.parametrize("patch", [(4, 0), (0, 6), (-1, 0), (0, -1)])
def test_patches_that_do_not_exist(build, image, patch):
    with pytest.raises(
        ValueError, match=rf"--patch {patch[0]} {patch[1]} lies outside .* 4 x 6 .* 0 \.\. 3 .* 0 \.\. 5"
    ):
        find_patch_maps(build(), image, patch=patch)


# -- the picture ----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(mini_clip, words_file):
    return Config(
        {
            "model": {
                "type": "CLIPtrase",
                "eps": 0.9,
                "min_samples": 2,
                "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)},
                "decode_head": {"type": "TextHead", "vocabulary": str(words_file), "templates": "photo"},
                "test_cfg": {"mode": "whole"},
            },
            "short_side": 32,
        }
    )


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def axes_of(figure):
    return [part.axes for part in figure.subfigs]


def test_picture_has_every_panel_and_the_dot_on_the_patch(config, photo, tmp_path):
    figure = draw_global_patches(config, photo, "cpu", layers=[3, 1, 3], patch=(1, 4))
    layers, method = axes_of(figure)
    titles = [axis.get_title() for axis in layers if axis.get_title()]
    assert titles == ["block 1", "block 3"]
    assert [axis.get_title().split("\n")[0] for axis in method[:5]] == [
        "image",
        "recovered: the patch's w,",
        "clusters,",
        "clusters, denoised:",
        "final labels",
    ]
    dots = [axis.lines[0].get_xydata()[0].tolist() for axis in (*layers, *method) if axis.lines]
    assert dots == [[44.5, 14.5]] * 4  # two layers, the image, what is recovered: 4.5 / 6 * 60 and 1.5 / 4 * 40, - 0.5
    figure.savefig(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width > 1000


def test_every_panel_shows_its_own_numbers(config, photo, monkeypatch):
    seen = []

    def remember(*arguments):
        seen.append(find_patch_maps(*arguments))
        return seen[0]

    monkeypatch.setattr(global_patches_picture, "find_patch_maps", remember)
    layers, method = axes_of(draw_global_patches(config, photo, "cpu", layers=[2], patch=(1, 4)))
    (maps,) = seen
    shown = [axis.images[-1].get_array() for axis in (layers[0], layers[5], layers[10], method[1])]
    attention = maps.attention[2].numpy()
    assert np.array_equal(shown[0], attention[1:, 1:])
    assert np.array_equal(shown[1], attention[0, 1:].reshape(4, 6))
    assert np.array_equal(shown[2], attention[1 + 10, 1:].reshape(4, 6))
    assert np.array_equal(shown[3], maps.correlation[10].reshape(4, 6).numpy())
    for axis, clusters in ((method[2], maps.raw_clusters), (method[3], maps.clusters)):
        colours = axis.images[-1].get_array()
        assert axis.get_xlabel().startswith(f"clusters: {int(clusters.max()) + 1}, noise: ")
        assert len(np.unique(colours.reshape(-1, 3), axis=0)) == len(clusters.unique())


def test_sliding_windows_are_named(config, photo):
    config.model.test_cfg = {"mode": "slide", "crop_size": 16, "stride": 8}
    *_, final, _ = axes_of(draw_global_patches(config, photo, "cpu"))[1]
    assert final.get_title() == "final labels\n(windows of 16 x 16 pixels)"


def test_other_methods_and_missing_images_are_refused(config, photo, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
        draw_global_patches(config, tmp_path / "none.png", "cpu")
    config.model.type = "SCLIP"
    with pytest.raises(ValueError, match="the config's method is SCLIP: use a config below configs/cliptrase"):
        draw_global_patches(config, photo, "cpu")
    config.model.type = "CLIPtras"
    with pytest.raises(ValueError, match="Did you mean CLIPtrase"):
        draw_global_patches(config, photo, "cpu")
