"""Which paths another split of a dataset has."""

from pathlib import Path

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.studies.discriminability import dataset_split
from mmseg_tfovss.studies.discriminability.dataset_split import take_split

CONFIGS = Path(__file__).parents[3] / "configs"
SHARED = {"test_dataloader.num_workers": 0}


def config_of(dataset, root, kind="vit-b16", **options):
    path = CONFIGS / "clip" / f"clip_{kind}_{dataset}.py"
    return load_config(path, {**SHARED, "test_dataloader.dataset.data_root": str(root), **options})


def paths(config):
    settings = config.test_dataloader.dataset
    return [settings.get("ann_file"), *settings.data_prefix.values()]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("voc21", ["ImageSets/Segmentation/train.txt", "JPEGImages", "SegmentationClass"]),
        ("context59", ["ImageSets/SegmentationContext/train.txt", "JPEGImages", "SegmentationClassContext"]),
        ("coco_stuff164k", [None, "images/train2017", "annotations/train2017"]),
        ("cityscapes", [None, "leftImg8bit/train", "gtFine/train"]),
        ("ade20k", [None, "images/training", "annotations/training"]),
        (
            "pc459",
            ["ImageSets/SegmentationContext/train.txt", "JPEGImages", "annotations_detectron2/pc459_train"],
        ),
    ],
)
def test_training_images(dataset, expected, tmp_path):
    for path in expected:
        if path:
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
    config = config_of(dataset, tmp_path)
    before = config.to_dict()
    changed = take_split(config, "train")
    assert paths(changed) == expected
    assert config.to_dict() == before
    assert (changed.dataset, changed.prepared_by) == (f"{dataset}/train", dataset)


def test_the_spelling_that_exists_is_taken(tmp_path):
    for folder in ("images", "annotations"):
        (tmp_path / folder / "train").mkdir(parents=True)
    assert paths(take_split(config_of("ade20k", tmp_path), "train")) == [None, "images/train", "annotations/train"]


def test_val_is_the_config_as_it_is(tmp_path):
    config = config_of("voc21", tmp_path)
    assert take_split(config, "val") is config


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"--split test: voc21 has no such split here: .*Segmentation/test\.txt"):
        take_split(config_of("voc21", tmp_path), "test")


def test_paths_that_do_not_say_which_split_they_are(tmp_path):
    config = config_of("voc21", tmp_path, **{"test_dataloader.dataset.ann_file": "my_valley.txt"})
    with pytest.raises(ValueError, match=r"--split train: none of the paths of voc21 says which split it is; set"):
        take_split(config, "train")


@pytest.mark.parametrize("dataset", ["pocket_all", "pocket_thing"])
def test_pocket_scenes_are_drawn(dataset, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(dataset_split, "ensure_training_scenes", drawn.append)
    config = take_split(config_of(dataset, tmp_path, "vit-pocket"), "train")
    assert drawn == [tmp_path]
    annotations = {"pocket_all": "annotations_all/train", "pocket_thing": "annotations_thing/train"}
    assert paths(config) == [None, "images/train", annotations[dataset]]
    with pytest.raises(ValueError, match=r"--split test: the splits of pocket_.* are val and train"):
        take_split(config_of(dataset, tmp_path, "vit-pocket"), "test")
