"""Layouts of weight files: one CLIP, wherever it is and however its tensors are called, or a sentence."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mmseg_tfovss.encoders.layouts import find_clip
from mmseg_tfovss.encoders.weights import load_clip
from tests import mini


@pytest.fixture(scope="module")
def mini_hash(mini_clip):
    return load_clip("auto", str(mini_clip), quick_gelu=True).weights_hash


def prefixed(state, prefix):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def in_containers(state):
    optimizer = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    yield {"epoch": 3, "state_dict": state, "optimizer": optimizer, "scaler": {"scale": 1.0}}
    yield {"model_state_dict": state, "optimizer_state_dict": optimizer, "loss": torch.tensor(0.5)}
    yield {"model": state, "args": {"lr": 0.1}}
    yield {"state": {"model": prefixed(state, "module.")}}
    yield {"state_dict": prefixed(state, "model.clip.")}
    yield {"n_averaged": torch.tensor(3), **prefixed(state, "module.")}  # torch.optim.swa_utils.AveragedModel
    yield prefixed(state, "_orig_mod.")  # torch.compile
    yield state | {"input_resolution": torch.tensor(32), "attn_mask": torch.zeros(77, 77), "logit_bias": torch.ones(1)}
    yield {"state_dict": state, "model": state}  # the same dictionary under two names


@pytest.mark.parametrize("number", range(9))
def test_containers_prefixes_and_extras(number, mini_state, mini_hash, tmp_path):
    contents = list(in_containers(mini_state))
    assert len(contents) == 9
    torch.save(contents[number], tmp_path / "clip.pt")
    assert load_clip("auto", str(tmp_path / "clip.pt"), quick_gelu=True).weights_hash == mini_hash


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("model", "ema"), "holds 2 networks, model and ema: save the one to use alone"),
        (("state_dict", "state_dict_ema"), "holds 2 networks, state_dict and state_dict_ema"),
        (("student", "teacher"), "holds 2 networks, student and teacher"),
    ],
)
def test_two_networks_are_named(names, message, mini_state, tmp_path):
    content = {name: {key: value.clone() for key, value in mini_state.items()} for name in names}
    with pytest.raises(ValueError, match=message):
        find_clip(content, tmp_path / "clip.pt")
    flat = {key: value for name in names for key, value in prefixed(mini_state, f"{name}.").items()}
    with pytest.raises(ValueError, match=message):
        find_clip(flat, tmp_path / "clip.pt")


def test_a_network_with_and_without_a_prefix_is_refused(mini_state, tmp_path):
    content = prefixed(mini_state, "module.") | {"ln_final.bias": torch.zeros(64)}
    with pytest.raises(ValueError, match=r"names with and without 'module\.'"):
        find_clip(content, tmp_path / "clip.pt")


def test_a_part_of_another_network_is_refused(mini_state, tmp_path):
    content = prefixed(mini_state, "sem_seg_head.predictor.")
    with pytest.raises(ValueError, match=r"only as a part of another network \('sem_seg_head\.predictor\.' stands"):
        find_clip(content, tmp_path / "clip.pt")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["visual.trunk.blocks.0.norm1.weight", "text.transformer.resblocks.0.ln_1.weight"], "a tower of timm"),
        (["visual.conv1.weight", "visual.proj", "text.transformer.resblocks.0.ln_1.weight"], "a separate text tower"),
        (["visual.conv1.weight", "visual.layer1.0.conv1.weight"], "names for a ResNet"),
        (["vision_model.encoder.layers.0.layer_norm1.weight"], "without a class token"),
        (["text_model.encoder.layers.0.layer_norm1.weight"], "text tower alone"),
        (["blocks.0.norm1.weight"], "timm's names"),
        (["fc.weight"], "first keys are fc.weight"),
        ([], "first keys are none"),
    ],
)
def test_other_layouts_are_named(names, told, tmp_path):
    message = rf"clip\.pt does not hold a CLIP ViT in the key layout of OpenAI, open_clip or transformers \(.*{told}"
    with pytest.raises(ValueError, match=message):
        find_clip({name: torch.zeros(2, 2) for name in names}, tmp_path / "clip.pt")


def test_dictionaries_inside_each_other_without_end(tmp_path):
    content: dict = {}
    content |= {str(number): content for number in range(1000)}
    with pytest.raises(ValueError, match="does not hold a CLIP ViT"):
        find_clip(content, tmp_path / "clip.pt")


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def transformers_clip(request, tmp_path_factory):
    """A CLIPModel of transformers' own, saved by it: two blocks of four heads of 32, text of two heads."""
    from transformers import CLIPConfig, CLIPModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    vision = {
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
        "hidden_act": request.param,
    }
    text = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": request.param,
    }
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=32)).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    folder = tmp_path_factory.mktemp("transformers")
    model.save_pretrained(folder)
    return model, folder


