"""Training the pocket diffusion model: scenes, captions, a few steps, and what ships."""

import json
from pathlib import Path

import pytest
import torch
from rich.progress import Progress

from mmseg_tfovss.encoders.stable_diffusion import POCKET_FOLDER, StableDiffusion
from mmseg_tfovss.pocket import train_diffusion
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import VALIDATION_SEED, Dice
from mmseg_tfovss.pocket.train_clip import compute_weights_digest
from mmseg_tfovss.pocket.train_diffusion import (
    build_corpus,
    build_model,
    build_tokenizer,
    compute_graph_auc,
    draw_image,
    draw_measured_scenes,
    tokenize,
)


@pytest.fixture(scope="module")
def corpus():
    with Progress(disable=True) as progress:
        return build_corpus(60, 3, progress)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return build_tokenizer(corpus.captions)


def test_corpus_is_reproducible(corpus):
    with Progress(disable=True) as progress:
        again = build_corpus(5, 3, progress)
    assert torch.equal(again.images, corpus.images[:5])
    assert again.captions == corpus.captions[:5]
    assert corpus.images.shape == (60, 3, 128, 128)
    image, captions = draw_image(Dice(3, 4))
    assert (corpus.images[4].permute(1, 2, 0).numpy() == image).all()
    assert corpus.captions[4] == captions


def test_tokens_are_words_of_the_generator_and_fit(corpus, tokenizer):
    tokens = tokenize(tokenizer, [sentence for sentences in corpus.captions for sentence in sentences])
    assert tokens.shape == (120, 32)
    cut_off = tokens[:, -1] != tokenizer.eos_token_id
    assert not cut_off.any()
    words = {f"{name}</w>" for name in CLASSES}
    assert words <= set(tokenizer.get_vocab())
    assert tokenize(tokenizer, [""])[0].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 31
    assert tokenizer.unk_token_id not in tokenizer("zebra & 7", add_special_tokens=False).input_ids[:1]


