"""Which runs the bundled benchmark is, and what is said of them."""

import json
from pathlib import Path

import pytest

from mmseg_tfovss.cluster.local_list import Ended
from mmseg_tfovss.cluster.pocket_list import MethodLines, choose_methods, in_order, method_of, pocket_methods
from mmseg_tfovss.cluster.run_list import PlannedRun
from tests.evaluation.test_result import make_result

CONFIGS = Path(__file__).parents[2] / "configs"


def plan(folder, *methods):
    return [
        PlannedRun(path, path.stem, folder / path.stem, 1.0)
        for paths in choose_methods(methods).values()
        for path in paths
    ]


def test_every_method_with_a_pocket_config_takes_part():
    usual = choose_methods()
    with_setting = {"dslo_op", "lposs_plus"}
    folders = {path.parent.name for path in CONFIGS.glob("*/*_vit-pocket_pocket_*.py")}
    assert set(usual) == folders | with_setting
    assert len(usual) >= 20
    for name, paths in usual.items():
        assert [path.stem.partition("_pocket_")[2] for path in paths] == ["all", "thing"], name
    around = ("clearclip", "cliptrase", "naclip", "resclip")
    assert set(pocket_methods()) - set(usual) == {f"lht_clip_{name}" for name in around}


def test_methods_by_name():
    chosen = choose_methods(["LHT-CLIP-NACLIP", "sclip", "sclip"])
    assert list(chosen) == ["lht_clip_naclip", "sclip"]
    assert chosen["sclip"] == sorted(CONFIGS.glob("sclip/sclip_vit-pocket_pocket_*.py"))
    with pytest.raises(ValueError, match=r"'sclp' on the pocket benchmark\. Did you mean sclip.*Valid: "):
        choose_methods(["naclip", "sclp"])


def test_other_configs_are_of_no_method():
    assert method_of(CONFIGS / "dslo/dslo_vit-pocket-op_pocket_all.py") == "dslo_op"
    assert method_of(CONFIGS / "sclip/sclip_vit-b16_voc21.py") is None
    assert method_of(CONFIGS / "dslo/graphs/sclip_vit-pocket_pocket_all.py") is None


def test_one_fast_method_comes_first_then_the_heaviest(tmp_path):
    runs = in_order(plan(tmp_path, "sclip", "lposs", "clip", "lposs_plus"))
    assert [method_of(run.config) for run in runs[::2]] == ["clip", "lposs_plus", "lposs", "sclip"]
    assert [run.cost for run in runs[::2]] == [1.0, 5.6, 2.7, 1.0]
    assert in_order([]) == []


def test_a_method_has_a_line_when_all_of_it_has_ended(tmp_path):
    clip = plan(tmp_path, "clip")
    sclip, finished = plan(tmp_path, "sclip")
    runs = [*clip, sclip]
    folders = {"clip": [run.folder for run in clip], "sclip": [sclip.folder, finished.folder]}
    for number, run in enumerate([clip[0], sclip, finished]):
        run.folder.mkdir()
        scores = {**dict.fromkeys(("pAcc", "mAcc", "fwIoU"), 0.0), "mIoU": number}
        result = make_result(dataset=f"pocket_{run.name.rpartition('_')[2]}", metrics=scores)
        (run.folder / "result.json").write_text(json.dumps(result))
    lines = MethodLines(runs, folders)
    assert lines(Ended(clip[0], 4.0, None, 1, 3, 60.0)) == []
    told = "[1/2] sclip: pocket_all 1.00, pocket_thing 2.00; 0:01:01 left"
    assert lines(Ended(sclip, 4.0, None, 2, 3, 61.4)) == [told]
    assert lines(Ended(clip[1], 4.0, "exit code 1", 3, 3, None)) == ["[2/2] clip: pocket_all 0.00; 1 FAILED"]


def test_a_method_without_any_result_says_so(tmp_path):
    runs = plan(tmp_path, "clip")
    lines = MethodLines(runs, {"clip": [run.folder for run in runs]})
    assert lines(Ended(runs[0], 4.0, "exit code 1", 1, 2, None)) == []
    assert lines(Ended(runs[1], 4.0, "exit code 1", 2, 2, None)) == ["[1/1] clip: no result; 2 FAILED"]
