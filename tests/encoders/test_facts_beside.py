"""Statistics, activation and heads: from the tag, or from the config beside a file."""

import json

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU

from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.encoders.facts_beside import OPENAI_MEAN, OPENAI_STD
from mmseg_tfovss.encoders.weights import load_clip
from tests import mini

HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def beside(mini_clip, tmp_path):
    """Write an open_clip_config.json beside the mini CLIP, and load it."""
    path = tmp_path / "clip.pt"
    path.symlink_to(mini_clip)

    def load(config, **options):
        text = config if isinstance(config, str) else json.dumps(config)
        (tmp_path / "open_clip_config.json").write_text(text)
        return load_clip("auto", str(path), **options)

    return load


def test_openais_statistics_where_nothing_says_others(mini_clip):
    encoder = CLIPImageEncoder("auto", str(mini_clip))
    assert (encoder.mean, encoder.std) == (OPENAI_MEAN, OPENAI_STD)
    assert OPENAI_MEAN == (0.48145466, 0.4578275, 0.40821073)
    assert OPENAI_STD == (0.26862954, 0.26130258, 0.27577711)
    assert encoder.input_files == (mini_clip.with_name("open_clip_config.json"),)  # not there, which is recorded too
    assert CLIPImageEncoder("auto", "pocket").input_files == ()
    assert encoder.assumptions == ("QuickGELU for mini.pt", "OpenAI's mean and std for mini.pt")


@pytest.mark.parametrize(
    ("tag", "mean", "std"),
    [
        ("laion2b_s32b_b82k", HALF, HALF),
        ("openai", OPENAI_MEAN, OPENAI_STD),
        ("laion400m_e32", OPENAI_MEAN, OPENAI_STD),
    ],
)
def test_a_tag_has_its_own_statistics(tag, mean, std, monkeypatch):
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: mini.new_mini_clip(quick_gelu=False))
    loaded = load_clip("ViT-L-14", tag)
    assert (loaded.name, loaded.mean, loaded.std) == (f"ViT-L-14/{tag}", mean, std)
    assert loaded.assumptions == ()


def test_every_tag_of_a_plain_vit_has_statistics_in_range():
    from mmseg_tfovss.encoders.weights import _facts_of_tag

    tags = open_clip.list_pretrained()
    assert len(tags) > 100
    assert {_facts_of_tag(*tag).mean for tag in tags} >= {HALF, OPENAI_MEAN}


