"""Both sides label the same image in turn, and ratios are of pairs."""

import numpy as np
import pytest
import torch
from rich.console import Console

from mmseg_tfovss.profiling.official import pairs as pairs_module
from mmseg_tfovss.profiling.official.pairs import Pairs, pairs_table, time_pairs
from mmseg_tfovss.profiling.official.weights import words_from_patches, write_random_clip
from tests.parity.cases import FOLDER


def test_the_ratio_is_the_median_of_the_pairs():
    found = Pairs(official=(2.0, 9.0, 4.0), ours=(1.0, 3.0, 4.0), agreement=0.5, classes=2)
    assert found.ratio == 2.0
    console = Console(width=120, record=True)
    console.print(pairs_table("a title", {"fp32": found}))
    text = console.export_text()
    for word in ("a title", "4.000", "3.000", "2.00", "1.00 .. 3.00", "50.00 %"):
        assert word in text


def test_sides_take_turns_and_the_first_round_is_left_out(monkeypatch):
    calls, clock = [], iter(range(100))
    monkeypatch.setattr(pairs_module.time, "perf_counter", lambda: next(clock))

    def side(name, label):
        def call(image):
            assert image.dtype == np.uint8
            calls.append(name)
            return torch.tensor([[0, label]])

        return call

    found = time_pairs(
        side("theirs", 1), {"fp32": side("fp32", 1), "bf16": side("bf16", 2)}, FOLDER / "images/china.png", 2
    )
    assert calls == ["theirs", "fp32", "bf16"] * 3
    assert len(found["fp32"].official) == len(found["bf16"].ours) == 2
    assert (found["fp32"].agreement, found["bf16"].agreement) == (1.0, 0.5)
    assert found["bf16"].classes == 2


def test_words_are_those_of_patches(build_method):
    model = build_method("SCLIP")
    image = torch.randn(3, 48, 32, generator=torch.Generator().manual_seed(0))
    words = words_from_patches(model, image)
    assert words.shape == (len(model.decode_head.query_class), model.backbone.proj.shape[1])
    torch.testing.assert_close(words.norm(dim=1), torch.ones(len(words)))
    patches = model.extract_feat(image[None])[0].flatten(1).T
    assert torch.cosine_similarity(words[0], patches[0], dim=0) > 0.95


def test_an_unknown_architecture_is_named(tmp_path):
    with pytest.raises(ValueError, match="open_clip has no architecture 'ViT-Q-16'"):
        write_random_clip(tmp_path / "clip.pt", "ViT-Q-16")
