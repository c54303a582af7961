"""Every config builds and runs; overrides are checked; the hash follows what can change a number."""

import inspect
import re
import runpy
from itertools import product
from pathlib import Path

import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import build, check_settings, config_hash, load_config
from mmseg_tfovss.datasets.facts import BENCHMARKS, FACTS
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import DATASETS, METRICS, MODELS
from mmseg_tfovss.vocabulary import load_vocabulary

CONFIGS = Path(__file__).parents[1] / "configs"
PIPELINE = ["LoadImageFromFile", "LoadAnnotations", "PackSegInputs"]
LEAVES = sorted(path for path in CONFIGS.glob("*/*.py") if path.parent.name != "_base_")
FOLDERS = sorted({path.parent for path in LEAVES})
README = (CONFIGS.parent / "README.md").read_text()
METHODS = sorted(set(re.findall(r"\]\(mmseg_tfovss/methods/(\w+)\.py\)", README)))


def second_networks(model):
    """Options of a method's config that hold the config of a network beside CLIP."""
    parts = {name: part for name, part in model.items() if name not in ("backbone", "decode_head", "data_preprocessor")}
    kinds = {name: MODELS.get(part.type) for name, part in parts.items() if isinstance(part, dict) and "type" in part}
    return {name for name, kind in kinds.items() if not issubclass(kind, OpenVocabSegmentor)}


def first_config(folder):
    return load_config(next(path for path in LEAVES if path.parent == folder))


# Methods with a second network are run with a tiny one in tests/methods.
ACCOMPANIED = {folder for folder in FOLDERS if second_networks(first_config(folder).model)}
ALONE = [path for path in LEAVES if path.parent not in ACCOMPANIED]


SCLIP = CONFIGS / "sclip" / "sclip_vit-b16_voc21.py"


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_the_readme_run_on_pocket(name):
    """Both variants, unless the method needs a network whose weights do not come with this package."""
    for dataset in ("pocket_all", "pocket_thing"):
        path = CONFIGS / name / f"{name}_vit-pocket_{dataset}.py"
        needed = second_networks(first_config(CONFIGS / name).model)
        assert path.is_file() or needed
        if path.is_file():
            model = load_config(path).model
            assert all(model[option].get("pretrained") == "pocket" for option in second_networks(model))


def test_the_readme_has_methods():
    assert len(FOLDERS) >= len(METHODS) >= 9


def test_the_five_first_methods_have_a_config_per_backbone_and_benchmark():
    methods = ("clip", "maskclip", "sclip", "clearclip", "naclip")
    names = {f"{method}_vit-{size}_{key}.py" for method in methods for size in ("b16", "l14") for key in BENCHMARKS}
    assert len(names) == 100
    assert names <= {path.name for path in LEAVES}
    assert sum(path.parent.name in methods for path in LEAVES) == 110


def required_options(kind):
    """Options of a method that have no default, besides those of every method."""
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    return named - {"backbone", "decode_head", "test_cfg"}


@pytest.mark.parametrize("path", sorted(set(LEAVES) - set(ALONE)), ids=lambda path: path.stem)
def test_methods_with_a_second_network_name_it(path):
    config = load_config(path)
    assert second_networks(config.model)
    assert required_options(MODELS.get(config.model.type)) <= set(config.model)
    check_settings(config.model, MODELS, "model")


def test_the_second_networks_are_those_without_which_a_method_cannot_be():
    """So that the test above asks for something."""
    assert required_options(MODELS.get("CLIPtraseSAM")) == {"sam"}
    assert required_options(MODELS.get("LHTCLIP")) == {"base"}
    assert required_options(MODELS.get("SCLIP")) == set()
    sam, dslo = (next(path for path in LEAVES if path.parent.name == name) for name in ("cliptrase_sam", "dslo"))
    assert second_networks(load_config(sam).model) == {"sam"}
    assert second_networks(load_config(dslo).model) == {"graph"}
    assert second_networks(load_config(SCLIP).model) == set()


PAPER_ONLY = [path for path in LEAVES if path.parent.name == "cliptrase_sam" or "_vit-b16-224_" in path.name]


@pytest.mark.parametrize("path", PAPER_ONLY, ids=lambda path: path.stem)
def test_configs_without_a_unified_protocol_say_why(path):
    with pytest.raises(ValueError, match=r"has no unified protocol: (its windows slide|run cliptrase_vit-b16_\w+\.py)"):
        load_config(path, {"protocol": "unified"})


