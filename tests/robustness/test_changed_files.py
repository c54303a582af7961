"""Labels, images and inputs that change before, during and after a run: no number is shown for other files than its."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset, PascalVOCDataset

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import run
from mmseg_tfovss.engine.loop import ChangedFilesError
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.evaluation.result import read_result
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.engine.test_run import CONFIG, SIZES, make_voc, small_options
from tests.robustness.kill import interrupt


def write_labels(folder, number, seed):
    """Uncompressed: of the same size, whatever the labels are. In place, and with the old modification time."""
    path = folder / f"VOC2012/SegmentationClass/{number}.png"
    labels = np.random.default_rng(seed).integers(0, 21, SIZES[number], dtype=np.uint8)
    _, raw = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    times = path.stat()
    with path.open("r+b") as file:
        file.truncate(len(raw))
        file.write(raw.tobytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return path.stat()


@pytest.fixture
def config(tmp_path, mini_clip):
    make_voc(tmp_path)
    for number in range(len(SIZES)):
        write_labels(tmp_path, number, seed=0)
    return load_config(CONFIG, small_options(tmp_path / "VOC2012", mini_clip, tmp_path / "work"))


def elsewhere(config, tmp_path, name):
    """What a run gives that knows nothing of an earlier one."""
    config = config.copy()
    config.work_dir = str(tmp_path / name)
    return run_test(config)["metrics"]


def test_labels_changed_in_place_after_the_run(config, tmp_path, caplog):
    before = write_labels(tmp_path, 1, seed=0)
    first = run_test(config)
    after = write_labels(tmp_path, 1, seed=1)
    assert (before.st_size, before.st_mtime_ns, before.st_ino) == (after.st_size, after.st_mtime_ns, after.st_ino)
    again = run_test(config, resume=True)
    assert "is out of date (the dataset's files): it is kept under another name" in caplog.text
    assert again["metrics"] == elsewhere(config, tmp_path, "fresh") != first["metrics"]
    assert read_result(Path(config.work_dir) / "result.1.json") == first
    assert run_test(config, resume=True) == again


@pytest.mark.slow
def test_files_that_only_moved_or_were_touched_change_nothing(config, tmp_path):
    first = run_test(config)
    (tmp_path / "VOC2012").rename(tmp_path / "moved")
    os.utime(tmp_path / "moved/JPEGImages/1.jpg")
    config.test_dataloader.dataset.data_root = str(tmp_path / "moved")
    assert run_test(config, resume=True) == first


@pytest.mark.parametrize("number", [0, pytest.param(2, marks=pytest.mark.slow)])  # counted, and still to do
def test_labels_changed_in_place_while_the_run_was_interrupted(config, tmp_path, monkeypatch, number):
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        config.test_dataloader.batch_size = 1
        with pytest.raises(KeyboardInterrupt):
            run_test(config)
    write_labels(tmp_path, number, seed=1)
    if number == 0:
        with pytest.raises(ValueError, match="files of the dataset have changed in 1 of the batches that are counted"):
            run_test(config, resume=True)
    rest = run_test(config, resume=True, restart_changed=number == 0)
    assert rest["metrics"] == elsewhere(config, tmp_path, "fresh")
    assert (Path(config.work_dir) / "state.1").exists() == (number == 0)


@pytest.mark.slow
def test_the_list_of_images_changed_while_the_run_was_interrupted(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            run_test(config)
    (tmp_path / "VOC2012/ImageSets/Segmentation/val.txt").write_text("0\n2\n1\n")
    with pytest.raises(ValueError, match=r"cannot be resumed.*the dataset's list was"):
        run_test(config, resume=True)


def test_labels_changed_in_place_during_the_run(config, tmp_path, monkeypatch):
    """What is counted of them is left out, and what remains is right."""
    config.test_dataloader.batch_size = 1
    with monkeypatch.context() as patch:
        interrupt(patch, after=9, also=lambda: write_labels(tmp_path, 1, seed=1))
        with pytest.raises(ChangedFilesError, match=r"1\.png has changed during the run"):
            run_test(config)
    assert not (Path(config.work_dir) / "result.json").exists()
    assert run_test(config, resume=True)["metrics"] == elsewhere(config, tmp_path, "fresh")


def test_labels_that_were_others_during_an_interrupted_run_only(config, tmp_path, monkeypatch, caplog):
    """Changed after the start and restored after the end: the state would not know."""
    expected = elsewhere(config, tmp_path, "fresh")
    with monkeypatch.context() as patch:
        interrupt(patch, after=1, also=lambda: write_labels(tmp_path, 0, seed=1))
        with pytest.raises(KeyboardInterrupt):
            run_test(config)
    assert "the state could not be written, the one before it stays" in caplog.text
    write_labels(tmp_path, 0, seed=0)
    assert run_test(config, resume=True)["metrics"] == expected


def test_labels_changed_between_their_counting_and_the_result(config, tmp_path, monkeypatch, caplog):
    """The number is right, of what they were; it is said that they are not so any more."""
    expected = elsewhere(config, tmp_path, "fresh")
    evaluate = run.ResumableTestLoop._evaluate
    with monkeypatch.context() as patch:
        patch.setattr(
            run.ResumableTestLoop, "_evaluate", lambda loop: (write_labels(tmp_path, 2, seed=1), evaluate(loop))[1]
        )
        first = run_test(config)
    assert "2.png has changed after being tested: the result is of the earlier content" in caplog.text
    assert first["metrics"] == expected
    assert run_test(config, resume=True)["metrics"] != expected


def test_inputs_that_change_while_the_model_is_built(config, tmp_path, mini_clip, monkeypatch):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(mini_clip.read_bytes())
    config.model.backbone.pretrained = str(weights)
    prepare = run.prepare_once
    monkeypatch.setattr(run, "prepare_once", lambda model: (prepare(model), weights.write_bytes(b"others")))
    with pytest.raises(ValueError, match=r"weights\.pt changed while the model was being built: wait until"):
        run_test(config)
    assert not (Path(config.work_dir) / "result.json").exists()


@DATASETS.register_module()
class UsersPictures(BaseSegDataset):
    """A user's own: it knows where its files are, and has no ``data_root``."""

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(self, pictures, **options):
        self.pictures = Path(pictures)
        super().__init__(img_suffix=".jpg", seg_map_suffix=".png", **options)

    def load_data_list(self):
        facts = {"label_map": self.label_map, "reduce_zero_label": False, "seg_fields": []}
        images = sorted((self.pictures / "JPEGImages").glob("*.jpg"))
        labels = [self.pictures / f"SegmentationClass/{path.stem}.png" for path in images]
        pairs = zip(images, labels, strict=True)
        return [{"img_path": str(one), "seg_map_path": str(other), **facts} for one, other in pairs]


