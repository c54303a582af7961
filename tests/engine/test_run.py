"""A whole test run on a small folder of images: result, provenance, and every way it can be refused."""

import gc
import os
import shutil
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.transforms import LoadImage
from mmseg_tfovss.engine import run
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.engine.run import UnwrittenResultError, run_test
from mmseg_tfovss.engine.state import StateFolder
from mmseg_tfovss.evaluation.result import Result, read_result
from mmseg_tfovss.vocabulary import load_vocabulary

CONFIG = Path(__file__).parents[2] / "configs" / "sclip" / "sclip_vit-b16_voc21.py"
SIZES = ((40, 60), (50, 45), (64, 64))


def make_voc(folder):
    """Three images of different sizes in VOC's layout."""
    root = folder / "VOC2012"
    draw = np.random.default_rng(0)
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    for number, size in enumerate(SIZES):
        cv2.imwrite(str(root / f"JPEGImages/{number}.jpg"), draw.integers(0, 256, (*size, 3), dtype=np.uint8))
        labels = draw.integers(0, 21, size, dtype=np.uint8)
        labels[0] = 255
        cv2.imwrite(str(root / f"SegmentationClass/{number}.png"), labels)
    (root / "ImageSets/Segmentation/val.txt").write_text("0\n1\n2\n")
    return root


def small_options(root, weights, work_dir, *, windows=True):
    """Overrides that make a run on these images with the mini CLIP take a second; its windows too, if it has any."""
    size = {"model.test_cfg.crop_size": 32, "model.test_cfg.stride": 16} if windows else {}
    return {
        **size,
        "model.backbone.pretrained": str(weights),
        "model.backbone.arch": "auto",
        "model.decode_head.templates": "photo",
        "test_dataloader.dataset.data_root": str(root),
        "test_dataloader.num_workers": 0,
        "short_side": 48,
        "work_dir": str(work_dir),
    }


@pytest.fixture
def voc(tmp_path):
    return make_voc(tmp_path)


@pytest.fixture
def config(voc, mini_clip, tmp_path):
    return load_config(CONFIG, small_options(voc, mini_clip, tmp_path / "work"))


def test_result_has_every_key_and_right_counts(config):
    result = run_test(config)
    assert set(result) == Result.__required_keys__
    assert (result["method"], result["dataset"], result["protocol"]) == ("SCLIP", "voc21", "paper")
    assert result["num_images"] == len(SIZES)
    assert list(result["per_class"])[:2] == ["background", "aeroplane"]
    assert 0 < result["metrics"]["mIoU"] < 100
    assert result["seconds_per_image"] > 0
    assert result["backbone"].endswith("/mini.pt")
    assert result["assumptions"] == ["QuickGELU for mini.pt", "OpenAI's mean and std for mini.pt"]
    assert result["overrides"] == {
        "model.decode_head.templates": "photo",
        "model.test_cfg.crop_size": "32",
        "model.test_cfg.stride": "16",
        "model.short_side": "48",
    }
    assert len(result["weights_hash"]) == len(result["config_hash"]) == len(result["vocabulary_hash"]) == 64


def test_empty_logs_of_earlier_starts_are_removed(config):
    folder = Path(config.work_dir)
    for name, text in (("20260101_000000", "something"), ("20260101_000001", "")):
        log = folder / name / f"{name}.log"
        log.parent.mkdir(parents=True)
        log.write_text(text)
        os.utime(log, (0, 0))
    run_test(config)
    names = {path.name for path in folder.iterdir()}
    assert {".lock", "20260101_000000", "result.json", "sclip_vit-b16_voc21.py"} <= names
    assert "20260101_000001" not in names


def test_another_number_of_images_is_a_warning_and_recorded(config, caplog):
    result = run_test(config)
    assert (result["num_images"], result["expected_images"]) == (3, 1449)
    assert "voc21 has 3 images here, but the benchmark has 1449" in caplog.text


def test_16_bit_labels_of_a_whole_run(mini_clip, tmp_path):
    """PC459: 255 is a class like any other, and 65535 alone does not count."""
    root = tmp_path / "VOC2010"
    for part in ("JPEGImages", "annotations_detectron2/pc459_val", "ImageSets/SegmentationContext"):
        (root / part).mkdir(parents=True)
    for number, size in enumerate(SIZES):
        cv2.imwrite(str(root / f"JPEGImages/{number}.jpg"), np.full((*size, 3), 99, np.uint8))
        labels = np.full(size, 65535, np.uint16)
        labels[:10] = 255
        Image.fromarray(labels).save(root / f"annotations_detectron2/pc459_val/{number}.tif")
    (root / "ImageSets/SegmentationContext/val.txt").write_text("0\n1\n2\n")
    options = {**small_options(root, mini_clip, tmp_path / "work"), "test_dataloader.batch_size": 3}
    result = run_test(load_config(CONFIG.with_name("sclip_vit-b16_pc459.py"), options))
    names = load_vocabulary("pc459").names
    assert [name for name, scores in result["per_class"].items() if scores["Acc"] is not None] == [names[255]]


