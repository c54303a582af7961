"""Text features: the average over prompts, and the cache that must never cost a run."""

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmseg_tfovss.vocabulary import features as module
from mmseg_tfovss.vocabulary.features import cache_folder, cached_features, encode_queries

QUERIES, TEMPLATES = ("cat", "red cup", "dog"), ("a {}.", "the {} here.")


def fake_encoder(prompts):
    """Features that depend on every character."""
    return torch.stack([torch.tensor([float(sum(map(ord, p))), len(p), ord(p[-2]), 1.0]) for p in prompts])


def counted(result):
    calls = []
    return calls, lambda: calls.append(1) or result.clone()


def random_features(seed=0):
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("per_batch", [1, 2, 4, 640])
def test_queries_are_normalised_before_and_after_the_mean(per_batch, monkeypatch):
    monkeypatch.setattr(module, "_PROMPTS_PER_BATCH", per_batch)
    sizes = []
    found = encode_queries(lambda prompts: sizes.append(len(prompts)) or fake_encoder(prompts), QUERIES, TEMPLATES)
    for feature, query in zip(found, QUERIES, strict=True):
        prompts = fake_encoder([template.replace("{}", query) for template in TEMPLATES])
        mean = (prompts / prompts.norm(dim=1, keepdim=True)).mean(0)
        torch.testing.assert_close(feature, mean / mean.norm())
    assert sum(sizes) == len(QUERIES) * len(TEMPLATES)
    assert max(sizes) <= max(per_batch, len(TEMPLATES))


def test_second_time_does_not_compute(tmp_path):
    calls, compute = counted(random_features())
    first = cached_features(compute, "hash", QUERIES, TEMPLATES, tmp_path)
    second = cached_features(compute, "hash", QUERIES, TEMPLATES, tmp_path)
    assert len(calls) == 1
    assert torch.equal(first, second)
    assert torch.equal(second, random_features())
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


@pytest.mark.parametrize(
    "key",
    [
        ("other hash", QUERIES, TEMPLATES),
        ("hash", ("cat", "red", "cup dog"), TEMPLATES),
        ("hash", ("red cup", "cat", "dog"), TEMPLATES),
        ("hash", QUERIES, ("a {}.",)),
    ],
    ids=["weights", "words", "order", "templates"],
)
def test_other_weights_words_or_templates_are_other_entries(key, tmp_path):
    cached_features(random_features, "hash", QUERIES, TEMPLATES, tmp_path)
    calls, compute = counted(random_features(1))
    assert torch.equal(cached_features(compute, *key, tmp_path), random_features(1))
    assert len(calls) == 1


def truncate(path):
    path.write_bytes(path.read_bytes()[:-8])


def empty(path):
    path.write_bytes(b"")


def with_nan(path):
    save_file({"text_features": torch.full((3, 4), float("nan"))}, path)


def under_another_name(path):
    save_file({"features": random_features()}, path)


def with_too_few_words(path):
    save_file({"text_features": random_features()[:2].clone()}, path)


@pytest.mark.parametrize("damage", [truncate, empty, with_nan, under_another_name, with_too_few_words])
def test_damaged_entry_is_computed_again(damage, tmp_path):
    calls, compute = counted(random_features())
    cached_features(compute, "hash", QUERIES, TEMPLATES, tmp_path)
    [entry] = tmp_path.iterdir()
    damage(entry)
    assert torch.equal(cached_features(compute, "hash", QUERIES, TEMPLATES, tmp_path), random_features())
    assert len(calls) == 2
    assert torch.equal(load_file(entry)["text_features"], random_features())


def test_folder_that_cannot_be_written_only_warns(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        found = cached_features(random_features, "hash", QUERIES, TEMPLATES, tmp_path / "file" / "cache")
    assert torch.equal(found, random_features())
    assert "Text features could not be cached in" in caplog.text


def test_failed_write_leaves_nothing_behind(tmp_path, caplog, monkeypatch):
    def full_disk(tensors, path):
        Path(path).write_bytes(b"half an entry")
        raise OSError("No space left on device")

    monkeypatch.setattr(module, "save_file", full_disk)
    with caplog.at_level(logging.WARNING):
        found = cached_features(random_features, "hash", QUERIES, TEMPLATES, tmp_path)
    assert torch.equal(found, random_features())
    assert list(tmp_path.iterdir()) == []
    assert "No space left on device" in caplog.text


def test_half_precision_features_are_stored_as_float32(tmp_path):
    half = random_features().half()
    found = cached_features(lambda: half, "hash", QUERIES, TEMPLATES, tmp_path)
    assert found.dtype == torch.float32
    assert torch.equal(found, half.float())


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MMSEG_TFOVSS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "mmseg_tfovss"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "mmseg_tfovss"