def test_a_config_beside_the_file_says_statistics_and_activation(beside):
    config = {"model_cfg": {"quick_gelu": False}, "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]}}
    loaded = beside(config)
    assert (loaded.mean, loaded.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert loaded.assumptions == ()
    assert not isinstance(loaded.model.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert [path.name for path in loaded.input_files] == ["open_clip_config.json"]
    explicit = beside(config, quick_gelu=True)
    assert isinstance(explicit.model.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_what_a_config_does_not_say_is_openais(beside):
    loaded = beside({"preprocess_cfg": {"std": HALF}})
    assert (loaded.mean, loaded.std) == (OPENAI_MEAN, HALF)
    assert loaded.assumptions == ("QuickGELU for clip.pt", "OpenAI's mean for clip.pt")
    loaded = beside({})
    assert loaded.assumptions == ("QuickGELU for clip.pt", "OpenAI's mean and std for clip.pt")
    assert (loaded.mean, loaded.std) == (OPENAI_MEAN, OPENAI_STD)


def test_a_whole_model_config_without_quick_gelu_means_gelu(beside):
    loaded = beside({"model_cfg": mini.CONFIG})
    assert loaded.assumptions == ("OpenAI's mean and std for clip.pt",)
    assert not isinstance(loaded.model.transformer.resblocks[0].mlp.gelu, QuickGELU)


def test_a_model_config_tells_the_heads(beside):
    vision, text = mini.CONFIG["vision_cfg"] | {"head_width": 32}, mini.CONFIG["text_cfg"] | {"heads": 4}
    model = beside({"model_cfg": mini.CONFIG | {"vision_cfg": vision, "text_cfg": text}}).model
    assert model.visual.transformer.resblocks[0].attn.num_heads == 4
    assert model.transformer.resblocks[0].attn.num_heads == 4


def test_a_named_architecture_keeps_its_heads_and_takes_the_statistics(beside, mini_clip, monkeypatch, tmp_path):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "mini-ViT", mini.CONFIG)
    beside({"preprocess_cfg": {"mean": HALF, "std": HALF}})
    loaded = load_clip("mini-ViT", str(tmp_path / "clip.pt"))
    assert (loaded.mean, loaded.std) == (HALF, HALF)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "is not readable JSON"),
        ("[" * 100_000, "is not readable JSON"),
        ("\x00", "is not readable JSON"),
        ([], "is not a JSON object"),
        ({"preprocess_cfg": [1]}, r"preprocess_cfg must be a JSON object, but is \[1\]"),
        ({"preprocess_cfg": {"mean": 0.5}}, r"mean must be three numbers in \[0, 1\], but is 0\.5"),
        ({"preprocess_cfg": {"mean": [0.5, 0.5]}}, "mean must be three numbers"),
        ({"preprocess_cfg": {"mean": [122.7, 116.7, 104.1]}}, "mean must be three numbers"),
        ({"preprocess_cfg": {"mean": "abc"}}, "mean must be three numbers"),
        ({"preprocess_cfg": {"mean": None}}, "mean must be three numbers"),
        ({"preprocess_cfg": {"std": [0.5, 0, 0.5]}}, "std must be three numbers in"),
        ({"preprocess_cfg": {"std": [0.5, "0.5", 0.5]}}, "std must be three numbers in"),
        ('{"preprocess_cfg": {"std": [NaN, 0.5, 0.5]}}', "std must be three numbers in"),
        ({"model_cfg": {"quick_gelu": "yes"}}, "quick_gelu must be true or false, but is 'yes'"),
        ({"model_cfg": {"embed_dim": 512}}, r"is not the config of clip\.pt: it says embed_dim 512, but .* have 32"),
        ({"model_cfg": {"vision_cfg": {"width": 768}}}, "it says width 768, but the weights have 128"),
        ({"model_cfg": {"vision_cfg": {"patch_size": 16}}}, "it says patch_size 16, but the weights have 8"),
        ({"model_cfg": {"text_cfg": {"layers": 12}}}, "it says text_layers 12, but the weights have 2"),
        ({"model_cfg": {"vision_cfg": {"head_width": 0}}}, "head_width must be a whole number, at least 1, but is 0"),
        ({"model_cfg": {"vision_cfg": {"head_width": 48}}}, "head_width=48 does not divide the width 128"),
        ({"model_cfg": {"text_cfg": {"heads": 3}}}, "heads=3 does not divide the width 64"),
    ],
)
def test_configs_that_cannot_be_are_named(config, told, beside):
    with pytest.raises(ValueError, match=rf"open_clip_config\.json.*{told}"):
        beside(config)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hidden_act": "relu"}, "hidden_act must be quick_gelu or gelu, .* but is quick_gelu and relu"),
        ({"num_attention_heads": 3}, r"config\.json is not the config\.json of a CLIP"),
        ({"hidden_size": 64}, "it says width 64, but the weights have 128"),
        ({"num_hidden_layers": "two"}, r"config\.json"),
    ],
)
def test_transformers_configs_that_cannot_be_are_named(change, told, tmp_path):
    from transformers import CLIPConfig, CLIPModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    sizes = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(vision_config=vision, text_config=sizes | {"hidden_size": 64}, projection_dim=8)
    torch.save(CLIPModel(config).state_dict(), tmp_path / "clip.pt")
    content = config.to_dict()
    content["vision_config"] |= change
    (tmp_path / "config.json").write_text(json.dumps(content, default=str))
    with pytest.raises(ValueError, match=told):
        load_clip("auto", str(tmp_path / "clip.pt"))