def test_vocabulary_of_a_result_has_name_version_and_hash(config):
    result = run_test(config)
    assert (result["vocabulary"], result["vocabulary_version"]) == ("voc21", "1")
    assert result["vocabulary_hash"] == load_vocabulary("voc21").hash


def test_batch_size_changes_nothing_and_the_earlier_result_is_set_aside(config):
    first = run_test(config)
    assert read_result(Path(config.work_dir)) == first
    config.test_dataloader.batch_size = 3
    second = run_test(config)
    assert second["metrics"] == first["metrics"]
    assert second["per_class"] == first["per_class"]
    assert read_result(Path(config.work_dir) / "result.1.json") == first
    assert read_result(Path(config.work_dir)) == second


def test_worker_errors_name_the_file(config, voc):
    path = voc / "JPEGImages/1.jpg"
    path.write_bytes(path.read_bytes()[:200])
    config.test_dataloader.num_workers = 1
    with pytest.raises(ValueError, match=r"1\.jpg is truncated or damaged"):
        run_test(config)


def test_label_outside_the_classes_names_the_file(config, voc):
    cv2.imwrite(str(voc / "SegmentationClass/2.png"), np.full(SIZES[2], 77, np.uint8))
    with pytest.raises(ValueError, match=r"2\.png: The annotation holds the label 77, outside 0 .. 20"):
        run_test(config)


def test_image_without_annotation_is_refused_before_the_run(config, voc):
    (voc / "SegmentationClass/1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 samples lack their annotation: .*1\.png"):
        check_run(config)


def test_labels_that_are_jpeg_inside_are_refused_whatever_their_name(config, voc):
    with Image.open(voc / "SegmentationClass/1.png") as labels:
        labels.copy().save(voc / "SegmentationClass/1.png", "JPEG")
    with pytest.raises(ValueError, match=r"1\.png is in the format JPEG, whatever its suffix"):
        run_test(config)
    assert not (Path(config.work_dir) / "result.json").exists()


def test_chosen_images_are_recorded_as_another_set(config):
    every = run_test(config)
    config.test_dataloader.dataset.indices = [0, 2]
    two = run_test(config)
    assert (every["num_images"], two["num_images"]) == (3, 2)
    assert every["dataset_hash"] != two["dataset_hash"]
    assert every["config_hash"] != two["config_hash"]


