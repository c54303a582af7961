"""Facts of the benchmarks, against the papers' numbers, the datasets, the configs and the documentation."""

import re
from pathlib import Path

import pytest

from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.pocket.scenes import NUM_VALIDATION
from mmseg_tfovss.prepare.recipes import RECIPES
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.prepare.official import config_settings, empty_dataset

ROOT = Path(__file__).parents[2]
# images, classes, labels in the files, ignored label
PAPERS = {
    "voc21": (1449, 21, 21, 255),
    "voc20": (1449, 20, 21, 255),
    "context60": (5104, 60, 60, 255),
    "context59": (5104, 59, 60, 255),
    "coco_object": (5000, 81, 81, None),
    "coco_stuff164k": (5000, 171, 171, 255),
    "cityscapes": (500, 19, 19, 255),
    "ade20k": (2000, 150, 151, 255),
    "pc459": (5104, 459, 459, 65535),
    "ade847": (2000, 847, 847, 65535),
    "coco27": (2175, 27, 27, 255),
    "cityscapes27": (500, 27, 27, 255),
}


@pytest.mark.parametrize("key", PREPARED)
def test_numbers_of_the_papers(key):
    facts = FACTS[key]
    assert (facts.images, facts.classes, facts.labels, facts.ignored) == PAPERS[key]


@pytest.mark.parametrize("key", PREPARED)
def test_facts_fit_the_dataset_and_its_vocabulary(key, tmp_path):
    facts, built = FACTS[key], empty_dataset(key, tmp_path)
    assert len(built.metainfo["classes"]) == len(load_vocabulary(key).classes) == facts.classes
    assert facts.background == (built.metainfo["classes"][0] == "background")
    assert facts.labels == facts.classes + built.reduce_zero_label
    assert facts.ignored == built.metainfo.get("ignore_index", 255)


@pytest.mark.parametrize("key", ["pocket_all", "pocket_thing"])
def test_facts_fit_the_pocket_scenes(key):
    facts, classes = FACTS[key], DATASETS.get(config_settings(key).type).METAINFO["classes"]
    assert len(classes) == facts.classes == facts.labels
    assert facts.background == (classes[0] == "background")
    assert facts.images == NUM_VALIDATION


def test_prepared_are_all_but_the_pocket_scenes():
    assert tuple(PAPERS) == PREPARED
    assert tuple(FACTS) == (*PAPERS, "pocket_all", "pocket_thing")


def test_table_of_the_documentation_has_the_same_numbers_and_archives():
    text = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\d+) \| (\d+) \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert {key: (int(classes), int(images)) for key, classes, images, *_ in rows} == {
        key: (FACTS[key].classes, FACTS[key].images) for key in PREPARED
    }
    archives = {key: set(re.findall(r"`([^`]+)`", cell)) for key, _, _, cell, _ in rows}
    for key, same in {"voc20": "voc21", "context59": "context60", "coco_stuff164k": "coco_object"}.items():
        assert same in archives[key]
        archives[key] = archives[same]
    assert archives == {key: {archive.name for archive in RECIPES[key].archives} for key in PREPARED}
    for key, *_, account in rows:
        assert account.startswith("[yes]" if any(a.url is None for a in RECIPES[key].archives) else "no")