def test_a_dataset_of_ones_own_without_data_root(config, tmp_path):
    pipeline = config.test_dataloader.dataset.pipeline
    own = {"type": "UsersPictures", "pictures": str(tmp_path / "VOC2012"), "pipeline": pipeline, "_delete_": True}
    config.merge_from_dict({"test_dataloader.dataset": own})
    assert not config.test_dataloader.dataset.get("data_root")
    first = run_test(config)
    assert str(tmp_path / "VOC2012") not in first["inputs"]
    (tmp_path / "VOC2012/notes.txt").write_text("not of the dataset")
    assert run_test(config, resume=True) == first
    write_labels(tmp_path, 1, seed=1)
    again = run_test(config, resume=True)
    assert again["metrics"] == elsewhere(config, tmp_path, "fresh") != first["metrics"]


@pytest.mark.slow
def test_two_datasets_in_one_folder_of_a_run(config, tmp_path, monkeypatch):
    """Where a dataset lies is no setting, what it holds is."""
    shutil.copytree(tmp_path / "VOC2012", tmp_path / "other/VOC2012")
    write_labels(tmp_path / "other", 0, seed=1)
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            run_test(config)
    config.test_dataloader.dataset.data_root = str(tmp_path / "other/VOC2012")
    with pytest.raises(ValueError, match="files of the dataset have changed in 1 of the batches"):
        run_test(config, resume=True)


@pytest.mark.slow
def test_words_changed_in_place(config, tmp_path, caplog):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(load_vocabulary("voc21").names))
    config.model.decode_head.vocabulary = str(words)
    first, times = run_test(config), words.stat()
    words.write_text(words.read_text().replace("cat", "cot"))
    os.utime(words, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = run_test(config, resume=True)
    assert f"is out of date (the vocabulary, the file {words})" in caplog.text
    assert again["vocabulary_hash"] != first["vocabulary_hash"]


def test_a_file_that_a_transform_is_given(config, tmp_path, monkeypatch):
    """Not a part of the model, and yet it decides."""
    table = tmp_path / "table.json"
    table.write_text("1")
    config.test_dataloader.dataset.pipeline[-1].meta_keys = ("img_path", "seg_map_path", "ori_shape", str(table))
    seen = {str(path) for path in run.named_files(config)}
    assert str(table) in seen
    assert str(tmp_path / "VOC2012") not in seen