@torch.inference_mode()
def features(loaded, images, prompts):
    return loaded.model.encode_image(images), loaded.text(prompts)


def test_equals_transformers_own_model(transformers_clip):
    import open_clip

    model, folder = transformers_clip
    loaded = load_clip("auto", str(folder / "model.safetensors"))
    assert loaded.assumptions == ("OpenAI's mean and std for model.safetensors",)  # config.json says the rest
    assert folder / "config.json" in loaded.input_files
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prompts = ["a photo of a cat.", "two dogs, seen from far away"]
    image, text = features(loaded, images, prompts)
    with torch.inference_mode():
        theirs = model.visual_projection(model.vision_model(images).pooler_output)
        words = model.text_projection(model.text_model(open_clip.tokenize(prompts)).pooler_output)
    assert theirs.std(dim=0).max() > 0.1
    torch.testing.assert_close(image, theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(text, words, atol=1e-4, rtol=1e-4)


def test_conversion_changes_no_number(transformers_clip, tmp_path):
    model, _ = transformers_clip
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    state |= {f"{tower}_model.embeddings.position_ids": torch.arange(17).expand(1, -1) for tower in ("vision", "text")}
    found = find_clip({"state_dict": prefixed(state, "module.")}, tmp_path / "x.pt")
    assert found.layout == "transformers"
    assert sum(tensor.sum().double() for tensor in found.state.values()) == pytest.approx(
        float(sum(tensor.detach().sum().double() for tensor in model.parameters())), rel=1e-5
    )
    layer = "vision_model.encoder.layers.1.self_attn"
    joined = torch.cat([state[f"{layer}.{part}_proj.weight"] for part in "qkv"])
    assert torch.equal(found.state["visual.transformer.resblocks.1.attn.in_proj_weight"], joined)
    assert torch.equal(found.state["visual.proj"], state["visual_projection.weight"].T)
    assert set(found.state) == set(mini.new_mini_clip(quick_gelu=True).state_dict()) - {
        name for name in mini.new_mini_clip(quick_gelu=True).state_dict() if ".resblocks.2." in name
    }


def test_without_its_config_the_same_rules_hold_as_for_other_files(transformers_clip, tmp_path):
    model, _ = transformers_clip
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "x.safetensors")
    loaded = load_clip("auto", str(tmp_path / "x.safetensors"))
    assert loaded.assumptions == ("QuickGELU for x.safetensors", "OpenAI's mean and std for x.safetensors")
    statistics = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(statistics))
    loaded = load_clip("auto", str(tmp_path / "x.safetensors"))
    assert (loaded.mean, loaded.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert loaded.assumptions == ("QuickGELU for x.safetensors",)
    assert loaded.model.visual.transformer.resblocks[0].attn.num_heads == 2


def test_missing_parts_of_transformers_layout_are_named(transformers_clip, tmp_path):
    model, _ = transformers_clip
    state = dict(model.state_dict())
    del state["vision_model.encoder.layers.1.self_attn.v_proj.bias"]
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"1 keys are missing \(visual\.transformer\.resblocks\.1\.attn\.in_proj_bias"):
        load_clip("auto", str(tmp_path / "x.pt"))
    image_only = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("vis")}
    torch.save(image_only, tmp_path / "y.pt")
    with pytest.raises(ValueError, match=r"y\.pt do not fit model\.backbone\.arch='auto': .*ln_final\.weight"):
        load_clip("auto", str(tmp_path / "y.pt"))


def test_preprocessor_config_has_the_statistics(transformers_clip, tmp_path):
    _, folder = transformers_clip
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(folder / name)
    said = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3], "do_resize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    loaded = load_clip("auto", str(tmp_path / "model.safetensors"))
    assert (loaded.mean, loaded.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    assert [path.name for path in loaded.input_files] == [
        "open_clip_config.json",
        "config.json",
        "preprocessor_config.json",
    ]
