"""Weight files: what a file is, its content tells; whatever is in it, the end is a network or one sentence."""

import random
import resource
import struct
import zipfile

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

from mmseg_tfovss.encoders import weights
from mmseg_tfovss.encoders.weight_files import as_float32, read_weights
from mmseg_tfovss.encoders.weights import load_clip

TOKENS = 10
MEGABYTE = 2**20


@pytest.fixture
def few_tokens(monkeypatch):
    """So that files are small."""
    monkeypatch.setattr(weights, "_VOCABULARY", TOKENS)


@pytest.fixture(scope="module")
def small_clip():
    """A whole CLIP with a vocabulary of ten tokens."""
    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=1, width=64, patch_size=8, image_size=16)
    text = CLIPTextCfg(context_length=5, vocab_size=TOKENS, width=64, heads=1, layers=1)
    return CLIP(8, vision, text, quick_gelu=True).eval()


def as_torch(model, path):
    torch.save(model.state_dict(), path)


def as_legacy(model, path):
    torch.save({"state_dict": model.state_dict()}, path, _use_new_zipfile_serialization=False)


def as_safetensors(model, path):
    save_file(model.state_dict(), path)


def as_torchscript(model, path):
    inputs = (torch.zeros(1, 3, 16, 16), torch.zeros(1, 5, dtype=torch.int64))
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    try:
        torch.jit.trace(model, inputs, check_trace=False, strict=False).save(str(path))
    finally:
        del model.attn_mask
        model.register_buffer("attn_mask", mask, persistent=False)


FORMATS = [as_torch, as_legacy, as_safetensors, as_torchscript]


