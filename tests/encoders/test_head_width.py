"""Heads: told by the width, by a known architecture, by the user, or asked for; never guessed."""

import dataclasses

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.encoders.head_width import Shapes, find_head_width, find_text_heads, shapes_of
from mmseg_tfovss.encoders.weights import load_clip
from tests import mini

MINI = Shapes(mini.EMBED, mini.BLOCKS, mini.WIDTH, mini.PATCH, mini.SIDE * mini.PATCH, text_layers=2, text_width=64)
VISION = {"layers": 1, "width": 320, "head_width": 80, "patch_size": 14, "image_size": 28}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}


def of_width(width):
    return dataclasses.replace(MINI, width=width)


def test_shapes_of_a_state_dict(mini_state):
    assert shapes_of(mini_state) == MINI


@pytest.mark.parametrize("width", [64, 128, 192, 256, 384, 512, 768, 1024, 1152, 2048])
def test_most_widths_tell_heads_of_64(width):
    assert find_head_width(of_width(width)) == 64


@pytest.mark.parametrize(("width", "expected"), [(80, 80), (160, 80), (240, 80), (88, 88), (264, 88), (104, 104)])
def test_other_widths_that_only_one_divides(width, expected):
    assert find_head_width(of_width(width)) == expected


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (320, "may be 5 of 64 or 4 of 80"),
        (640, "may be 10 of 64 or 8 of 80"),
        (704, "may be 11 of 64 or 8 of 88"),
        (832, "may be 13 of 64 or 8 of 104"),
        (880, "may be 11 of 80 or 10 of 88"),
        (896, "may be 14 of 64 or 8 of 112"),
        (1280, "may be 20 of 64 or 16 of 80"),
        (32, "are not of 64, 80, 88, 104 or 112"),
        (100, "are not of 64"),
    ],
)
def test_ambiguous_widths_are_asked_for(width, told):
    with pytest.raises(ValueError, match=rf"width {width} {told}.*model\.backbone\.arch .*model\.backbone\.head_width"):
        find_head_width(of_width(width))


def published(name):
    """Shapes of an architecture of open_clip's list, by building it without numbers."""
    with torch.device("meta"):
        config = open_clip.get_model_config(name)
        model = CLIP(config["embed_dim"], CLIPVisionCfg(**config["vision_cfg"]), CLIPTextCfg(**config["text_cfg"]))
    image, text = model.visual.transformer, model.transformer
    return shapes_of(model.state_dict()), image.resblocks[0].attn, text.resblocks[0].attn


@pytest.mark.parametrize(
    "name", ["ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336", "ViT-H-14", "ViT-g-14", "ViT-bigG-14", "ViT-S-16"]
)
def test_published_architectures_are_told_by_their_shapes(name):
    shapes, image, text = published(name)
    assert find_head_width(shapes) == image.head_dim
    assert find_text_heads(shapes) == text.num_heads


def test_candidates_are_offered():
    vit_h_of_448 = Shapes(1024, 32, 1280, 14, 448, text_layers=24, text_width=1024)
    with pytest.raises(ValueError, match=r"arch to its architecture \(ViT-H-14, ViT-H-14-378, .*\) or model\.backbone"):
        find_head_width(vit_h_of_448)


def test_architectures_that_disagree_do_not_tell(monkeypatch):
    config = {"embed_dim": mini.EMBED, "vision_cfg": VISION, "text_cfg": TEXT}
    shapes = Shapes(mini.EMBED, 1, 320, 14, 28, text_layers=1, text_width=64)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "one", config)
    assert find_head_width(shapes) == 80
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "other", config | {"vision_cfg": VISION | {"head_width": 64}})
    with pytest.raises(ValueError, match=r"may be 5 of 64 or 4 of 80, .* architecture \(one, other\)"):
        find_head_width(shapes)
    other_patch = dataclasses.replace(shapes, patch_size=7, image_size=14)
    with pytest.raises(ValueError, match="may be 5 of 64 or 4 of 80"):
        find_head_width(other_patch)