def test_annotation_of_another_size_is_refused(config, voc):
    cv2.imwrite(str(voc / "SegmentationClass/0.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"0\.png is 5x5 pixels, but its image .* is 40x60"):
        run_test(config)


def test_missing_data_root_and_list_are_named(config, voc):
    (voc / "ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"val\.txt of the dataset voc21 does not exist"):
        check_run(config)
    config.test_dataloader.dataset.data_root = "nowhere"
    with pytest.raises(FileNotFoundError, match=r"nowhere of .*: prepare it with tfovss prepare voc21"):
        check_run(config)


def test_vocabulary_must_fit_the_dataset(config):
    config.model.decode_head.update(vocabulary="voc20", prob_threshold=0, area_threshold=0)
    with pytest.raises(ValueError, match="voc20 has 20 classes, but the dataset voc21 has 21"):
        check_run(config)


def write_words(config, folder, names):
    path = folder / "words.txt"
    path.write_text("\n".join(names))
    config.model.decode_head.vocabulary = str(path)


def test_words_in_another_order_are_refused_unless_forced(config, tmp_path):
    names = [*load_vocabulary("voc21_clearclip").names]
    write_words(config, tmp_path, [*names[:3], *names[4:], names[3]])
    message = r"class 3 of the dataset is 'bird', but line 4 of .*words\.txt is 'ship'; 'bird' is at line 21\."
    with pytest.raises(ValueError, match=message):
        check_run(config)
    config.force_vocabulary = True
    check_run(config)
    config.force_vocabulary = 1
    with pytest.raises(ValueError, match="force_vocabulary must be True or False, but got 1"):
        check_run(config)


def test_thresholds_need_a_background(config, tmp_path):
    config.model.decode_head.vocabulary = "voc20"  # of the same classes but for the background
    with pytest.raises(ValueError, match=r"prob_threshold=0\.1 makes class 0 the background, but class 0 of voc20 is"):
        check_run(config)
    write_words(config, tmp_path, ["thing", *load_vocabulary("voc21").names[1:]])
    check_run(config)
    config.test_dataloader.dataset.metainfo = {"classes": ("aeroplane", "bicycle")}
    write_words(config, tmp_path, ["aeroplane", "bicycle"])
    with pytest.raises(ValueError, match=r"class 0 of the dataset voc21 is \"aeroplane\": set it to 0"):
        check_run(config)


def test_unknown_names_are_refused_before_data_is_read(config):
    config.model.type = "SCLIPP"
    config.test_dataloader.dataset.data_root = "nowhere"
    with pytest.raises(ValueError, match="Did you mean SCLIP"):
        check_run(config)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("test_dataloader.bach_size", "test_dataloader.bach_size: unknown option 'bach_size'. Did you mean batch_size"),
        ("test_evaluator.ignore_indx", "Did you mean ignore_index"),
        ("test_dataloader.dataset.data_rot", "Did you mean data_root"),
        ("test_cfg.save_image", "Did you mean save_images"),
    ],
)
def test_misspelt_options_are_refused(config, key, message):
    config.merge_from_dict({key: 8})
    with pytest.raises(ValueError, match=message):
        check_run(config)


def test_only_a_loop_that_can_be_resumed_is_run(config):
    config.test_cfg = {"type": "TestLoop"}
    with pytest.raises(ValueError, match=r"test_cfg\.type must be ResumableTestLoop, but got 'TestLoop'"):
        check_run(config)


def test_a_finished_run_leaves_its_result_and_no_state(config):
    run_test(config)
    names = {path.name for path in Path(config.work_dir).iterdir() if path.is_file()}
    assert names == {".lock", "result.json", CONFIG.name}
    assert not (Path(config.work_dir) / "state").exists()


def test_a_run_whose_result_could_not_be_written_is_resumed(config, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "result.json")

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_result", full)
        with pytest.raises(OSError, match="No space left"):
            run_test(config)
    loaded = []
    monkeypatch.setattr(LoadImage, "transform", lambda _, results: loaded.append(results))
    assert run_test(config, resume=True)["num_images"] == len(SIZES)
    assert loaded == []


def test_a_result_that_could_not_be_written_is_in_the_error(config, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "result.json")

    monkeypatch.setattr(run, "write_result", full)
    with pytest.raises(UnwrittenResultError, match="No space left") as caught:
        run_test(config)
    assert caught.value.result["num_images"] == len(SIZES)
    assert caught.value.filename == "result.json"


def test_what_is_left_of_a_finished_run_is_not_an_unfinished_one(config, monkeypatch, caplog):
    with monkeypatch.context() as killed:
        killed.setattr(StateFolder, "forget", lambda _: None)
        run_test(config)
    config.model.pamr_steps = 1
    run_test(config)
    assert "an unfinished run" not in caplog.text
    assert not (Path(config.work_dir) / "state.1").exists()


def test_an_unfinished_run_beside_a_result_of_another_one_is_kept(config, monkeypatch):
    """As where somebody has put an earlier result back."""
    first = run_test(config)
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_result", lambda *_: (_ for _ in ()).throw(OSError(28, "full", "result.json")))
        config.model.pamr_steps = 1
        with pytest.raises(OSError, match="full"):
            run_test(config)
    folder = Path(config.work_dir)
    (folder / "result.1.json").rename(folder / "result.json")
    run_test(config)
    assert (folder / "state.1").is_dir()
    assert read_result(folder / "result.1.json") == first


def test_a_result_that_came_meanwhile_is_kept(config, monkeypatch):
    """Of a run that has not seen this one's lock, as on a file system without locks."""
    first = run_test(config)
    evaluate = run.ResumableTestLoop._evaluate
    folder = Path(config.work_dir)
    monkeypatch.setattr(
        run.ResumableTestLoop,
        "_evaluate",
        lambda loop: (evaluate(loop), (folder / "result.json").write_text("the other's"))[0],
    )
    run_test(config)
    assert read_result(folder / "result.1.json") == first
    assert (folder / "result.2.json").read_text() == "the other's"


def test_a_damaged_image_can_be_replaced_and_the_run_resumed(config, voc):
    path = voc / "JPEGImages/2.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"2\.jpg"):
        run_test(config)
    path.write_bytes(whole)
    loaded = []
    with pytest.MonkeyPatch.context() as patch:
        transform = LoadImage.transform
        patch.setattr(LoadImage, "transform", lambda *given: (loaded.append(1), transform(*given))[1])
        assert run_test(config, resume=True)["num_images"] == len(SIZES)
    assert len(loaded) == 1


def test_a_damaged_result_does_not_cost_the_state(config, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_result", lambda *_: (_ for _ in ()).throw(OSError(28, "full", "result.json")))
        with pytest.raises(OSError, match="full"):
            run_test(config)
    (Path(config.work_dir) / "result.json").write_text("garbage")
    monkeypatch.setattr(LoadImage, "transform", None)  # nothing is left to load
    assert run_test(config, resume=True)["num_images"] == len(SIZES)


def test_a_finished_run_of_other_settings_is_not_resumed(config):
    first = run_test(config)
    assert run_test(config, resume=True) == first
    config.model.pamr_steps = 1
    with pytest.raises(ValueError, match=r"is not this one: model\.pamr_steps was absent and is 1\. Choose another"):
        run_test(config, resume=True)
    assert read_result(Path(config.work_dir)) == first
    second = run_test(config, resume=True, restart_changed=True)
    assert second["config_hash"] != first["config_hash"]
    assert read_result(Path(config.work_dir) / "result.1.json") == first


def test_a_finished_run_that_is_out_of_date_is_made_again(config, voc, caplog):
    first = run_test(config)
    (voc / "SegmentationClass/1.png").write_bytes((voc / "SegmentationClass/1.png").read_bytes() + b"more")
    again = run_test(config, resume=True)
    assert again["dataset_hash"] != first["dataset_hash"]
    assert "is out of date (the dataset's files): it is kept under another name" in caplog.text


def test_a_state_of_another_config_is_refused_and_kept(config, voc, mini_clip, tmp_path):
    begin = run.ResumableTestLoop.begin
    with pytest.MonkeyPatch.context() as patch:
        vanish = (voc / "JPEGImages/2.jpg").rename  # while the run is under way
        patch.setattr(run.ResumableTestLoop, "begin", lambda *given: (begin(*given), vanish(voc / "gone.jpg")))
        with pytest.raises(FileNotFoundError, match=r"2\.jpg does not exist"):
            run_test(config)
        patch.undo()
        (voc / "gone.jpg").rename(voc / "JPEGImages/2.jpg")
        state = Path(config.work_dir) / "state"
        before = sorted(state.iterdir())
        config.model.pamr_steps = 1
        with pytest.raises(ValueError, match=r"cannot be resumed.*: model\.pamr_steps was absent and is 1"):
            run_test(config, resume=True)
        assert sorted(state.iterdir()) == before
        del config.model["pamr_steps"]
        with pytest.MonkeyPatch.context() as unfinished:
            unfinished.setattr(run, "write_result", lambda *_: None)
            unfinished.setattr(StateFolder, "forget", lambda _: None)
            run_test(config, resume=True)
        config.model.pamr_steps = 1
        assert run_test(config, resume=True, restart_changed=True)["num_images"] == len(SIZES)
        assert (state.with_name("state.1")).is_dir()


def bytes_of_tensors():
    """Memory behind all tensors that are alive; weights that many tests share are left out."""
    gc.collect()
    storages = (found.untyped_storage() for found in gc.get_objects() if issubclass(type(found), torch.Tensor))
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(config, voc, monkeypatch):
    """Neither in tensors nor in arrays: after 64 images no more is kept than after 8."""
    names = [f"copy_{number}" for number in range(64)]
    for name in names:
        shutil.copy(voc / "JPEGImages" / "2.jpg", voc / "JPEGImages" / f"{name}.jpg")
        shutil.copy(voc / "SegmentationClass" / "2.png", voc / "SegmentationClass" / f"{name}.png")
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n".join(names))
    once, kept = ResumableTestLoop.run_iter, []

    def run_iter(loop, index, batch):
        once(loop, index, batch)
        if index + 1 in (8, 64):
            kept.append((bytes_of_tensors(), tracemalloc.get_traced_memory()[0]))

    monkeypatch.setattr(ResumableTestLoop, "run_iter", run_iter)
    tracemalloc.start()
    try:
        assert run_test(config)["num_images"] == 64
    finally:
        tracemalloc.stop()
    (tensors, arrays), (tensors_later, arrays_later) = kept
    one_image = 3 * 64 * 64  # bytes
    assert tensors_later == tensors > 0
    assert arrays_later - arrays < 10 * one_image  # of 56 images
