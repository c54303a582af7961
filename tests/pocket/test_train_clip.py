"""Training the pocket CLIP: captions, loss, a few steps, and what ships."""

import json
from importlib.resources import files

import numpy as np
import open_clip
import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from mmseg_tfovss.pocket import train_clip
from mmseg_tfovss.pocket.classes import CLASSES, STUFF, THINGS
from mmseg_tfovss.pocket.scenes import Dice, Scene
from mmseg_tfovss.pocket.train_clip import (
    NOUNS,
    build_corpus,
    build_model,
    compose_caption,
    compute_weights_digest,
    contrastive_loss,
    cut_crop,
    divide,
    draw_training_scene,
    drop_patches,
    encode_captions,
    find_parts,
    list_shown,
    normalise_pixels,
    read_last_block,
    sharpen_last_block,
    widen,
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


def test_captions_of_areas_without_thing_or_ground():
    for things, stuff in (((0, 2), ()), ((), (8, 11))):
        scene = Scene(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), things, stuff)
        caption = train_clip.compose_full_caption(scene, Dice(0))
        assert {label for label in range(len(CLASSES)) if _names(caption, label)} == {*things, *stuff}


def test_an_area_shows_the_classes_that_have_a_hundredth_of_it():
    labels = np.full((20, 20), CLASSES.index("sand"), np.uint8)
    labels[0, :4], labels[1, :3] = CLASSES.index("fish"), CLASSES.index("ball")
    shown = list_shown(labels)
    assert [CLASSES[k] for k in (*shown.things, *shown.stuff)] == ["fish", "sand"]


def test_crops_keep_image_and_labels_together():
    labels = np.random.default_rng(0).integers(len(CLASSES), size=(2, 256, 256), dtype=np.uint8)
    canvases = train_clip.Canvases(torch.from_numpy(labels)[:, None].expand(-1, 3, -1, -1), labels)
    crops = [cut_crop(canvases, (64, 64), 64, Dice(index)) for index in range(8)]
    for image, area in crops:
        assert np.array_equal(image.numpy(), np.broadcast_to(area, (3, 64, 64)))
    mirrored = [area.strides[1] < 0 for _, area in crops]
    assert any(mirrored)
    assert not all(mirrored)
    assert cut_crop(canvases, (100, 100), 64, Dice(0))[0].shape == (3, 64, 64)


def test_the_tokens_of_a_part_are_those_whose_labels_it_has():
    grid, cross = 8, (3, 5)
    place = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pixels = place.repeat(2, axis=0).repeat(2, axis=1)
    read = find_parts(torch.arange(64)[None], torch.tensor([cross]), grid)
    assert read[0, :, 0].all()
    for part, labels in enumerate(divide(pixels, cross, grid)):
        assert read[0, part, 1:].nonzero()[:, 0].tolist() == np.unique(labels).tolist()


def test_patches_that_stay_are_told():
    tokens = torch.arange(2 * 11, dtype=torch.float32).view(2, 11, 1)
    left, places = drop_patches(tokens, 0.4, torch.Generator().manual_seed(0))
    assert left.shape == (2, 7, 1)
    assert torch.equal(left[:, 1:, 0], places + torch.tensor([[1], [12]]))
    assert torch.equal(left[:, 0], tokens[:, 0])
    assert all(len(set(row)) == 6 for row in places.tolist())


@pytest.fixture(scope="module")
def inputs():
    """An untrained network, images, and the input of its last block."""
    torch.manual_seed(0)
    model = build_model().eval()
    images = normalise_pixels(torch.randint(256, (2, 3, 64, 64)))
    visual = model.visual
    with torch.no_grad():
        tokens = visual._embeds(images)
        for block in list(visual.transformer.resblocks)[:-1]:
            tokens = block(tokens)
    return model, images, tokens


def test_the_last_block_read_whole_is_the_network(inputs):
    model, images, tokens = inputs
    with torch.no_grad():
        torch.testing.assert_close(read_last_block(model, tokens, None, bare=False), model.encode_image(images))
        bare = read_last_block(model, tokens, None, bare=True)
        block = model.visual.transformer.resblocks[-1]
        read = block.attention(block.ln_1(tokens))[:, 0]
        torch.testing.assert_close(bare, model.visual.ln_post(read) @ model.visual.proj)


def test_a_part_is_read_as_if_there_were_nothing_else(inputs):
    model, _, tokens = inputs
    parts = find_parts(torch.arange(64).expand(2, -1), torch.tensor([(2, 3), (4, 6)]), 8)
    with torch.no_grad():
        read = read_last_block(model, tokens, parts, bare=True).unflatten(0, (2, 4))
        for image in range(2):
            for part in range(4):
                only = tokens[image, parts[image, part]][None]
                torch.testing.assert_close(read[image, part], read_last_block(model, only, None, bare=True)[0])