def test_cliptrase_has_two_sizes_for_the_papers_nine_benchmarks():
    for key in set(BENCHMARKS) - {"cityscapes"}:
        for name, numbers in (("vit-b16", (336, 1.1, 7)), ("vit-b16-224", (224, 0.7, 3))):
            config = load_config(CONFIGS / "cliptrase" / f"cliptrase_{name}_{key}.py")
            assert config.model.centre_square
            assert (config.model.short_side, config.model.eps, config.model.min_samples) == numbers
            assert config.setting == f"{numbers[0]} pixels"
            assert config.model.decode_head.vocabulary == f"{key}_cliptrase"
            assert config.model.get("cls_weighting", False) == (key == "voc20")
            assert config.test_evaluator.type == "CLIPtraseMetric"


def test_dslo_has_both_modes_for_both_backbones_and_the_papers_eight_benchmarks():
    for key in set(BENCHMARKS) - {"pc459", "ade847"}:
        for size, (suffix, mode) in product(("b16", "l14"), (("", "max_velocity"), ("-op", "optimal_path"))):
            config = load_config(CONFIGS / "dslo" / f"dslo_vit-{size}{suffix}_{key}.py")
            assert (config.model.mode, config.dataset) == (mode, key)
            assert config.setting == {"max_velocity": "maximum velocity", "optimal_path": "optimal path"}[mode]
            assert config.model.graph.type == "StableDiffusion"
            assert config.model.short_side == (560 if key == "cityscapes" else 336)


@pytest.mark.parametrize("key", ["voc21", "coco_stuff164k", "cityscapes", "ade20k", "pocket_all", "pocket_thing"])
def test_dslo_has_its_table_of_components(key):
    paths = sorted((CONFIGS / "dslo" / "ablations").glob(f"*_{key}_*.py"))
    rows = [load_config(path) for path in paths]
    modes = ["logits", "kl", "kl", "kl", "optimal_path", "max_velocity", "fusion"]
    assert [config.model.mode for config in rows] == modes
    assert [config.model.get("upsampling", "jbu") for config in rows] == ["bilinear"] * 3 + ["jbu"] * 4
    assert [config.model.get("theta", 0.5) for config in rows[1:]] == [0, *[0.5] * 5]
    assert all(config.dataset == key for config in rows)
    for config in rows:
        check_settings(config.model, MODELS, "model")


VERSATILITY = sorted((CONFIGS / "dslo" / "versatility").glob("*.py"))


def test_dslo_has_its_table_of_other_methods():
    """The rows of SC-CLIP and RF-CLIP: both backbones, both modes, eight benchmarks; CASS: ViT-B/16."""
    networks, modes = ("vit-b16", "vit-l14"), ("", "-op")
    keys = set(BENCHMARKS) - {"pc459", "ade847"}
    bases = ("-scclip", "-rfclip")
    names = {f"dslo_{size}{base}{mode}_{key}.py" for size, base, mode, key in product(networks, bases, modes, keys)}
    names |= {f"dslo_vit-b16-cass{mode}_{key}.py" for mode, key in product(modes, keys)}
    names |= {f"dslo_vit-pocket{base}{mode}_pocket_all.py" for base, mode in product((*bases, "-cass"), modes)}
    assert names == {path.name for path in VERSATILITY}


@pytest.mark.parametrize("protocol", ["paper", "unified"])
@pytest.mark.parametrize("network", ["vit-b16", "vit-l14", "vit-pocket"])
def test_rf_clip_under_dslo_has_its_own_settings(network, protocol):
    """But for where its prior is from, which is the same on whole images."""
    for path in CONFIGS.glob(f"dslo/versatility/dslo_{network}-rfclip_*.py"):
        if (network, protocol) != ("vit-pocket", "paper"):
            base = load_config(path, {"protocol": protocol}).model.base
            own = load_config(CONFIGS / "rf_clip" / path.name.replace("dslo", "rf_clip").replace("-rfclip", ""))
            own = load_config(own.filename, {"protocol": protocol}).model
            for name, default in (("gamma", 0.25), ("alpha", 0.03), ("t", 0.1), ("channels", None)):
                assert base.get(name, default) == own.get(name, default)


@pytest.mark.parametrize("protocol", ["paper", "unified"])
def test_cass_under_dslo_has_its_own_settings(protocol):
    for path in CONFIGS.glob("dslo/versatility/dslo_vit-b16-cass_*.py"):
        base = load_config(path, {"protocol": protocol}).model.base
        own = load_config(
            CONFIGS / "cass" / path.name.replace("dslo", "cass").replace("-cass", ""), {"protocol": protocol}
        )
        for name, default in (("gamma", None), ("alpha", None), ("t", None), ("eigenscaling", True), ("vfm", None)):
            assert base.get(name, default) == own.model.get(name, default)


