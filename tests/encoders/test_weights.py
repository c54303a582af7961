"""Weights: every form a file may have, and a sentence for everything else."""

import hashlib
import logging
import pickle
import time

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from mmseg_tfovss.encoders import weights
from mmseg_tfovss.encoders.weight_files import as_float32, read_weights
from mmseg_tfovss.encoders.weights import load_clip
from tests import mini


@pytest.fixture(scope="module")
def mini_hash(mini_clip):
    return load_clip("auto", str(mini_clip)).weights_hash


@pytest.fixture
def mini_arch(monkeypatch):
    """The mini CLIP as an architecture of open_clip's list."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "mini-ViT", mini.CONFIG)
    return "mini-ViT"


@pytest.fixture
def small_state():
    """A CLIP-like state dict without the large word table: enough to be recognised, not to be loaded."""
    return {"visual.proj": torch.zeros(128, 32), "visual.conv1.weight": torch.zeros(128, 3, 8, 8)}


def bare(state, path):
    torch.save(state, path)


def legacy_pickle(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def under_state_dict(state, path):
    torch.save({"epoch": 3, "state_dict": state}, path)


def of_data_parallel(state, path):
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)


def in_half_precision(state, path):
    torch.save({key: value.half() for key, value in state.items()}, path)


def with_openai_extras(state, path):
    extras = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    torch.save(state | {key: torch.tensor(value) for key, value in extras.items()}, path)


def as_parameters(state, path):
    torch.save({key: torch.nn.Parameter(value) for key, value in state.items()}, path)


def torchscript(state, path):
    """As OpenAI distributes: parameters and three extra numbers, the mask a constant."""
    model = mini.new_mini_clip(quick_gelu=True)
    model.load_state_dict(state)
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    model.register_buffer("input_resolution", torch.tensor(32))
    inputs = (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int64))
    torch.jit.trace(model.eval(), inputs, check_trace=False, strict=False).save(str(path))


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore:.*TorchScript archive:UserWarning"
)
@pytest.mark.parametrize(
    "write",
    [
        bare,
        legacy_pickle,
        under_state_dict,
        of_data_parallel,
        in_half_precision,
        with_openai_extras,
        as_parameters,
        torchscript,
    ],
)
def test_forms_of_a_torch_file_give_the_same_network(write, mini_state, mini_hash, tmp_path):
    path = tmp_path / "clip.pt"
    write(mini_state, path)
    loaded = load_clip("auto", str(path))
    assert loaded.weights_hash == mini_hash
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {torch.float32}
    assert not loaded.model.training


def test_safetensors_give_the_same_network(mini_state, mini_hash, tmp_path):
    save_file(mini_state, tmp_path / "clip.safetensors")
    loaded = load_clip("auto", str(tmp_path / "clip.safetensors"))
    assert loaded.weights_hash == mini_hash
    assert loaded.name == "ViT-128x3-8/clip.safetensors"


def test_hash_depends_on_every_tensor(mini_state, mini_hash, tmp_path):
    changed = mini_state["ln_final.bias"].clone()
    changed[-1] += 1e-3
    torch.save(mini_state | {"ln_final.bias": changed}, tmp_path / "clip.pt")
    assert load_clip("auto", str(tmp_path / "clip.pt")).weights_hash != mini_hash


def test_file_in_the_home_folder(mini_clip, mini_hash, monkeypatch):
    monkeypatch.setenv("HOME", str(mini_clip.parent))
    assert load_clip("auto", f"~/{mini_clip.name}").weights_hash == mini_hash


def test_auto_infers_the_architecture(mini_clip):
    model = load_clip("auto", str(mini_clip)).model
    visual = model.visual
    assert visual.conv1.kernel_size == (mini.PATCH, mini.PATCH)
    assert len(visual.transformer.resblocks) == mini.BLOCKS
    assert {block.attn.num_heads for block in visual.transformer.resblocks} == {mini.WIDTH // 64}
    assert visual.positional_embedding.shape == (1 + mini.SIDE**2, mini.WIDTH)
    assert len(model.transformer.resblocks) == mini.CONFIG["text_cfg"]["layers"]
    assert {block.attn.num_heads for block in model.transformer.resblocks} == {1}
    assert model.token_embedding.num_embeddings == 49408


@pytest.mark.parametrize(("quick_gelu", "expected"), [(None, True), (True, True), (False, False)])
@pytest.mark.parametrize("arch", ["auto", "mini-ViT"])
def test_local_files_have_quick_gelu_unless_told(arch, quick_gelu, expected, mini_clip, mini_arch):
    model = load_clip(arch, str(mini_clip), quick_gelu=quick_gelu).model
    for tower in (model.visual.transformer, model.transformer):
        assert {isinstance(block.mlp.gelu, QuickGELU) for block in tower.resblocks} == {expected}


def test_a_given_architecture_is_filled_from_the_file(mini_clip, mini_arch, mini_hash):
    loaded = load_clip(mini_arch, str(mini_clip))
    assert (loaded.weights_hash, loaded.name) == (mini_hash, "mini-ViT/mini.pt")


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(weights, "_warned", set())


@pytest.mark.parametrize("arch", ["auto", "mini-ViT"])
def test_assumed_quick_gelu_is_said_once_and_kept(arch, mini_clip, mini_arch, caplog):
    loaded = [load_clip(arch, str(mini_clip)) for _ in range(2)]
    assert [one.assumptions for one in loaded] == [("QuickGELU for mini.pt", "OpenAI's mean and std for mini.pt")] * 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        f"warning: {mini_clip} does not say its activation, mean and std: QuickGELU and OpenAI's mean and std assumed"
    )
    assert "open_clip_config.json beside the file" in record.getMessage()


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_a_stated_activation_is_no_assumption(quick_gelu, mini_clip, caplog):
    assert load_clip("auto", str(mini_clip), quick_gelu=quick_gelu).assumptions == (
        "OpenAI's mean and std for mini.pt",
    )
    assert not caplog.records


def test_bundled_random_and_quick_architectures_assume_nothing(mini_clip, mini_arch, monkeypatch, caplog):
    assert load_clip("auto", "pocket").assumptions == ()
    assert load_clip(mini_arch, None).assumptions == ()
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "mini-ViT-quickgelu", mini.CONFIG | {"quick_gelu": True})
    loaded = load_clip("mini-ViT-quickgelu", str(mini_clip))
    assert loaded.assumptions == ("OpenAI's mean and std for mini.pt",)
    assert isinstance(loaded.model.transformer.resblocks[0].mlp.gelu, QuickGELU)
    with pytest.raises(ValueError, match=r"quick_gelu=False contradicts .*-quickgelu': take .* 'mini-ViT', or leave"):
        load_clip("mini-ViT-quickgelu", str(mini_clip), quick_gelu=False)
    assert not caplog.records


@pytest.fixture
def registered(mini_clip, mini_arch, monkeypatch):
    """The mini CLIP's file as one that open_clip's registry names by its sha256, as it does OpenAI's."""
    digest = hashlib.sha256(mini_clip.read_bytes()).hexdigest()
    own = {
        "url": f"https://openaipublic.example/models/{digest}/mini.pt",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
    }
    tags = {"openai": own, "other": {"url": "x/other.pt"}}
    for name in (mini_arch, f"{mini_arch}-quickgelu"):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)
    monkeypatch.setattr(weights, "_SMALLEST_ORIGINAL", 0)
    return mini_clip


