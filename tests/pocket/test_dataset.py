"""The two datasets: labels, class lists, and drawing the scenes on first use."""

from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.pocket import classes as facts
from mmseg_tfovss.pocket import dataset as module
from mmseg_tfovss.pocket import scenes
from mmseg_tfovss.registry import DATASETS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three scenes; the whole split is checked in test_scenes.py."""
    folder = tmp_path_factory.mktemp("data") / "pocket"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "NUM_VALIDATION", 3)
        scenes._write_scenes(folder)
    return folder


@pytest.fixture
def unchecked(monkeypatch):
    calls = []
    monkeypatch.setattr(scenes, "ensure_scenes", calls.append)
    return calls


@pytest.mark.parametrize("name", ["PocketAllDataset", "PocketThingDataset"])
def test_scenes_are_ensured_under_data_root(name, root, unchecked):
    DATASETS.build({"type": name, "data_root": str(root), "test_mode": True})
    assert unchecked == [root]


@pytest.mark.parametrize(
    ("name", "folder", "classes", "things"),
    [
        ("PocketAllDataset", "annotations_all", 14, range(8)),
        ("PocketThingDataset", "annotations_thing", 9, range(1, 9)),
    ],
)
def test_dataset_lists_pairs_and_classes(name, folder, classes, things, root, unchecked):
    dataset = DATASETS.build({"type": name, "data_root": str(root), "test_mode": True})
    assert len(dataset) == 3
    assert len(dataset.metainfo["classes"]) == len(dataset.metainfo["palette"]) == classes
    assert len({tuple(colour) for colour in dataset.metainfo["palette"]}) == classes
    assert not dataset.reduce_zero_label
    seen = set()
    for index in range(3):
        info = dataset.get_data_info(index)
        assert folder in info["seg_map_path"]
        with Image.open(info["seg_map_path"]) as labels, Image.open(info["img_path"]) as image:
            assert labels.size == image.size == (256, 256)
            seen |= set(np.unique(np.asarray(labels)).tolist())
    assert seen <= set(range(classes))
    assert seen & set(things)


@pytest.mark.parametrize(
    ("vocabulary", "dataset"),
    [("pocket_all", module.PocketAllDataset), ("pocket_thing", module.PocketThingDataset)],
)
def test_vocabulary_follows_the_labels(vocabulary, dataset):
    text = (files("mmseg_tfovss") / "vocabulary" / "data" / f"{vocabulary}.txt").read_text()
    lines = [line.split(", ") for line in text.splitlines() if not line.startswith("#")]
    classes = list(dataset.METAINFO["classes"])
    if classes[0] == "background":
        assert tuple(lines.pop(0)) == facts.STUFF
        classes = classes[1:]
    assert [line[0] for line in lines] == classes
