"""COCO-27 and Cityscapes-27: classes, groups, words, configs, and a whole run."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.datasets import CityscapesDataset, COCOStuffDataset
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets import Cityscapes27Dataset, COCO27Dataset
from mmseg_tfovss.datasets.facts import BENCHMARKS, FACTS, PREPARED
from mmseg_tfovss.datasets.twenty_seven import CITYSCAPES27_COLOURS, CITYSCAPES27_FIRST_ID, COCO27_GROUPS
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.ops.canvas import PixelCanvas
from mmseg_tfovss.ops.labels import label_pixels
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.engine.test_run import SIZES, small_options
from tests.prepare import official

ROOT = Path(__file__).parents[2]
COCO_GAPS = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
ANNOTATED = [raw for raw in range(182) if raw not in COCO_GAPS]
# IIC's coarse classes with the number of their raw ids
COARSE = {
    "electronic-things": 6,
    "appliance-things": 6,
    "food-things": 10,
    "furniture-things": 10,
    "indoor-things": 8,
    "kitchen-things": 8,
    "accessory-things": 8,
    "animal-things": 10,
    "outdoor-things": 6,
    "person-things": 1,
    "sports-things": 10,
    "vehicle-things": 8,
    "ceiling-stuff": 2,
    "floor-stuff": 6,
    "food-stuff": 4,
    "furniture-stuff": 11,
    "rawmaterial-stuff": 4,
    "textile-stuff": 11,
    "wall-stuff": 7,
    "window-stuff": 2,
    "building-stuff": 6,
    "ground-stuff": 11,
    "plant-stuff": 9,
    "sky-stuff": 2,
    "solid-stuff": 6,
    "structural-stuff": 5,
    "water-stuff": 5,
}
BOTH = pytest.mark.parametrize(
    ("key", "kind"), [("coco27", COCO27Dataset), ("cityscapes27", Cityscapes27Dataset)], ids=["coco", "cityscapes"]
)


def coarse_of():
    return {raw: label for label, ids in enumerate(COCO27_GROUPS.values()) for raw in ids}


# Groups and classes


def test_every_raw_id_of_coco_stuff_is_in_one_group():
    ids = [raw for group in COCO27_GROUPS.values() for raw in group]
    assert sorted(ids) == list(range(182))
    assert {name: len(group) for name, group in COCO27_GROUPS.items()} == COARSE
    assert list(COCO27_GROUPS) == list(COARSE)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("person", "person-things"),
        ("bicycle", "vehicle-things"),
        ("boat", "vehicle-things"),
        ("traffic light", "outdoor-things"),
        ("giraffe", "animal-things"),
        ("tv", "electronic-things"),
        ("refrigerator", "appliance-things"),
        ("toothbrush", "indoor-things"),
        ("carpet", "floor-stuff"),
        ("salad", "food-stuff"),
        ("mirror-stuff", "furniture-stuff"),
        ("rug", "textile-stuff"),
        ("tent", "building-stuff"),
        ("snow", "ground-stuff"),
        ("straw", "plant-stuff"),
        ("fog", "water-stuff"),
        ("clouds", "sky-stuff"),
        ("wood", "solid-stuff"),
        ("net", "structural-stuff"),
        ("wall-brick", "wall-stuff"),
        ("window-blind", "window-stuff"),
    ],
)
def test_groups_hold_the_fine_classes_of_their_name(name, group):
    raw = ANNOTATED[COCOStuffDataset.METAINFO["classes"].index(name)]
    assert raw in COCO27_GROUPS[group]


def test_things_come_first():
    for name, ids in COCO27_GROUPS.items():
        assert name.endswith("-things" if max(ids) <= 90 else "-stuff")
        assert max(ids) <= 90 or min(ids) > 90


def test_cityscapes_is_the_usual_19_with_eight_more_and_in_official_colours():
    names, usual = list(CITYSCAPES27_COLOURS), CityscapesDataset.METAINFO
    more = {"parking", "rail track", "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer"}
    assert (CITYSCAPES27_FIRST_ID, names[0], names[-1], len(names)) == (7, "road", "bicycle", 27)
    assert [name for name in names if name not in more] == list(usual["classes"])
    assert [list(CITYSCAPES27_COLOURS[name]) for name in usual["classes"]] == usual["palette"]
    places = {name: CITYSCAPES27_FIRST_ID + names.index(name) for name in more}
    assert [places[name] for name in ("parking", "rail track", "guard rail", "bridge")] == [9, 10, 14, 15]
    assert [places[name] for name in ("tunnel", "polegroup", "caravan", "trailer")] == [16, 18, 29, 30]


@BOTH
def test_datasets_have_the_27_classes(key, kind):
    meta = kind.METAINFO
    assert tuple(meta["classes"]) == tuple(COARSE if key == "coco27" else CITYSCAPES27_COLOURS)
    assert len(set(meta["classes"])) == len(meta["palette"]) == 27
    colours = {tuple(colour) for colour in meta["palette"]}
    assert len(colours) == (27 if key == "coco27" else 26)  # pole and polegroup
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)


@BOTH
def test_facts(key, kind):
    facts = FACTS[key]
    assert (facts.images, facts.classes, facts.labels) == (2175 if key == "coco27" else 500, 27, 27)
    assert (facts.ignored, facts.background) == (255, False)
    assert key in PREPARED
    assert key not in BENCHMARKS


def test_benchmarks_are_the_ten_that_every_method_is_run_on():
    assert (len(BENCHMARKS), BENCHMARKS[0], BENCHMARKS[-1]) == (10, "voc21", "ade847")
    assert (*BENCHMARKS, "coco27", "cityscapes27") == PREPARED
    assert tuple(FACTS) == (*PREPARED, "pocket_all", "pocket_thing")


# Words


def test_words_of_coco27_are_those_of_coco_stuff_in_their_groups():
    fine, coarse = load_vocabulary("coco_stuff164k"), load_vocabulary("coco27")
    groups = coarse_of()
    expected = [[] for _ in range(27)]
    for raw, query in zip(ANNOTATED, fine.queries, strict=True):
        expected[groups[raw]].append(query)
    assert [list(queries) for queries in coarse.classes] == expected
    assert (len(coarse.queries), len(set(coarse.queries)), coarse.version) == (171, 171, "1")


def test_coarse_labels_are_the_groups_of_fine_labels():
    """What ReCo evaluates: labels of the 171 fine classes, then their groups."""
    fine, coarse = load_vocabulary("coco_stuff164k"), load_vocabulary("coco27")
    cosines = 0.2 + 0.1 * torch.rand(171, 12, 20, generator=torch.Generator().manual_seed(0))
    order = [fine.queries.index(query) for query in coarse.queries]

    def labels(scores, vocabulary):
        return label_pixels(PixelCanvas(scores), torch.tensor(vocabulary.query_class), logit_scale=40, prob_threshold=0)

    groups = torch.tensor([coarse_of()[raw] for raw in ANNOTATED])
    assert torch.equal(labels(cosines[order], coarse), groups[labels(cosines, fine)])


def test_coarse_words_are_one_name_a_class():
    vocabulary = load_vocabulary("coco27_coarse")
    assert all(len(queries) == 1 for queries in vocabulary.classes)
    for name, word in zip(COARSE, vocabulary.names, strict=True):
        assert word.replace(" ", "").startswith(name.partition("-")[0])
    assert {vocabulary.names[label] for label in (2, 3, 14, 15)} == {
        *("food things", "furniture things", "food stuff", "furniture stuff")
    }


def test_words_of_cityscapes27_are_the_official_names_but_for_one():
    vocabulary = load_vocabulary("cityscapes27")
    assert all(len(queries) == 1 for queries in vocabulary.classes)
    pairs = zip(vocabulary.names, CITYSCAPES27_COLOURS, strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [("parking lot", "parking")]


# Configs


@pytest.mark.parametrize(
    ("key", "short_side", "beside"), [("coco27", 336, "coco_stuff164k"), ("cityscapes27", 560, "")]
)
def test_config_of_cliptrase(key, short_side, beside):
    path = ROOT / f"configs/cliptrase/cliptrase_vit-b16_{key}.py"
    config = load_config(path)
    assert (config.protocol, config.model.short_side, config.dataset) == ("unified", short_side, key)
    assert (config.model.type, config.model.eps, config.model.min_samples) == ("CLIPtrase", 0.7, 3)
    assert config.model.decode_head.vocabulary == key
    assert config.model.test_cfg.to_dict() == {"mode": "slide", "crop_size": 224, "stride": 112}
    ours = config.test_dataloader.dataset
    theirs = official.config_settings(beside or "cityscapes")
    assert (ours.data_root, ours.data_prefix) == (theirs.data_root, theirs.data_prefix)
    with pytest.raises(ValueError, match="has no paper protocol"):
        load_config(path, {"protocol": "paper"})


@BOTH
def test_documentation_has_a_row_and_a_paragraph_on_the_other_protocol(key, kind):
    text = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{key}` \| [^|]+ \| 27 \| {FACTS[key].images} \|", text, re.MULTILINE)
    (paragraph,) = re.findall(rf"^\*\*[^*]+\*\* \(`{key}`\)\.(?:.+\n)+", text, re.MULTILINE)
    assert "full size" in paragraph
    assert "320" in paragraph


# A whole run


def make_coco27(folder):
    """Three images of COCO of which two are listed, with labels of both benchmarks."""
    draw = np.random.default_rng(0)
    images, labels = folder / "coco/images/val2017", folder / "coco/annotations/val2017"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for number, size in enumerate(SIZES):
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(images / f"{number}.jpg")
        Image.fromarray(np.full(size, 170, np.uint8)).save(labels / f"{number}_labelTrainIds.png")
        if number != 1:
            coarse = np.full(size, 9, np.uint8)
            coarse[:10], coarse[10] = 26, 255
            Image.fromarray(coarse).save(labels / f"{number}_label27TrainIds.png")
    (folder / "coco/coco27_val2017.txt").write_text("0\n2\n")
    return folder / "coco"


def test_run_takes_the_listed_images_and_the_coarse_labels(mini_clip, tmp_path, caplog):
    options = small_options(make_coco27(tmp_path), mini_clip, tmp_path / "work")
    result = run_test(load_config(ROOT / "configs/cliptrase/cliptrase_vit-b16_coco27.py", options))
    assert (result["num_images"], result["expected_images"]) == (2, 2175)
    assert "coco27 has 2 images here, but the benchmark has 2175" in caplog.text
    assert (result["method"], result["dataset"], result["vocabulary"]) == ("CLIPtrase", "coco27", "coco27")
    assert list(result["per_class"]) == list(COARSE)
    seen = [name for name, scores in result["per_class"].items() if scores["Acc"] is not None]
    assert seen == ["person-things", "water-stuff"]


def test_label_of_the_fine_classes_is_refused(mini_clip, tmp_path):
    root = make_coco27(tmp_path)
    Image.new("L", SIZES[2][::-1], 27).save(root / "annotations/val2017/2_label27TrainIds.png")
    options = small_options(root, mini_clip, tmp_path / "work")
    with pytest.raises(
        ValueError, match=r"2_label27TrainIds\.png: The annotation holds the label 27, outside 0 \.\. 26"
    ):
        run_test(load_config(ROOT / "configs/cliptrase/cliptrase_vit-b16_coco27.py", options))