@pytest.mark.parametrize("path", VERSATILITY, ids=lambda path: path.stem)
def test_dslo_over_another_method_differs_in_its_base_only(path):
    network, base, *mode = path.stem.removeprefix("dslo_vit-").partition("_")[0].split("-")
    plain = CONFIGS / "dslo" / f"dslo_vit-{'-'.join([network, *mode])}_{load_config(path).dataset}.py"
    for options in ({}, {"protocol": "unified"}):
        config, without = load_config(path, options), load_config(plain, options)
        kind = config.model.pop("base").to_dict()
        assert kind["type"].lower() == base
        assert config.model.to_dict() == without.model.to_dict()
        assert (config.protocol, config.setting, config.overrides) == (without.protocol, without.setting, {})
        check_settings(load_config(path, options).model, MODELS, "model")


GRAPHS = sorted((CONFIGS / "dslo" / "graphs").glob("*.py"))


def test_dslo_has_the_graphs_of_its_figure():
    """Those beside Stable Diffusion 2: one backbone, the mode of the figure, eight benchmarks."""
    kinds = ("clip", "dino", "dinov2", "dinov2reg")
    keys = set(BENCHMARKS) - {"pc459", "ade847"}
    assert {path.name for path in GRAPHS} >= {f"dslo_vit-b16-{kind}_{key}.py" for kind, key in product(kinds, keys)}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_dslo_over_another_graph_differs_in_its_graph_only(path):
    network = path.stem.partition("_vit-")[2].partition("-")[0]
    config = load_config(path)
    without = load_config(CONFIGS / "dslo" / f"dslo_vit-{network}_{config.dataset}.py")
    kinds = {"CLIPGraph": "clip", "DINO": "dino", "DINOv2": "dinov2", "DINOv2Registers": "dinov2reg"}
    assert kinds[config.model.graph.type] == path.stem.partition("_pocket_")[0].split("-", 2)[2].split("_")[0]
    assert config.model.pop("graph") != without.model.pop("graph")
    assert config.model.to_dict() == without.model.to_dict()


def test_coco80_is_the_authors_definition():
    config = load_config(CONFIGS / "cliptrase" / "cliptrase_vit-b16_coco_object.py")
    [relabel] = [transform for transform in config.test_dataloader.dataset.pipeline if transform.type == "Relabel"]
    found = [relabel.mapping.get(label, label) for label in range(171)]
    assert found == [*range(1, 81), 0, *[config.test_evaluator.ignore_index] * 90]
    assert (config.test_evaluator.relabel, config.test_evaluator.unlabelled) == ({255: 0}, [255])
    assert config.prepared_by == "coco_stuff164k"
    assert load_config(config.filename, {"protocol": "unified"}).prepared_by == "coco_object"


# ViT-L/14 is held to be like ViT-B/16 below.
@pytest.mark.parametrize("path", [path for path in LEAVES if "_vit-l14" not in path.name], ids=lambda path: path.stem)
def test_unified_protocol_treats_every_method_alike(path):
    try:
        config = load_config(path, {"protocol": "unified"})
    except ValueError as error:
        reason = str(error).partition("has no unified protocol: ")[2]
        assert len(reason.split()) > 5
        return
    assert config.protocol == "unified"
    assert config.overrides == {}
    head, pocket = config.model.decode_head, config.dataset.startswith("pocket")
    assert head.vocabulary == config.dataset
    assert head.prob_threshold == (0.1 if FACTS[config.dataset].background else 0)
    assert (head.logit_scale, head.area_threshold, head.background, head.templates) == (40, None, None, "imagenet80")
    assert config.model.pamr_steps == 0
    assert not config.model.centre_square
    assert not config.model.stretch_to_square
    assert config.model.short_side == (192 if pocket else 560 if config.dataset.startswith("cityscapes") else 336)
    windows = {"mode": "slide", "crop_size": 128 if pocket else 224, "stride": 64 if pocket else 112}
    slides = "slide" in MODELS.get(config.model.type).modes
    assert config.model.test_cfg.to_dict() == (windows if slides else {"mode": "whole"})
    assert [transform.type for transform in config.test_dataloader.dataset.pipeline] == PIPELINE
    assert config.test_evaluator.type == "SegmentationMetric"


