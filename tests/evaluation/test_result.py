"""result.json: complete or absent, and never lost."""

import json

import pytest
import torch

from mmseg_tfovss.evaluation import result as results
from mmseg_tfovss.evaluation.scores import compute_scores


def make_result(**changes):
    base = {
        "schema_version": 1,
        "method": "SCLIP",
        "backbone": "ViT-B-16/openai",
        "dataset": "voc21",
        "protocol": "paper",
        "setting": "",
        "overrides": {},
        "precision": "fp32",
        "device": "x86_64",
        "metrics": {"mIoU": 59.1234, "pAcc": 80.0, "mAcc": 70.0, "fwIoU": 65.0},
        "per_class": {"cat": {"IoU": 59.1, "Acc": None}},
        "num_images": 10,
        "expected_images": 10,
        "seconds_per_image": 0.1234,
        "peak_memory_mb": 100.0,
        "config_hash": "c",
        "code_hash": "s",
        "dataset_hash": "d",
        "inputs": {},
        "settings": {},
        "vocabulary": "voc21",
        "vocabulary_version": "1",
        "vocabulary_hash": "v",
        "weights_hash": "w",
        "git_commit": None,
        "package": "mmseg_tfovss 0.1.0, source",
        "versions": {"python": "3.11"},
        "finished_at": "2026-01-01T00:00:00+00:00",
    }
    return {**base, **changes}


def test_round_trip_and_no_leftovers(tmp_path):
    path = results.write_result(make_result(), tmp_path / "run")
    assert results.read_result(path) == results.read_result(tmp_path / "run") == make_result()
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["result.json"]


def test_results_from_before_a_key_was_added_are_read(tmp_path):
    later = (
        "expected_images",
        "vocabulary",
        "vocabulary_version",
        "setting",
        "code_hash",
        "dataset_hash",
        "inputs",
        "settings",
        "package",
    )
    old = {key: value for key, value in make_result().items() if key not in later}
    (tmp_path / "result.json").write_text(json.dumps(old))
    read = results.read_result(tmp_path)
    none = dict.fromkeys(("vocabulary", "code_hash", "dataset_hash", "package"), "not recorded")
    assert read == make_result(expected_images=None, vocabulary_version=None, **none)


def test_failed_write_keeps_the_earlier_result(tmp_path, monkeypatch):
    results.write_result(make_result(method="old"), tmp_path)

    def full_disk(*_):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(results.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        results.write_result(make_result(method="new"), tmp_path)
    assert results.read_result(tmp_path)["method"] == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_missing_damaged_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="has not finished"):
        results.read_result(tmp_path)
    path = tmp_path / "result.json"
    for text, message in (
        ("{", "not a result file"),
        ('{"schema_version": 99}', "schema version 1"),
        ('{"schema_version": 1}', "lacks backbone"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            results.read_result(path)


def test_set_aside_keeps_every_earlier_result(tmp_path):
    assert results.set_aside(tmp_path) is None
    for number in (1, 2):
        results.write_result(make_result(num_images=number), tmp_path)
        assert results.set_aside(tmp_path).name == f"result.{number}.json"
        assert not (tmp_path / "result.json").exists()
    assert json.loads((tmp_path / "result.1.json").read_text())["num_images"] == 1


def test_absent_classes_become_null_and_double_names_stay_apart():
    scores = compute_scores(torch.tensor([[2, 0, 0], [0, 0, 0], [0, 0, 3]]))
    table = results.class_scores(["cat", "dog", "cat"], scores)
    assert table == {
        "cat": {"IoU": 100.0, "Acc": 100.0},
        "dog": {"IoU": None, "Acc": None},
        "cat (2)": {"IoU": 100.0, "Acc": 100.0},
    }