@pytest.mark.parametrize("arch", ["auto", "mini-ViT"])
def test_the_original_file_has_the_name_of_its_tag_whatever_it_is_called(arch, registered, mini_hash, tmp_path):
    (tmp_path / "renamed.pt").symlink_to(registered)
    loaded = load_clip(arch, str(tmp_path / "renamed.pt"))
    assert (loaded.name, loaded.weights_hash) == ("mini-ViT/openai", mini_hash)
    assert loaded.assumptions == ()  # the tag says it: GELU, as it has no "quick_gelu"
    assert not isinstance(loaded.model.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert (loaded.mean, loaded.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_other_files_keep_their_name(registered, mini_state, monkeypatch, tmp_path):
    torch.save({"state_dict": mini_state}, tmp_path / "mini.pt")  # the same weights, but not the file that is known
    assert load_clip("mini-ViT", str(tmp_path / "mini.pt")).name == "mini-ViT/mini.pt"
    monkeypatch.setattr(weights, "_SMALLEST_ORIGINAL", 2**40)
    assert load_clip("mini-ViT", str(registered)).name == "mini-ViT/mini.pt"


def test_the_registry_names_openais_files_by_their_sha256():
    for arch in ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-L-14-336"):
        assert weights._SHA256.search(weights.get_pretrained_cfg(arch, "openai")["url"])


def test_random_weights_are_reproducible_and_leave_the_generator_alone(mini_arch):
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = load_clip(mini_arch, None)
    assert torch.rand(1) == expected
    assert first.name == "mini-ViT/random"
    assert load_clip(mini_arch, None).weights_hash == first.weights_hash


@pytest.mark.parametrize("name", ["missing.pt", "missing.safetensors", "folder/missing.bin"])
def test_missing_file_is_named(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"Weights file .*{name} not found: set model\.backbone\.pretrained"):
        load_clip("auto", str(tmp_path / name))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\x00" * 100], ids=["empty", "web page", "zeros"])
def test_file_with_something_else_is_named(content, suffix, tmp_path):
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"clip\{suffix} is not a readable weights file"):
        load_clip("auto", str(path))


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.01])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_file_is_named(suffix, kept, small_state, tmp_path):
    path = tmp_path / f"clip{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(small_state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=rf"clip\{suffix} is not a readable weights file: it is damaged, incomplete"):
        load_clip("auto", str(path))


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
@pytest.mark.parametrize(
    "write", [torch.save, legacy_pickle, lambda state, path: path.write_bytes(pickle.dumps(state))]
)
def test_pickled_code_is_refused_and_not_run(write, small_state, tmp_path):
    path = tmp_path / "clip.pt"
    write(small_state | {"extra": Bomb(tmp_path / "boom")}, path)
    with pytest.raises(ValueError, match=r"clip\.pt is not a readable weights file: .*pickled with other objects"):
        load_clip("auto", str(path))
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text"], ids=["list", "tensor", "string"])
def test_file_without_a_dictionary_is_named(content, tmp_path):
    torch.save(content, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt is not a readable weights file"):
        load_clip("auto", str(tmp_path / "clip.pt"))


@pytest.mark.parametrize(
    "content", [{"state_dict": [1, 2]}, {0: torch.zeros(3)}], ids=["list inside", "numbers as keys"]
)
def test_dictionary_of_something_else_is_named(content, tmp_path):
    torch.save(content, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt"):
        load_clip("auto", str(tmp_path / "clip.pt"))


@pytest.mark.parametrize("content", [{}, {"fc.weight": torch.zeros(3)}], ids=["empty", "another network"])
def test_another_network_is_named(content, tmp_path):
    torch.save(content, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"does not hold a CLIP ViT in the key layout of OpenAI"):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_missing_and_unknown_keys_are_counted(mini_state, tmp_path):
    state = {key: value for key, value in mini_state.items() if key not in ("visual.ln_post.bias", "text_projection")}
    torch.save(state | {"visual.extra": torch.zeros(1)}, tmp_path / "clip.pt")
    message = (
        r"do not fit model\.backbone\.arch='auto': 2 keys are missing \(text_projection, .*ln_post\.bias\),"
        r" 1 are unknown \(visual\.extra\)"
    )
    with pytest.raises(ValueError, match=message):
        load_clip("auto", str(tmp_path / "clip.pt"))


@pytest.mark.parametrize("key", ["ln_final.weight", "token_embedding.weight", "visual.positional_embedding"])
def test_missing_key_that_defines_the_architecture_is_named(key, mini_state, tmp_path):
    torch.save({name: value for name, value in mini_state.items() if name != key}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=rf"do not fit model\.backbone\.arch='auto': .*{key}"):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_an_image_tower_alone_lacks_its_text_tower(mini_state, tmp_path):
    torch.save({name: value for name, value in mini_state.items() if name.startswith("visual.")}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"an image tower alone, and the text tower \(token_embedding\.weight, .* is"):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_wrong_shape_is_named(mini_state, tmp_path):
    torch.save(mini_state | {"visual.ln_post.bias": torch.zeros(5)}, tmp_path / "clip.pt")
    with pytest.raises(
        ValueError, match=r"do not fit model\.backbone\.arch='auto': size mismatch for visual\.ln_post\.bias"
    ):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_file_of_another_architecture_is_named(mini_clip, monkeypatch):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "other", mini.CONFIG | {"embed_dim": 48})
    message = (
        r"The weights in .*mini\.pt do not fit model\.backbone\.arch='other': size mismatch for .*\."
        r" Set model\.backbone\.arch=auto to read the architecture from the file \(mmseg_tfovss\.load: backbone='auto'"
    )
    with pytest.raises(ValueError, match=message):
        load_clip("other", str(mini_clip))


@pytest.mark.parametrize("name", ["conv1.weight", "positional_embedding"])
def test_tensor_of_another_rank_is_named(name, mini_state, tmp_path):
    torch.save(mini_state | {f"visual.{name}": torch.zeros(5)}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"The weights in .*clip\.pt do not fit model\.backbone\.arch='auto'"):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_width_below_one_head_is_named(small_state, tmp_path):
    narrow = mini.new_mini_clip(quick_gelu=True).state_dict()
    for key, value in narrow.items():
        if key.startswith("visual."):
            size = [32 if n == 128 else 96 if n == 384 else 128 if n == 512 else n for n in value.shape]
            narrow[key] = torch.zeros(size)
    torch.save(narrow, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match=r"clip\.pt"):
        load_clip("auto", str(tmp_path / "clip.pt"))


def test_unknown_architecture_offers_near_ones(mini_clip):
    message = r"model\.backbone\.arch='ViT-B16' is not an open_clip architecture\. Did you mean .*ViT-B-16"
    for pretrained in ("openai", str(mini_clip), None):
        with pytest.raises(ValueError, match=message):
            load_clip("ViT-B16", pretrained)


@pytest.mark.parametrize(
    "change",
    [
        {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 16, "image_size": 32, "patch_size": None}},
        {"custom_text": True},
        {"text_cfg": mini.CONFIG["text_cfg"] | {"pool_type": "last", "no_causal_mask": True}},
        {"text_cfg": mini.CONFIG["text_cfg"] | {"pool_type": "eos", "eos_id": 2}},
        {"vision_cfg": mini.CONFIG["vision_cfg"] | {"pool_type": "avg", "final_ln_after_pool": True}},
    ],
    ids=["ResNet", "another text tower", "CLIPA text", "MetaCLIP 2 text", "CLIPA image"],
)
def test_other_towers_are_refused(change, monkeypatch):
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "other", mini.CONFIG | change)
    with pytest.raises(ValueError, match=r"model\.backbone\.arch='other' is not a plain CLIP ViT"):
        load_clip("other", None)