# Section 11 of the protocol's table: short side, mode, crop, stride, logit scale, probability and area threshold.
PAPER = {
    "sclip": {
        "voc21": (336, "slide", 224, 112, 65, 0.1, 0.1),
        "context60": (336, "slide", 224, 112, 50, 0.1, None),
        "coco_object": (336, "slide", 224, 112, 50, 0.1, None),
        "voc20": (336, "slide", 224, 112, 40, None, None),
        "context59": (336, "slide", 224, 112, 40, None, None),
        "coco_stuff164k": (448, "slide", 224, 112, 40, None, None),
        "cityscapes": (560, "slide", 224, 112, 40, None, None),
        "ade20k": (336, "slide", 224, 112, 40, None, None),
    },
    "sc_clip": {
        "voc21": (336, "slide", 224, 112, 50, 0.15, 0.1),
        "context60": (336, "slide", 224, 112, 40, 0.15, None),
        "coco_object": (336, "slide", 224, 112, 55, 0.35, None),
        "voc20": (336, "slide", 224, 112, 40, None, None),
        "context59": (336, "slide", 224, 112, 40, None, None),
        "coco_stuff164k": (336, "slide", 224, 112, 40, None, None),
        "cityscapes": (560, "slide", 224, 112, 40, None, None),
        "ade20k": (336, "slide", 224, 112, 40, None, None),
    },
    "clearclip": {
        "voc21": (448, "slide", 448, 224, 50, 0.5, None),
        "context60": (448, "slide", 448, 224, 50, 0.15, None),
        "coco_object": (448, "slide", 448, 224, 50, 0.4, None),
        "voc20": (448, "slide", 448, 224, 50, None, None),
        "context59": (448, "slide", 448, 224, 50, None, None),
        "coco_stuff164k": (448, "slide", 448, 224, 50, None, None),
        "cityscapes": (448, "slide", 224, 224, 50, None, None),
        "ade20k": (448, "slide", 448, 224, 50, None, None),
    },
    "naclip": {
        "voc21": (336, "whole", None, None, 40, 0.1, None),
        "context60": (336, "slide", 224, 112, 40, 0.1, None),
        "coco_object": (336, "slide", 224, 112, 40, 0.1, None),
        "voc20": (336, "whole", None, None, 40, None, None),
        "context59": (336, "slide", 224, 112, 40, None, None),
        "coco_stuff164k": (336, "slide", 224, 112, 40, None, None),
        "cityscapes": (560, "slide", 224, 112, 40, None, None),
        "ade20k": (336, "slide", 224, 112, 40, None, None),
    },
}


@pytest.mark.parametrize("backbone", ["vit-b16", "vit-l14"])
@pytest.mark.parametrize(("method", "dataset"), [(method, key) for method in PAPER for key in PAPER[method]])
def test_paper_protocol_is_the_authors(method, dataset, backbone):
    config = load_config(CONFIGS / method / f"{method}_{backbone}_{dataset}.py")
    head, test = config.model.decode_head, config.model.test_cfg
    found = (config.model.short_side, test.mode, test.get("crop_size"), test.get("stride"), head.logit_scale)
    assert (*found, head.get("prob_threshold"), head.get("area_threshold")) == PAPER[method][dataset]
    assert config.protocol == "paper"
    assert head.vocabulary == (f"{dataset}_clearclip" if method == "clearclip" else dataset)
    assert config.model.backbone.arch == {"vit-b16": "ViT-B-16", "vit-l14": "ViT-L-14"}[backbone]


def test_options_come_after_the_unified_protocol():
    config = load_config(SCLIP, {"protocol": "unified", "model.decode_head.logit_scale": 50, "short_side": 400})
    assert (config.model.decode_head.logit_scale, config.model.short_side) == (50, 400)
    assert config.overrides == {"model.decode_head.logit_scale": "50", "model.short_side": "400"}


def test_a_switched_protocol_has_its_own_folder_and_hash():
    paper, unified = load_config(SCLIP), load_config(SCLIP, {"protocol": "unified"})
    assert (paper.run_name, unified.run_name) == (SCLIP.stem, f"{SCLIP.stem}_unified")
    assert config_hash(paper) != config_hash(unified)
    assert load_config(SCLIP, {"protocol": "paper"}).run_name == SCLIP.stem


def test_a_paper_protocol_that_nobody_stated_is_refused():
    with pytest.raises(ValueError, match=r"sclip_vit-l14_pc459\.py has no paper protocol: the authors"):
        load_config(CONFIGS / "sclip" / "sclip_vit-l14_pc459.py", {"protocol": "paper"})


