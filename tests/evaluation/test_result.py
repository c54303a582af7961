"""result.json: complete or absent, and never lost."""

import json
from contextlib import suppress
from pathlib import Path

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
        "assumptions": [],
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
        "assumptions",
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


def leave(folder, number, *, result=True, overlays=True):
    """What a run leaves, with its number in it."""
    if result:
        results.write_result(make_result(num_images=number), folder)
    if overlays:
        (folder / "overlays").mkdir()
        (folder / f"overlays/{number}_overlay.png").touch()


def kept(folder):
    """Numbers in what lies there: of results, and of overlays, by their names."""
    named = {path.name: json.loads(path.read_text())["num_images"] for path in folder.glob("result*.json")}
    drawn = {path.parent.name: int(path.name.split("_")[0]) for path in folder.glob("overlays*/*.png")}
    return named, drawn


def test_overlays_go_with_their_result_and_with_no_other(tmp_path):
    leave(tmp_path, 1)
    assert results.set_aside(tmp_path).name == "result.1.json"
    leave(tmp_path, 2, result=False)  # interrupted
    assert results.set_aside(tmp_path) is None
    assert not (tmp_path / "overlays").exists()
    leave(tmp_path, 3, overlays=False)
    assert results.set_aside(tmp_path).name == "result.3.json"
    leave(tmp_path, 4)
    (tmp_path / "result.1.json").unlink()  # by hand
    assert results.set_aside(tmp_path).name == "result.4.json"
    numbers = {"overlays.1": 1, "overlays.2": 2, "overlays.4": 4}
    assert kept(tmp_path) == ({"result.3.json": 3, "result.4.json": 4}, numbers)


def test_overlays_of_the_run_that_goes_on_stay(tmp_path):
    leave(tmp_path, 1, result=False)
    assert results.set_aside(tmp_path, overlays=False) is None
    assert kept(tmp_path) == ({}, {"overlays": 1})
    results.write_result(make_result(num_images=7), tmp_path)  # of whoever
    assert results.set_aside(tmp_path, overlays=False).name == "result.1.json"
    assert kept(tmp_path) == ({"result.1.json": 7}, {"overlays": 1})


@pytest.mark.parametrize("moment", range(5))
def test_a_kill_between_two_renamings_loses_and_mixes_nothing(tmp_path, monkeypatch, moment):
    leave(tmp_path, 1)
    left, rename = [moment], Path.rename

    def killed(path, target):
        for step in (lambda: None, lambda: rename(path, target)):
            step()
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        results.set_aside(tmp_path)
    results.set_aside(tmp_path)
    assert not (tmp_path / "overlays").exists()
    leave(tmp_path, 2)
    results.set_aside(tmp_path)
    named, drawn = kept(tmp_path)
    assert sorted(named.values()) == sorted(drawn.values()) == [1, 2]
    for name, number in named.items():
        pictures = drawn.get(name.replace("result", "overlays").removesuffix(".json"), number)
        assert pictures == number


def test_whatever_has_the_name_of_a_result_is_set_aside(tmp_path):
    (tmp_path / "result.json").symlink_to(tmp_path / "away")
    assert results.set_aside(tmp_path).name == "result.1.json"
    (tmp_path / "result.json").mkdir()
    assert results.set_aside(tmp_path).name == "result.2.json"
    results.write_result(make_result(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"metrics": {"mIoU": float("nan"), "pAcc": 1, "mAcc": 1, "fwIoU": 1}}, "metrics"),
        ({"metrics": {"mIoU": 1.0}}, "metrics.pAcc, metrics.mAcc, metrics.fwIoU"),
        ({"per_class": {"cat": {"IoU": 1.0}}}, "per_class"),
        ({"num_images": True, "inputs": {"a": 3}}, "num_images, inputs"),
        ({"protocol": "mine", "git_commit": 5}, "protocol, git_commit"),
    ],
)
def test_entries_of_a_wrong_kind_are_named(changes, named):
    results.check_types(make_result())
    with pytest.raises(ValueError, match=f"^The result has no usable {named}: run the test again"):
        results.check_types(make_result(**changes))


def test_absent_classes_become_null_and_double_names_stay_apart():
    scores = compute_scores(torch.tensor([[2, 0, 0], [0, 0, 0], [0, 0, 3]]))
    table = results.class_scores(["cat", "dog", "cat"], scores)
    assert table == {
        "cat": {"IoU": 100.0, "Acc": 100.0},
        "dog": {"IoU": None, "Acc": None},
        "cat (2)": {"IoU": 100.0, "Acc": 100.0},
    }