@pytest.mark.parametrize("pretrained", ["openai", None])
def test_auto_needs_a_file(pretrained):
    with pytest.raises(ValueError, match=r"arch='auto' needs a local weights file in model\.backbone\.pretrained"):
        load_clip("auto", pretrained)


def test_unknown_tag_offers_near_ones():
    message = r"pretrained='opnai' is neither .* tag of ViT-B-16\. Did you mean openai\? Tags: openai, "
    with pytest.raises(ValueError, match=message):
        load_clip("ViT-B-16", "opnai")


@pytest.fixture
def empty_hub(monkeypatch, tmp_path):
    """Nothing is cached on this machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("tag", ["openai", "laion2b_s34b_b88k"])
def test_tag_without_network_is_one_sentence(tag, empty_hub):
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match=rf"ViT-B-16/{tag} are not in the local cache") as caught:
        load_clip("ViT-B-16", tag)
    assert time.monotonic() - start < 5
    message = str(caught.value)
    assert "\n" not in message
    assert "set model.backbone.pretrained=pocket; " in message
    assert "tfovss download --for sclip_vit-b16_voc20 " in message
    assert (f"--cfg-options model.backbone.pretrained={tag}" in message) == (tag != "openai")
    assert "download open_clip_model.safetensors from https://huggingface.co/" in message
    assert message.endswith("set model.backbone.pretrained to the file.")


def test_folder_of_the_same_name_does_not_hide_a_tag(empty_hub, monkeypatch, tmp_path):
    (tmp_path / "openai").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="ViT-B-16/openai are not in the local cache"):
        load_clip("ViT-B-16", "openai")


def test_reading_keeps_what_is_there_and_makes_it_float32(tmp_path):
    torch.save({"a": torch.ones(2), "b": 3, "module.c": torch.zeros(1).half()}, tmp_path / "x.pt")
    content = read_weights(tmp_path / "x.pt")
    assert set(content) == {"a", "b", "module.c"}
    found = as_float32({"c": content["module.c"]}, tmp_path / "x.pt")
    assert found["c"].dtype == torch.float32