def test_widening_and_sharpening(inputs):
    model, _, _ = inputs
    wider = widen(model)
    assert wider.visual.positional_embedding.shape == (257, 128)
    torch.testing.assert_close(wider.visual.positional_embedding[0], model.visual.positional_embedding[0])
    before = model.visual.transformer.resblocks[-1].attn.in_proj_weight
    sharpen_last_block(wider)
    after = wider.visual.transformer.resblocks[-1].attn.in_proj_weight
    torch.testing.assert_close(after[:256], train_clip.SHARPENING * before[:256])
    torch.testing.assert_close(after[256:], before[256:])


@pytest.fixture
def tiny(monkeypatch):
    for name in ("BATCH_SIZE", "PARTS_BATCH", "HELD_OUT_SCENES"):
        monkeypatch.setattr(train_clip, name, 4)
    monkeypatch.setattr(train_clip, "LAST_BLOCK_CROPS", {64: (4, (64, 128), 4, 5), 128: (4, (128, 256), 4, 5)})

    def train(out, *stages, start=None):
        sizes = ["--scenes", "8", "--canvases", "4", "--seed", "2", "--device", "cpu"]
        sizes += ["--stages", *map(str, stages), "--steps", *("2" for _ in stages)]
        train_clip.main(["--out", str(out), *sizes, *(["--start-from", str(start)] if start else [])])
        record, weights = json.loads(out.with_suffix(".json").read_text()), load_file(out)
        assert record["tensors_sha256"] == compute_weights_digest(weights)
        return record, weights

    return train


@pytest.mark.slow
def test_command_trains_and_records(tiny, tmp_path, capsys):
    before = torch.random.get_rng_state()
    first, weights = tiny(tmp_path / "new" / "a.safetensors", 1, 3, 2, 3)
    assert (first["seed"], first["stages"], first["steps"], first["scenes"]) == (2, [1, 3, 2, 3], [2, 2, 2, 2], 8)
    assert 0 <= first["retrieval_percent"] <= 100
    assert weights["visual.positional_embedding"].shape == (257, 128)
    assert torch.equal(before, torch.random.get_rng_state())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.json", "a.safetensors"]
    assert "retrieval_percent" in capsys.readouterr().out

    # The same in three calls; the last stage leaves the other blocks alone, and its second time sees other crops.
    begun, _ = tiny(tmp_path / "1.safetensors", 1, 3)
    between, before = tiny(tmp_path / "2.safetensors", 2, start=tmp_path / "1.safetensors")
    again, after = tiny(tmp_path / "3.safetensors", 3, start=tmp_path / "2.safetensors")
    assert again["tensors_sha256"] == first["tensors_sha256"]
    assert (again["started_from"], between["started_from"]) == (between, begun)
    assert "--stages 3" in again["command"]
    assert "--start-from 2.safetensors" in again["command"]
    assert train_clip._list_stages(again) == [1, 3, 2, 3]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all(name.startswith(train_clip._LAST_BLOCK) or not name.startswith("visual.") for name in changed)
    assert "visual.transformer.resblocks.11.attn.in_proj_weight" in changed


def test_a_record_of_other_weights_is_refused(tmp_path):
    start = tmp_path / "start.safetensors"
    train_clip.write_result(start, {"x": torch.zeros(2)}, {"tensors_sha256": "ab"})
    with pytest.raises(ValueError, match=r"start\.json is not the record of .*start\.safetensors"):
        train_clip.main(
            ["--out", str(tmp_path / "b.safetensors"), "--stages", "2", "--steps", "1", "--start-from", str(start)]
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "clip.pt"], "must end in .safetensors"),
        (["--out", "clip.safetensors", "--steps", "1", "0", "1", "1"], "--steps must be at least 1, got 0"),
        (["--out", "clip.safetensors", "--steps", "1", "1"], "a number for each of --stages [1, 3, 2, 3], got [1, 1]"),
        (["--out", "clip.safetensors", "--canvases", "0"], "--canvases must be at least 1"),
        (["--out", "clip.safetensors", "--stages", "2", "1"], "with 1 before them or not, got [2, 1]"),
        (["--out", "clip.safetensors", "--stages", "2", "3"], "--start-from is needed where"),
        (["--out", "clip.safetensors", "--start-from", "x.safetensors"], "--start-from is needed where"),
        (["--out", "clip.safetensors", "--stages", "2", "--start-from", "x.safetensors"], "there is no x.safetensors"),
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
    assert build_model(train_clip.PARTS_SIZE).load_state_dict(shipped).missing_keys == []
    assert shipped["visual.conv1.weight"].shape == (128, 3, 8, 8)
    assert shipped["visual.transformer.resblocks.11.attn.in_proj_weight"].shape == (384, 128)
    assert shipped["positional_embedding"].shape == (77, 64)
    assert shipped["token_embedding.weight"].shape == (49408, 64)
    assert shipped["text_projection"].shape == (64, 64)


@pytest.mark.slow
def test_shipped_clip_finds_the_captions_of_new_scenes(shipped):
    model = build_model(train_clip.PARTS_SIZE)
    model.load_state_dict(shipped)
    with Progress(disable=True) as progress:
        corpus = build_corpus(64, 123, progress, train_clip.compose_full_caption)
    assert train_clip.compute_retrieval(model, corpus, torch.device("cpu")) > 80