def test_networks_have_sd2s_layout(tokenizer):
    model = build_model(tokenizer)
    unet = model.unet.config
    assert unet.down_block_types == ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    assert unet.up_block_types == ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    assert {layer.to_q.out_features // layer.heads for layer in model.unet.modules() if hasattr(layer, "to_q")} == {32}
    assert model.scheduler.config.prediction_type == "v_prediction"
    assert sum(weight.numel() for weight in model.weights().values()) < 6e6


def test_auc_counts_ordered_pairs():
    labels = torch.tensor([0, 0, 1])
    best = torch.tensor([[9.0, 3.0, 1.0], [3.0, 9.0, 1.0], [1.0, 1.0, 9.0]])
    assert compute_graph_auc(best, labels) == 1
    assert compute_graph_auc(-best, labels) == 0
    assert compute_graph_auc(torch.ones(3, 3), labels) == 0.5
    mixed = torch.tensor([[0.0, 3.0, 4.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    assert compute_graph_auc(mixed, labels) == 6 / 8


def test_measured_scenes_are_not_the_validation_splits():
    scenes = draw_measured_scenes(3, 1)
    assert VALIDATION_SEED not in (1, 2)
    for image, labels in scenes:
        assert image.shape == (1, 3, 192, 192)
        assert 0 <= image.min() < 100 < image.max() <= 255
        assert labels.shape == (576,)
        assert len(labels.unique()) > 1
    again = draw_measured_scenes(2, 1)
    assert torch.equal(again[1][0], scenes[1][0])
    assert torch.equal(again[1][1], scenes[1][1])


def test_baselines_compare_places_and_colours():
    image = torch.zeros(1, 3, 4, 6)
    image[..., 2:4] = 50.0
    labels = torch.tensor([0, 1, 0])
    assert torch.equal(train_diffusion.nearness(image, (1, 3))[0], -torch.tensor([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]]))
    assert compute_graph_auc(train_diffusion.nearness(image, (1, 3))[0], labels) == 0
    assert compute_graph_auc(train_diffusion.likeness(image, (1, 3))[0], labels) == 1


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(train_diffusion, "BATCH_SIZE", 2)
    monkeypatch.setattr(train_diffusion, "MEASURED_SCENES", 1)
    monkeypatch.setattr(train_diffusion, "MEASURED_TIMES", (1,))
    monkeypatch.setattr(train_diffusion, "MEASURED_BLOCKS", (("mid_block",),))


@pytest.mark.usefixtures("small")
@pytest.mark.slow
def test_command_trains_and_records(tmp_path, capfd):
    before = torch.random.get_rng_state()
    networks = []
    for name in ("a", "b"):
        out = tmp_path / "new" / name
        options = ["--steps", "3", "--vae-steps", "2", "--scenes", "4", "--seed", "2", "--device", "cpu"]
        train_diffusion.main(["--out", str(out), *options])
        record = json.loads((out / "record.json").read_text())
        assert {key: record[key] for key in ("seed", "steps", "vae_steps", "scenes")} == {
            "seed": 2,
            "steps": 3,
            "vae_steps": 2,
            "scenes": 4,
        }
        assert record["command"].endswith(f"--out {name} --seed 2 --steps 3 --vae-steps 2 --scenes 4")
        assert list(record["graph_auc"]) == [
            "nearness of patches",
            "likeness of mean colours",
            "pocket CLIP, last block",
            "pocket CLIP, all blocks",
            "mid_block, time step 1",
        ]
        assert all(0 < value < 1 for value in record["graph_auc"].values())
        networks.append((record["tensors_sha256"], StableDiffusion(str(out)).weights_hash))
    assert networks[0] == networks[1]
    assert torch.equal(before, torch.random.get_rng_state())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "b"]
    shown = capfd.readouterr()
    assert "graph_auc" in shown.out
    assert shown.err == ""
    graph = StableDiffusion(str(tmp_path / "new" / "a")).graph(torch.rand(1, 3, 40, 70) * 255, (5, 8))
    torch.testing.assert_close(graph.sum(dim=-1), torch.ones(1, 40))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "new", "--steps", "0"], "--steps must be at least 1"),
        (["--out", "new", "--vae-steps", "0"], "--vae-steps must be at least 1"),
        (["--out", str(Path(__file__).parent)], "--out must be a new or an empty folder"),
        (["--out", __file__], "--out must be a new or an empty folder"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        train_diffusion.main(arguments)
    assert message in capsys.readouterr().err


def test_shipped_weights_are_the_recorded_ones():
    from safetensors.torch import load_file

    record = json.loads((POCKET_FOLDER / "record.json").read_text())
    weights = {
        f"{path.parent.name}.{name}": weight
        for path in POCKET_FOLDER.rglob("*.safetensors")
        for name, weight in load_file(path).items()
    }
    assert record["tensors_sha256"] == compute_weights_digest(weights)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    files = [path for path in POCKET_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 12e6
    assert {path.parent.name for path in files} == {
        "pocket_diffusion",
        "vae",
        "unet",
        "text_encoder",
        "tokenizer",
        "scheduler",
    }


@pytest.mark.slow
def test_shipped_graph_joins_patches_of_one_class():
    """It is recorded to; fewer scenes are measured here, from another seed."""
    scenes = draw_measured_scenes(6, 123)
    recorded = json.loads((POCKET_FOLDER / "record.json").read_text())["graph_auc"]
    assert recorded["up_blocks.1 + up_blocks.2, time step 1"] > 0.75 > recorded["nearness of patches"]
    network = StableDiffusion("pocket", blocks=["up_blocks.1", "up_blocks.2"], time_step=1)
    found = train_diffusion.measure_graph(network.graph, scenes)
    assert found > 0.7 > train_diffusion.measure_graph(train_diffusion.nearness, scenes)
