"""Training the pocket CLIP: captions, loss, a few steps, and what ships."""

import json
from importlib.resources import files

import open_clip
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from mmseg_tfovss.pocket import train_clip
from mmseg_tfovss.pocket.classes import CLASSES, STUFF, THINGS
from mmseg_tfovss.pocket.scenes import Dice
from mmseg_tfovss.pocket.train_clip import (
    NOUNS,
    build_corpus,
    build_model,
    compose_caption,
    compute_weights_digest,
    contrastive_loss,
    draw_training_scene,
    encode_captions,
)

SHIPPED = files("mmseg_tfovss") / "pocket"


@pytest.fixture(scope="module")
def shipped():
    return load_file(str(SHIPPED / "pocket_clip.safetensors"))


def _names(caption, label):
    words = set(caption.replace(".", " ").replace(",", " ").lower().split())
    return any(noun in words for noun in NOUNS[CLASSES[label]])


def test_captions_name_all_that_is_seen_or_one_class_of_it():
    singles = set()
    for index in range(400):
        dice = Dice(4, index)
        scene = draw_training_scene(dice)
        caption = compose_caption(scene, dice)
        seen = set(scene.things) | set(scene.stuff)
        named = {label for label in range(len(CLASSES)) if _names(caption, label)}
        assert named == seen or (len(named) == 1 and named < seen), caption
        singles |= named if len(named) == 1 else set()
    assert singles == set(range(len(CLASSES)))


def test_training_scenes_show_a_thing_and_a_ground():
    scenes = [draw_training_scene(Dice(1, index)) for index in range(200)]
    assert all(scene.things and scene.stuff for scene in scenes)


def test_articles():
    assert train_clip.with_article("apple") == "an apple"
    assert train_clip.with_article("banana") == "a banana"


def test_first_noun_is_the_class():
    assert [nouns[0] for nouns in NOUNS.values()] == [*THINGS, *STUFF]


def test_corpus_is_reproducible_and_captions_fit():
    with Progress(disable=True) as progress:
        first, again = (build_corpus(40, 3, progress) for _ in range(2))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.captions, again.captions)
    assert (first.captions[..., -1] == 0).all()


def test_short_captions_equal_the_full_context():
    model = build_model().eval()
    captions = ["a photo of a banana.", "grass"]
    full = model.encode_text(open_clip.tokenize(captions))
    short = encode_captions(model, open_clip.tokenize(captions, train_clip.CAPTION_TOKENS))
    torch.testing.assert_close(short, full)


def test_loss_of_certain_and_of_uniform_similarity():
    assert contrastive_loss(100 * torch.eye(5)).item() == pytest.approx(0, abs=1e-6)
    assert contrastive_loss(torch.zeros(5, 5)).item() == pytest.approx(torch.tensor(5.0).log())


def test_first_and_last_block_always_take_part():
    choose = torch.Generator().manual_seed(0)
    drawn = [train_clip.choose_blocks(12, 5, choose) for _ in range(50)]
    assert all(len(blocks) == 7 and blocks == sorted(set(blocks)) for blocks in drawn)
    assert all(blocks[0] == 0 and blocks[-1] == 11 for blocks in drawn)
    assert set().union(*drawn) == set(range(12))
    assert train_clip.choose_blocks(12, 0, choose) == list(range(12))


def test_command_trains_and_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_clip, "BATCH_SIZE", 8)
    monkeypatch.setattr(train_clip, "HELD_OUT_SCENES", 8)
    before = torch.random.get_rng_state()
    digests = []
    for name in ("a.safetensors", "b.safetensors"):
        out = tmp_path / "new" / name
        train_clip.main(["--out", str(out), "--steps", "3", "--scenes", "16", "--seed", "2", "--device", "cpu"])
        record = json.loads(out.with_suffix(".json").read_text())
        weights = load_file(out)
        assert record["tensors_sha256"] == compute_weights_digest(weights)
        assert {record["seed"], record["steps"], record["scenes"]} == {2, 3, 16}
        assert 0 <= record["retrieval_percent"] <= 100
        digests.append(record["tensors_sha256"])
    assert digests[0] == digests[1]
    assert torch.equal(before, torch.random.get_rng_state())
    assert sorted(path.suffix for path in (tmp_path / "new").iterdir()) == [
        ".json",
        ".json",
        ".safetensors",
        ".safetensors",
    ]
    assert "retrieval_percent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "clip.pt"], "must end in .safetensors"),
        (["--out", "clip.safetensors", "--steps", "0"], "--steps must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        train_clip.main(arguments)
    assert message in capsys.readouterr().err


def test_shipped_weights_are_the_recorded_ones(shipped):
    record = json.loads((SHIPPED / "pocket_clip.json").read_text())
    assert record["tensors_sha256"] == compute_weights_digest(shipped)
    assert record["retrieval_percent"] > 75
    assert all(weight.dtype == torch.float16 for weight in shipped.values())


def test_shipped_weights_have_openai_layout(shipped):
    assert build_model().load_state_dict(shipped).missing_keys == []
    assert shipped["visual.conv1.weight"].shape == (128, 3, 8, 8)
    assert shipped["visual.transformer.resblocks.11.attn.in_proj_weight"].shape == (384, 128)
    assert shipped["positional_embedding"].shape == (77, 64)
    assert shipped["token_embedding.weight"].shape == (49408, 64)
    assert shipped["text_projection"].shape == (64, 64)


def test_shipped_clip_finds_the_captions_of_new_scenes(shipped):
    model = build_model()
    model.load_state_dict(shipped)
    with Progress(disable=True) as progress:
        corpus = build_corpus(64, 123, progress, train_clip.compose_full_caption)
    assert train_clip.compute_retrieval(model, corpus, torch.device("cpu")) > 80