def test_unified_needs_a_dataset_that_has_it(tmp_path):
    path = tmp_path / "own.py"
    path.write_text('protocol = "paper"\nmodel = dict()\n')
    with pytest.raises(ValueError, match=r"own\.py has no unified protocol: its _base_ names no dataset"):
        load_config(path, {"protocol": "unified"})


@pytest.mark.parametrize("path", [path for path in LEAVES if "_vit-l14" in path.name], ids=lambda path: path.stem)
def test_large_leaf_is_the_base_one_with_another_network(path):
    """In the protocol that it has by itself, where no author states settings for the large network."""
    large = load_config(path)
    base = load_config(path.with_name(path.name.replace("vit-l14", "vit-b16")), {"protocol": large.protocol})
    channels = large.model.pop("channels", None)  # of this network, which are no others' (RF-CLIP)
    if path.parent.name == "cass":  # beside a network with as many heads
        assert large.model.pop("vfm").type == "DINOv2Registers"
        assert base.model.pop("vfm").type == "DINO"
    assert (channels is not None) == (path.parent.name == "rf_clip")
    architectures = [config.model.backbone.pop("arch") for config in (large, base)]
    assert architectures[1].startswith("ViT-B-16")
    assert architectures[0] == architectures[1].replace("B-16", "L-14")
    for name in ("run_name", "work_dir"):
        assert large.pop(name) != base.pop(name)
    assert large.to_dict() == base.to_dict()


# On the tiny CLIP the configs of ViT-L/14 are those of ViT-B/16. What differs from dataset to dataset is quickly read;
# of what runs, a set with background, one without, a large one and a pocket one are enough for each change.
RUN_ALWAYS = ("_voc21.py", "_voc20.py", "_ade847.py", "_pocket_all.py")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.name.endswith(RUN_ALWAYS) else pytest.mark.slow)
        for path in ALONE
        if "_vit-l14" not in path.name
    ],
    ids=lambda path: path.stem,
)
def test_leaf_builds_and_labels_an_image(path, mini_clip):
    # Nobody has ranked the tiny CLIP's heads, or looked for its distraction channels.
    of_its_own = {
        "lht_clip": {"model.k": 0},
        "rf_clip": {"model.channels": [4, 34]},
        "cass": {"model.vfm.pretrained": "pocket"},
    }.get(path.parent.name, {})
    tiny = {"model.backbone.pretrained": str(mini_clip), "model.backbone.arch": "auto"}
    config = load_config(path, {**tiny, **of_its_own})
    check_settings(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    check_settings(config.test_evaluator, METRICS, "test_evaluator")
    assert config.dataset == path.stem.removeprefix(f"{path.parent.name}_").split("_", 1)[1]
    assert path.stem.startswith(f"{path.parent.name}_")
    classes = len(load_vocabulary(config.model.decode_head.vocabulary).classes)
    metainfo = DATASETS.get(config.test_dataloader.dataset.type).METAINFO
    assert classes == len(metainfo["classes"]) == len(metainfo["palette"]) == FACTS[config.dataset].classes

    model = build(config.model, MODELS, "model")
    model.decode_head.text_features = torch.nn.functional.normalize(
        torch.randn(model.decode_head.out_channels, model.backbone.proj.shape[1]), dim=1
    )
    sample = SegDataSample(metainfo={"ori_shape": (40, 52)})
    labels = model.predict([torch.randn(3, 40, 52)], [sample])[0].pred_sem_seg.data
    assert labels.shape == (1, 40, 52)
    assert 0 <= int(labels.min()) <= int(labels.max()) < classes


@pytest.mark.parametrize("path", sorted((CONFIGS / "cliptrase").glob("*_vit-b16_*.py")), ids=lambda path: path.stem)
def test_centre_squares_differ_in_their_labels_only(path):
    config = load_config(path)
    if config.protocol == "unified":
        assert config.dataset in {"cityscapes", "cityscapes27", "coco27"}
        return
    types = [transform.type for transform in config.test_dataloader.dataset.pipeline]
    assert types == PIPELINE if config.dataset != "coco_object" else [*PIPELINE[:2], "Relabel", PIPELINE[2]]
    assert config.model.centre_square
    metric = config.test_evaluator.to_dict()
    assert metric.get("unlabelled", []) == {
        "voc21": [0, 255],
        "context60": [0, 255],
        "pc459": [],
        "ade847": [],
    }.get(config.dataset, [255])
    assert ("relabel" in metric) == (config.dataset in {"voc21", "coco_object"})


def test_short_side_is_short_for_the_models(tmp_path):
    for name in ("short_side", "model.short_side"):
        config = load_config(SCLIP, {name: 500})
        assert config.model.short_side == 500
        assert config.overrides == {"model.short_side": "500"}
    path = tmp_path / "own.py"
    path.write_text(f"_base_ = {str(SCLIP)!r}\nshort_side = 192\n")
    assert load_config(path).model.short_side == 192
    assert load_config(path, {"model.short_side": 96}).model.short_side == 96
    with pytest.raises(ValueError, match=r"short_side and model\.short_side are one option"):
        load_config(SCLIP, {"short_side": 96, "model.short_side": 97})


def test_missing_config_offers_near_matches():
    with pytest.raises(FileNotFoundError, match=r"Did you mean .*sclip_vit-b16_voc21\.py"):
        load_config(CONFIGS / "sclip" / "sclip_vitb16_voc21.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = [1,", "cannot be read: SyntaxError"), ("x = 1", "has no 'model'"), ("raise KeyError(1)", "cannot be read")],
)
def test_unusable_files_are_named(tmp_path, text, message):
    path = tmp_path / "c.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_config(path)


