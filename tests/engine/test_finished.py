"""A finished run is not made again, unless anything that its numbers depend on has changed."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mmseg_tfovss.config import config_hash, input_files, load_config
from mmseg_tfovss.engine import finished
from mmseg_tfovss.engine.code import code_hash
from mmseg_tfovss.engine.dataset_files import dataset_hash
from mmseg_tfovss.engine.finished import finished_result, run_key, version_note
from mmseg_tfovss.engine.preflight import build_dataset
from mmseg_tfovss.engine.provenance import package_versions
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.evaluation.result import set_aside
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.engine.test_run import CONFIG, make_voc, small_options
from tests.evaluation.test_result import make_result


def result_of(config, **changes):
    """A result that counts as that of a config."""
    head = config.model.decode_head
    hashes = {
        "config_hash": config_hash(config),
        "code_hash": code_hash(config),
        "vocabulary_hash": load_vocabulary(head.vocabulary, head.get("background")).hash,
    }
    with suppress(FileNotFoundError):
        hashes["dataset_hash"] = dataset_hash(build_dataset(config))
    return make_result(**{**hashes, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory, mini_clip):
    """A run's options and folder; weights, words, ranking and dataset are files of its own."""
    folder = tmp_path_factory.mktemp("finished")
    weights = Path(shutil.copy(mini_clip, folder / "mini.pt"))
    words = folder / "words.txt"
    words.write_text("\n".join(load_vocabulary("voc21").names))
    options = {
        **small_options(make_voc(folder), weights, folder / "work"),
        "model.decode_head.vocabulary": str(words),
    }
    run_test(load_config(CONFIG, options))
    return options, folder


def load(made, **changes):
    return load_config(CONFIG, {**made[0], **{name.replace("__", "."): value for name, value in changes.items()}})


def is_finished(made, **changes):
    return finished_result(load(made, **changes), made[1] / "work") is not None


def test_the_same_run_is_finished(made):
    assert finished_result(load(made), made[1] / "work")["num_images"] == 3
    assert is_finished(made, model__decode_head__cache_dir=str(made[1] / "cache"), test_dataloader__num_workers=1)
    assert not is_finished(made, model__precision="bf16")
    assert finished_result(load(made), made[1]) is None


def test_a_dataset_may_move_or_be_away_but_not_change(made, tmp_path):
    moved = tmp_path / "VOC2012"
    shutil.copytree(made[1] / "VOC2012", moved)
    where = {"test_dataloader__dataset__data_root": str(moved)}
    assert is_finished(made, **where)
    (moved / "JPEGImages/1.jpg").write_bytes(b"other")
    assert not is_finished(made, **where)
    (moved / "JPEGImages/1.jpg").unlink()
    assert not is_finished(made, **where)
    (moved / "ImageSets/Segmentation/val.txt").unlink()
    assert not is_finished(made, **where)
    shutil.rmtree(moved)
    assert is_finished(made, **where)


@pytest.mark.parametrize("name", ["mini.pt", "words.txt"])
def test_files_that_the_config_names(made, name):
    path = made[1] / name
    whole, times = path.read_bytes(), path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns - 10**9))  # the same content, unpacked again
    assert is_finished(made)
    path.write_bytes(whole.swapcase())  # in place, of the same size
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not is_finished(made)
    path.write_bytes(whole)
    assert is_finished(made)


def test_a_config_that_appears_beside_the_weights(made):
    config = made[1] / "open_clip_config.json"
    assert not config.exists()
    assert is_finished(made)
    config.write_text("{}")
    assert not is_finished(made)
    config.unlink()
    assert is_finished(made)


def test_files_that_the_method_found_by_itself(made):
    file = made[1] / "work/result.json"
    text = file.read_text()
    ranking = made[1] / "ranking.json"
    file.write_text(json.dumps({**json.loads(text), "inputs": {**json.loads(text)["inputs"], str(ranking): "x"}}))
    assert not is_finished(made)
    file.write_text(text)
    assert is_finished(made)


def test_code_and_words(made, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(finished, "code_hash", lambda _: "other")
        assert not is_finished(made)
    with monkeypatch.context() as patch:
        patch.setattr(finished, "load_vocabulary", lambda *_: load_vocabulary("voc20"))
        assert not is_finished(made)
    assert is_finished(made)


def test_damaged_and_absent_results(made):
    file = made[1] / "work/result.json"
    text = file.read_text()
    file.write_text("{")
    assert not is_finished(made)
    file.write_text(text)
    kept = set_aside(file.parent)
    assert not is_finished(made)
    kept.rename(file)


def test_the_key_of_a_run_follows_all_of_it(made, monkeypatch, tmp_path):
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path))
    moved = tmp_path / "VOC2012"
    shutil.copytree(made[1] / "VOC2012", moved)
    config = load(made, test_dataloader__dataset__data_root=str(moved))
    keys = [run_key(load(made), {}), run_key(config, {})]
    assert keys[0] == keys[1]
    keys.append(run_key(load(made, model__precision="bf16"), {}))
    (moved / "SegmentationClass/1.png").write_bytes(b"other")
    keys.append(run_key(config, {}))
    shutil.rmtree(moved)
    keys.append(run_key(config, {}))
    (tmp_path / "rankings").mkdir()
    (tmp_path / "rankings/mine.json").write_text("{}")
    keys.append(run_key(config, {}))
    monkeypatch.setattr(finished, "code_hash", lambda _: "other")
    keys.append(run_key(config, {}))
    monkeypatch.setattr(finished, "load_vocabulary", lambda *_: load_vocabulary("voc20"))
    keys.append(run_key(config, {}))
    assert len(set(keys)) == len(keys) - 1


def test_a_dataset_is_looked_at_once_for_many_keys(made, monkeypatch):
    datasets = {}
    key = run_key(load(made), datasets)
    monkeypatch.setattr(finished, "build_dataset", None)
    assert run_key(load(made), datasets) == key


def test_a_dataset_that_refuses_its_files_has_changed(made, monkeypatch):
    """As the pocket benchmark does where somebody has drawn in it: the run will say so."""

    def refuse(_):
        raise ValueError("data/pocket does not hold the pocket benchmark as it was recorded")

    monkeypatch.setattr(finished, "build_dataset", refuse)
    assert not is_finished(made)
    assert finished.out_of_date(load(made), made[1] / "work") == ["the dataset's files"]


def test_other_versions_are_told():
    now = package_versions()
    assert version_note(make_result(versions=now)) == ""
    assert version_note(make_result(versions={"an old package": "1"})) == ""
    note = version_note(make_result(versions={**now, "torch": "1.0", "numpy": "0.9"}))
    assert note == f" (made with torch 1.0, now {now['torch']}; numpy 0.9, now {now['numpy']})"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_dataloader.dataset.type", "Nope"),
        ("model.decode_head.vocabulary", 5),
        ("test_dataloader.dataset.indices", "x"),
        ("test_dataloader.dataset.indicess", 5),
    ],
)
def test_settings_that_cannot_work_have_a_key_too(made, name, value):
    """A sweep says of each row why it failed."""
    config = load_config(CONFIG, {**made[0], name: value})
    assert run_key(config, {}) != run_key(load(made), {})
    assert not is_finished(made, **{name.replace(".", "__"): value})


def test_a_folder_that_is_called_like_a_value_is_no_input(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo", "slide"):
        (tmp_path / name).mkdir()
    assert is_finished(made)
    config = load(made, model__backbone__pretrained="photo")
    assert Path("photo") not in input_files(config)
    config.model.backbone.pretrained = "./photo"
    assert Path("photo") in input_files(config)
