"""Options of a dataset: each acts, or is refused with the one that does."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.dataset_files import dataset_hash
from mmseg_tfovss.engine.dataset_options import check_dataset_options, check_ignored
from mmseg_tfovss.engine.preflight import build_dataset, check_config
from mmseg_tfovss.registry import DATASETS
from tests.engine.test_run import CONFIG

OWN = {
    "type": "BaseSegDataset",
    "data_root": "data/own",
    "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
    "test_mode": True,
    "metainfo": {"classes": ("cat", "dog")},
    "pipeline": [{"type": "LoadImage"}, {"type": "LoadLabels"}, {"type": "PackSegInputs"}],
}


def check(**changes):
    """Check the settings of an own dataset; None takes one away."""
    check_dataset_options(Config({key: value for key, value in {**OWN, **changes}.items() if value is not None}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metainfo": {"classes": ["cat", "dog"], "palette": [[0, 0, 0], (255, 1, 2)], "ignore_index": 7}},
        {"reduce_zero_label": True, "serialize_data": False, "lazy_init": False, "indices": -2, "img_suffix": "_x.tif"},
        {"indices": [0, 2]},
        {"data_prefix": None},
        {"test_mode": None},
    ],
)
def test_options_that_act_are_taken(changes):
    check(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ignore_index": 8}, r"ignore_index has no effect on a test: set test_evaluator\.ignore_index"),
        ({"max_refetch": 1}, "max_refetch has no effect on a test"),
        ({"lazy_init": True}, "lazy_init=True has no effect on a test"),
        (
            {"filter_cfg": {"size": 1}},
            r"filter_cfg=.* has no effect on a test: name the images that count in an ann_fi",
        ),
        ({"backend_args": {"backend": "petrel"}}, "backend_args=.* has no effect on a test"),
        ({"test_mode": False}, "test_mode=False has no effect on a test: leave it True"),
        ({"reduce_zero_label": "false"}, "reduce_zero_label must be True or False, but got 'false'"),
        ({"serialize_data": 0}, "serialize_data must be True or False, but got 0"),
        ({"img_suffix": ""}, "img_suffix must be what the files' names end in, but got ''"),
        ({"img_suffix": (".jpg", ".png")}, "img_suffix must be"),
        ({"seg_map_suffix": 1}, "seg_map_suffix must be"),
        ({"indices": 0}, "indices must be a number of images .* but got 0"),
        ({"indices": True}, "indices must be .* but got True"),
        ({"indices": []}, "indices must be"),
        ({"indices": "0:2"}, "indices must be"),
        ({"indices": [0, 1.5]}, "indices must be"),
        ({"data_prefix": {"img_path": "a"}}, r"data_prefix must name two folders .* but got \{'img_path': 'a'\}"),
        ({"data_prefix": {"img": "a", "seg_map_path": "b"}}, "data_prefix must name two folders"),
        ({"data_prefix": {"img_path": "a", "seg_map_path": 1}}, "data_prefix must name two folders"),
        ({"data_prefix": None, "data_root": None}, "names no folder: set its data_root"),
        ({"type": "RepeatDataset"}, r"type must be a dataset itself, not one made of others, but got RepeatDataset"),
        ({"type": "ConcatDataset"}, "type must be a dataset itself"),
        ({"pipeline": None}, r"pipeline must be a list of steps, .* but got None"),
        ({"pipeline": []}, r"pipeline must be a list of steps, .* but got \[\]"),
        ({"pipeline": ["LoadImage"]}, "pipeline must be a list of steps"),
        (
            {"pipeline": [{"type": "mmcv.LoadImageFromFile"}]},
            r"pipeline\.0\.type=mmcv\.Load.* takes .*: use LoadImageFromFile",
        ),
        (
            {"pipeline": [{"type": "mmseg.LoadAnnotations"}]},
            r"pipeline\.0\.type=.* takes .* files: use LoadAnnotations",
        ),
        ({"metainfo": None}, r"has no classes: set test_dataloader\.dataset\.metainfo=dict\(classes="),
        ({"metainfo": {}}, "has no classes"),
        (
            {"metainfo": {"CLASSES": ("cat",)}},
            r"metainfo\.CLASSES has no effect: valid are classes, palette, ignore_ind",
        ),
        ({"metainfo": {"classes": ("a",), "label_map": {}}}, r"metainfo\.label_map has no effect"),
        ({"metainfo": {"classes": ("a",), "ignore_index": "7"}}, "ignore_index must be a label or None, but got '7'"),
        ({"metainfo": "cat"}, "metainfo must be dict"),
        ({"metainfo": {"classes": "cat"}}, "classes must be a list of names, .* but got 'cat'"),
        ({"metainfo": {"classes": ()}}, "classes must be a list of names"),
        ({"metainfo": {"classes": ("cat", 1)}}, "classes must be a list of names, but number 1 is 1"),
        ({"metainfo": {"classes": ("cat", " ")}}, "classes must be a list of names, but number 1 is ' '"),
        ({"metainfo": {"classes": ("a", "b", "a")}}, "classes has 'a' twice, as number 0 and 2"),
        (
            {"metainfo": {"classes": ("a", "b"), "palette": [[0, 0, 0]]}},
            "one colour for each of the 2 classes, but got 1",
        ),
        ({"metainfo": {"classes": ("a",), "palette": "red"}}, "one colour for each of the 1 classes, but got 'red'"),
        ({"metainfo": {"classes": ("a",), "palette": [[0, 0]]}}, r"colour number 0 must be .* but is \[0, 0\]"),
        ({"metainfo": {"classes": ("a",), "palette": [[0, 0, 256]]}}, "colour number 0 must be"),
        ({"metainfo": {"classes": ("a",), "palette": [(0, 0, 0.5)]}}, "colour number 0 must be"),
    ],
)
def test_options_that_cannot_act_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check(**changes)


def test_classes_of_a_benchmark_may_be_chosen_among_but_not_renamed():
    voc = {"type": "PascalVOCDataset", "ann_file": "val.txt"}
    check(**voc, metainfo={"classes": ("cat", "dog")})
    check(**voc, metainfo=None)
    with pytest.raises(ValueError, match="classes: 'kitten' is none of the 21 classes of PascalVOCDataset"):
        check(**voc, metainfo={"classes": ("cat", "kitten")})


def test_an_own_dataset_may_filter_and_needs_no_base_of_mmseg(monkeypatch):
    class Filtering(BaseSegDataset):
        def filter_data(self):
            return self.data_list

    class Other(BaseDataset):
        METAINFO = {"classes": ("cat",)}  # noqa: RUF012 - as MMEngine has it

    monkeypatch.setitem(DATASETS.module_dict, "Filtering", Filtering)
    monkeypatch.setitem(DATASETS.module_dict, "Other", Other)
    check(type="Filtering", filter_cfg={"size": 1})
    check(type="Other")


@pytest.mark.parametrize("key", ["ignore_index", "max_refetch"])
def test_a_config_is_refused_on_any_machine(key):
    config = load_config(CONFIG, {f"test_dataloader.dataset.{key}": 8})
    with pytest.raises(ValueError, match=rf"test_dataloader\.dataset\.{key} has no effect"):
        check_config(config)


@pytest.fixture
def root(tmp_path):
    for number, name in enumerate("abc"):
        for folder, suffix in (("images", "jpg"), ("labels", "png")):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.full((4 + number, 5), number, np.uint8)).save(tmp_path / folder / f"{name}.{suffix}")
    return tmp_path


def config_of(root, evaluator=None, loader=None, **changes):
    dataset = {
        **OWN,
        "data_root": str(root),
        "pipeline": [{"type": "LoadImage"}, {"type": "LoadLabels", **(loader or {})}],
    }
    common = {"dataset": "own", "test_evaluator": {"type": "SegmentationMetric", **(evaluator or {})}}
    return Config({**common, "test_dataloader": {"dataset": {**dataset, **changes}}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, ""),
        ({"reduce_zero_label": True}, ""),
        ({"reduce_zero_label": True, "loader": {"ignore_index": 9}, "evaluator": {"ignore_index": 9}}, ""),
        (
            {"reduce_zero_label": True, "evaluator": {"ignore_index": 65535}},
            "turns 0 into 255, but the scores ignore 65535",
        ),
        (
            {"reduce_zero_label": True, "evaluator": {"ignore_index": None}},
            "turns 0 into 255, but the scores ignore None",
        ),
        ({"reduce_zero_label": True, "loader": {"ignore_index": 9}}, "turns 0 into 9, but the scores ignore 255"),
        ({"loader": {"ignore_index": 9}}, r"pipeline\.1\.ignore_index has no effect without reduce_zero_label"),
    ],
)
def test_reduced_zeros_must_be_what_the_scores_ignore(options, message, root):
    config = config_of(root, **options)
    dataset = build_dataset(config)
    if not message:
        check_ignored(config, dataset)
        return
    with pytest.raises(ValueError, match=message):
        check_ignored(config, dataset)


def test_chosen_images_are_another_dataset(root):
    every, two, one = (build_dataset(config_of(root, indices=indices)) for indices in (None, 2, [1]))
    assert [len(dataset) for dataset in (every, two, one)] == [3, 2, 1]
    assert len({dataset_hash(dataset) for dataset in (every, two, one)}) == 3


def test_packing_changes_nothing(root):
    packed, plain = (build_dataset(config_of(root, serialize_data=packing)) for packing in (True, False))
    assert [packed.get_data_info(number) for number in range(3)] == [plain.get_data_info(number) for number in range(3)]