@pytest.fixture(scope="module", params=FORMATS)
def small_file(request, small_clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "clip.bin"
    with pytest.MonkeyPatch.context():
        request.param(small_clip, path)
    return path


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_the_content_tells_what_a_file_is(small_file, few_tokens, small_clip, tmp_path):
    expected = weights.hash_tensors(small_clip.state_dict())
    for suffix in (".pt", ".bin", ".ckpt", ".weights"):
        path = tmp_path / f"clip{suffix}"
        path.write_bytes(small_file.read_bytes())
        assert load_clip("auto", str(path), quick_gelu=True).weights_hash == expected


def cut(data, place, draw):
    del data[draw.randrange(len(data)) :]


def overwrite(data, place, draw):
    data[place : place + draw.randrange(1, 9)] = draw.randbytes(draw.randrange(1, 4))


def enlarge(data, place, draw):
    data[place : place + 8] = struct.pack("<Q", draw.choice((0, 1, 2**31, 2**40, 2**63, 2**64 - 1)))


def flip(data, place, draw):
    data[place] ^= 1 << draw.randrange(8)


def repeat(data, place, draw):
    start = draw.randrange(len(data))
    data[place:place] = data[start : start + draw.randrange(64)]


def renumber(data, place, draw):
    digits = [index for index in range(place, min(place + 2000, len(data))) if chr(data[index]) in "0123456789"]
    for index in draw.sample(digits, min(3, len(digits))):
        data[index] = ord(draw.choice("0123456789"))


def mutated(content, draw):
    """A file as something may have left it: cut, overwritten, patched with large numbers, or repeated."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 5))):
        if data:
            end = max(len(data) - 900, 0)
            place = draw.choice((draw.randrange(len(data)), draw.randrange(min(len(data), 4000)), end))
            draw.choice((cut, overwrite, enlarge, flip, repeat, renumber))(data, place, draw)
    return bytes(data)


def mutated_pickle(content, path, draw):
    """An archive whose pickle is mutated and whose checksums are right."""
    path.write_bytes(content)
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, member in members.items():
            hit = name.endswith("/data.pkl") or (draw.random() < 0.1 and member)
            new.writestr(name, mutated(member, draw) if hit else member)


def check_file(path):
    """Load it, and return whether it was one; anything else than one sentence fails the test."""
    try:
        load_clip("auto", str(path), quick_gelu=True)
    except (ValueError, FileNotFoundError) as error:
        kind, message = type(error), str(error)
    else:
        return True
    assert kind in (ValueError, FileNotFoundError), kind
    assert "clip.bin" in message
    assert "\n" not in message
    assert len(message) < 1500
    return False


def fuzz(path, target, seed, rounds):
    draw, content = random.Random(seed), path.read_bytes()
    loaded, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(rounds):
        if content.startswith(b"PK") and number % 2:
            mutated_pickle(content, target, draw)
        else:
            target.write_bytes(mutated(content, draw))
        loaded += check_file(target)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert grown < 300, f"{grown} MB"
    return loaded


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_end_in_a_sentence(small_file, few_tokens, tmp_path):
    assert check_file(small_file)
    loaded = fuzz(small_file, tmp_path / "clip.bin", seed=0, rounds=80)
    assert loaded < 60


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(1, 4))
def test_many_damaged_files_end_in_a_sentence(seed, small_file, few_tokens, tmp_path):
    fuzz(small_file, tmp_path / "clip.bin", seed, rounds=400)


def test_a_folder_is_no_file(mini_clip, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match=r"model is a folder: set model\.backbone\.pretrained to one weights file\.$"):
        load_clip("auto", str(tmp_path / "model"))
    (tmp_path / "model" / "b.pt").touch()
    for arch in ("auto", "ViT-B-16"):
        with pytest.raises(ValueError, match=r"model is a folder: .* to one weights file, such as .*model/b\.pt\.$"):
            load_clip(arch, str(tmp_path / "model"))
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(ValueError, match=r"folder\.pt is a folder"):
        load_clip("auto", str(tmp_path / "folder.pt"))


def test_an_index_of_shards_is_no_file(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"metadata": {}, "weight_map": {"visual.proj": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(ValueError, match=r"index\.json is the index of weights in several files.*: join them into one"):
        load_clip("auto", str(path))
    with pytest.raises(FileNotFoundError, match=r"Weights file .*other\.index\.json not found"):
        load_clip("auto", str(tmp_path / "other.index.json"))


def test_a_shard_alone_is_no_network(mini_state, tmp_path):
    half = dict(list(mini_state.items())[:20])
    save_file(half, tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(ValueError, match=r"model-00001-of-00002\.safetensors"):
        load_clip("auto", str(tmp_path / "model-00001-of-00002.safetensors"))


@pytest.mark.parametrize("arch", ["auto", "ViT-B-16"])
@pytest.mark.parametrize("name", ["weights/clip", "clip.ckpt", "./clip", "~/clip/x"])
def test_a_path_that_leads_nowhere_is_no_tag(arch, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Weights file .* not found"):
        load_clip(arch, name)


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (torch.zeros(4, dtype=torch.int8), r"not a plain tensor of floating-point numbers \(int8\)"),
        (torch.zeros(4, dtype=torch.bool), r"\(bool\)"),
        (torch.zeros(4, dtype=torch.complex64), r"\(complex64\)"),
        (torch.eye(4).to_sparse(), "not a plain tensor"),
        (torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8), "not a plain tensor"),
        (torch.zeros(4, device="meta"), "not a plain tensor"),
        (torch.zeros(1).expand(2**40), r"of shape \(1099511627776,\) has more values than the file holds"),
        (torch.zeros(1).half().expand(2**40), "has more values than the file holds"),
    ],
    ids=["int8", "bool", "complex", "sparse", "quantized", "meta", "expanded", "expanded half"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_weights_are_named(tensor, told, mini_state, tmp_path):
    path = tmp_path / "clip.pt"
    torch.save(mini_state | {"visual.proj": tensor}, path)
    with pytest.raises(ValueError, match=rf"clip\.pt: visual\.proj .*{told}"):
        load_clip("auto", str(path))


def test_many_names_for_one_storage_are_bounded(tmp_path):
    one = torch.zeros(1000).half()
    torch.save({str(number): one for number in range(50)}, tmp_path / "clip.pt")
    with pytest.raises(ValueError, match="many times more values than the file holds"):
        as_float32(read_weights(tmp_path / "clip.pt"), tmp_path / "clip.pt")
    few = {str(number): one for number in range(4)}
    assert len(as_float32(few, tmp_path / "clip.pt")) == 4


def test_a_full_memory_is_not_called_a_damaged_file(mini_clip, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(MemoryError):
        read_weights(mini_clip)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "it is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "it is a web page"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_a_download_may_have_left_is_named(content, told, suffix, tmp_path):
    (tmp_path / f"clip{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"is not a readable weights file: .*{told}.*Download it again"):
        load_clip("auto", str(tmp_path / f"clip{suffix}"))


def test_a_header_whose_length_looks_like_a_web_page_is_none(tmp_path):
    """Its first bytes are the length, here the characters " <"."""
    path = tmp_path / "clip.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(0x3C20)
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 2.5))
    assert read_weights(path)["a"].tolist() == [2.5]
    header = header.rstrip().ljust(0x213C)  # "<!"
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 2.5))
    assert read_weights(path)["a"].tolist() == [2.5]