@pytest.fixture(scope="module")
def wide_clip(tmp_path_factory):
    """A CLIP with four heads of 80, as in ViT-H, whose attention is sharp, and its file."""
    torch.manual_seed(0)
    model = CLIP(mini.EMBED, CLIPVisionCfg(**VISION), CLIPTextCfg(**TEXT), quick_gelu=True).eval()
    with torch.no_grad():
        model.visual.transformer.resblocks[0].attn.in_proj_weight.mul_(20)
    path = tmp_path_factory.mktemp("wide") / "wide.pt"
    torch.save(model.state_dict(), path)
    return model, path


def test_a_file_of_ambiguous_width_is_refused_or_told(wide_clip, monkeypatch):
    model, path = wide_clip
    with pytest.raises(ValueError, match=r"wide\.pt: the heads of an image tower of width 320 may be 5 of 64 or 4 of"):
        load_clip("auto", str(path))
    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model.encode_image(images)
        right, wrong = (load_clip("auto", str(path), head_width=width).model.encode_image(images) for width in (80, 64))
    torch.testing.assert_close(right, expected, atol=1e-5, rtol=0)
    assert torch.cosine_similarity(wrong, expected).max() < 0.99
    config = {"embed_dim": mini.EMBED, "vision_cfg": VISION, "text_cfg": TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "known", config)
    assert load_clip("auto", str(path)).model.visual.transformer.resblocks[0].attn.num_heads == 4
    assert CLIPImageEncoder("known", str(path)).blocks[0].heads == 4


@pytest.mark.parametrize(
    ("head_width", "told"),
    [
        (0, "must be a whole number, at least 1, but got 0"),
        (-64, "must be a whole number"),
        (80.0, "must be a whole number"),
        (True, "must be a whole number"),
        ("80", "must be a whole number"),
        (100, r"=100 does not divide the image tower's width 320 in .*wide\.pt"),
    ],
)
def test_impossible_head_widths_are_refused(head_width, told, wide_clip):
    with pytest.raises(ValueError, match=rf"model\.backbone\.head_width ?{told}"):
        load_clip("auto", str(wide_clip[1]), head_width=head_width)


@pytest.mark.parametrize(
    ("arch", "pretrained"), [("ViT-B-16", "openai"), ("ViT-B-16", None), ("ViT-B-16", "x.pt"), ("auto", "pocket")]
)
def test_a_head_width_that_would_not_act_is_refused(arch, pretrained):
    with pytest.raises(ValueError, match=r"model\.backbone\.head_width=80 acts only with model\.backbone\.arch='auto'"):
        CLIPImageEncoder(arch, pretrained, head_width=80)


@pytest.mark.parametrize("hidden", [300, 511, 513])
def test_feed_forward_layers_of_any_width(hidden, tmp_path):
    """ViT-g and bigG do not have four times the width."""
    vision = CLIPVisionCfg(**mini.CONFIG["vision_cfg"] | {"mlp_ratio": (hidden + 0.5) / mini.WIDTH, "layers": 1})
    model = CLIP(mini.EMBED, vision, CLIPTextCfg(**TEXT))
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    loaded = load_clip("auto", str(tmp_path / "clip.pt"))
    assert loaded.model.visual.transformer.resblocks[0].mlp.c_fc.out_features == hidden


def test_another_tokenizer_is_refused(mini_state, tmp_path):
    torch.save(mini_state | {"token_embedding.weight": torch.zeros(1000, 64)}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"text tower in .*clip\.pt has 1000 tokens, but CLIP's tokenizer has 49408"):
        load_clip("auto", str(tmp_path / "clip.pt"))


@pytest.mark.parametrize("width", [32, 96, 160])
def test_text_towers_of_other_heads_are_asked_for(width, tmp_path):
    vision, text = VISION | {"width": 64, "head_width": 64}, TEXT | {"width": width}
    model = CLIP(mini.EMBED, CLIPVisionCfg(**vision), CLIPTextCfg(**text))
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=rf"clip\.pt: the heads of a text tower of width {width} are not of 64"):
        load_clip("auto", str(tmp_path / "clip.pt"))