def test_protocol_must_be_declared():
    with pytest.raises(ValueError, match=r"protocol must be one of \['paper', 'unified'\]"):
        load_config(SCLIP, {"protocol": "mine"})


def test_unknown_override_offers_near_matches():
    with pytest.raises(ValueError, match=r"unknown config key 'modl'\. Did you mean model"):
        load_config(SCLIP, {"modl.precision": "bf16"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.type", "SCLIPP", "Did you mean SCLIP"),
        ("model.precison", "bf16", "unknown option of SCLIP 'precison'. Did you mean precision"),
        ("model.decode_head.logitscale", 3, "Did you mean logit_scale"),
        ("model.backbone.type", "CLIPEncoder", "Did you mean CLIPImageEncoder"),
    ],
)
def test_unknown_components_and_options_offer_near_matches(key, value, message):
    config = load_config(SCLIP, {key: value})
    with pytest.raises(ValueError, match=message):
        check_settings(config.model, MODELS, "model")


def test_hash_ignores_what_cannot_change_a_number():
    base = config_hash(load_config(SCLIP))
    for key, value in (("work_dir", "elsewhere"), ("log_level", "INFO"), ("test_dataloader.num_workers", 9)):
        assert config_hash(load_config(SCLIP, {key: value})) == base
    for key, value in (("short_side", 337), ("model.precision", "bf16"), ("model.decode_head.prob_threshold", 0.2)):
        assert config_hash(load_config(SCLIP, {key: value})) != base


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.backbone": "ViT-B-16"}, r"has no settings model\.backbone=dict"),
        ({"model.test_cfg": "whole"}, r"has no settings model\.test_cfg=dict"),
        ({"model": 3}, r"has no settings model\.backbone=dict"),
        ({"log_level.x": 3}, r"The options log_level\.x do not fit"),
    ],
)
def test_overrides_of_the_wrong_kind_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load_config(SCLIP, options)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (3, 3), (64, 4)])
def test_images_are_read_by_no_more_processes_than_there_are_cores(cores, expected, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    shared = runpy.run_path(str(CONFIGS / "_base_/datasets/_loader.py"))
    assert shared["test_dataloader"]["num_workers"] == expected


def test_the_number_of_reading_processes_is_that_of_the_machine_or_of_the_option():
    shared = runpy.run_path(str(CONFIGS / "_base_/datasets/_loader.py"))["test_dataloader"]["num_workers"]
    for name in ("sclip_vit-b16_voc21", "sclip_vit-pocket_pocket_all", "sclip_vit-pocket_pocket_thing"):
        assert load_config(name).test_dataloader.num_workers == shared
    assert load_config(name, {"test_dataloader.num_workers": 99}).test_dataloader.num_workers == 99


@pytest.mark.parametrize("value", [None, 3, "x"])
@pytest.mark.parametrize("key", ["test_dataloader", "test_dataloader.dataset"])
def test_what_is_no_loader_is_told_in_a_sentence(key, value):
    with pytest.raises(ValueError, match=r"has no settings test_dataloader\.dataset=dict\(\.\.\.\)\.$"):
        load_config("sclip_vit-pocket_pocket_all", {key: value})
