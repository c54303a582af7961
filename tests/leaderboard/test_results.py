"""Which result files count."""

import json

import pytest

from mmseg_tfovss.engine.lock import LOCK_NAME
from mmseg_tfovss.engine.state import STATE_NAME
from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.files import BEGUN
from mmseg_tfovss.leaderboard.results import collect_results
from tests.evaluation.test_result import make_result


@pytest.fixture
def runs(tmp_path):
    vanilla = make_result(method="CLIP", metrics={"mIoU": 16.2, "pAcc": 80.0, "mAcc": 70.0, "fwIoU": 65.0})
    write_result(vanilla, tmp_path / "clip_voc21")
    write_result(make_result(), tmp_path / "sclip_voc21")
    return tmp_path


def test_best_first_and_the_same_file_named_twice_once(runs):
    collected = collect_results([runs, runs / "clip_voc21", runs / "sclip_voc21/result.json"])
    assert [result["method"] for result in collected.results] == ["SCLIP", "CLIP"]
    assert collected.left_out == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"setting": "336 pixels"},
        {"overrides": {"short_side": "448"}},
        {"protocol": "unified"},
        {"backbone": "ViT-L-14/openai"},
    ],
)
def test_what_makes_another_run(runs, changes):
    write_result(make_result(**changes), runs / "other")
    assert len(collect_results([runs]).runs) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not a result file"),
        ("[]", "does not have the schema version 1"),
        (json.dumps(make_result(schema_version=0)), "does not have the schema version 1"),
        (json.dumps({"schema_version": 1, "method": "SCLIP"}), "lacks backbone, "),
        (json.dumps(make_result(metrics={"mIoU": 5.0})), "has no usable metrics.pAcc, metrics.mAcc, metrics.fwIoU"),
        (json.dumps(make_result(metrics=[1])), "has no usable metrics.mIoU"),
        (json.dumps(make_result(method=["SCLIP"])), "has no usable method"),
        (json.dumps(make_result(method="\ud800")), "holds '\\ud800', which is no text"),
        (json.dumps(make_result(vocabulary_hash=[])), "has no usable vocabulary_hash"),
        (json.dumps(make_result(overrides=None)), "has no usable overrides"),
        (json.dumps(make_result(num_images="10")), "has no usable num_images"),
        (json.dumps(make_result(num_images=12.5)), "has no usable num_images"),
        (json.dumps(make_result(num_images=10**300)), "has no usable num_images"),
        (json.dumps(make_result(expected_images="200")), "has no usable expected_images"),
        (json.dumps(make_result(seconds_per_image=float("inf"))), "has no usable seconds_per_image"),
        (json.dumps(make_result(code_hash=[])), "has no usable code_hash"),
        (json.dumps(make_result(git_commit=[])), "has no usable git_commit"),
        ("[" * 100_000, "is not a result file (too deeply nested)"),
        (json.dumps(make_result()).replace("59.1234", "NaN"), "has no usable metrics.mIoU"),
        (json.dumps(make_result()).replace("59.1234", "159.1"), "has no usable metrics.mIoU"),
        (
            json.dumps(make_result(per_class={"cat": {"Acc": 1.0}})),
            "has an IoU of the class 'cat' that is no percentage",
        ),
        (json.dumps(make_result(per_class={"cat": 3})), "has an IoU of the class 'cat' that is no percentage"),
        (json.dumps(make_result(protocol="mine")), "has the protocol 'mine'; valid: paper, unified"),
        (
            json.dumps(make_result(vocabulary_version="0")),
            "is out of date: made with version 0 of the class list voc21",
        ),
    ],
)
def test_files_that_cannot_be_shown_are_left_out_with_a_reason(runs, content, reason):
    (runs / "bad").mkdir()
    (runs / "bad/result.json").write_text(content)
    collected = collect_results([runs])
    assert len(collected.runs) == 2
    [left_out] = collected.left_out
    assert left_out.path == runs / "bad/result.json"
    assert left_out.reason.startswith(reason)


def test_class_lists_that_are_not_bundled_have_no_version_to_be_stale_by(tmp_path):
    write_result(make_result(vocabulary="/home/me/words.txt", vocabulary_version="0"), tmp_path / "a")
    write_result(make_result(vocabulary="voc21 with background sclip", method="CLIP"), tmp_path / "b")
    assert len(collect_results([tmp_path]).runs) == 2


def test_overlays_of_a_run_are_found(runs):
    for folder in ("overlays", "overlays.1"):
        (runs / "sclip_voc21" / folder).mkdir()
    for name in ("overlays/b_overlay.png", "a_overlay.png", "overlays/a_mask.png", "overlays.1/old_overlay.png"):
        (runs / "sclip_voc21" / name).touch()
    best, other = collect_results([runs]).runs
    assert [path.name for path in best.overlays] == ["a_overlay.png", "b_overlay.png"]
    assert other.overlays == ()


def test_folders_without_results_are_named_with_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing does not exist"):
        collect_results([tmp_path / "nothing"])
    with pytest.raises(
        FileNotFoundError, match=r"no run in it has finished, and so for 1 more\. Run a test first, .* tfovss test "
    ):
        collect_results([tmp_path, tmp_path / "nothing"])


def test_runs_without_a_result_are_left_out_and_keep_no_other_from_counting(runs):
    for name, begun in (("dslo", "state"), ("cliptrase", ".lock")):
        (runs / name / begun).mkdir(parents=True)
    (runs / "sclip_voc21/.lock").touch()  # it stays when a run has finished
    (runs / "empty").mkdir()
    collected = collect_results([runs, runs / "dslo", runs / "empty", runs / "none"])
    assert len(collected.runs) == 2
    assert [(item.path.name, item.reason) for item in collected.left_out] == [
        ("cliptrase", "has not finished: it holds no result.json."),
        ("dslo", "has not finished: it holds no result.json."),
        ("empty", "holds no result.json: no run in it has finished."),
        ("none", "does not exist: its run was never begun, or the name is misspelt."),
    ]


def test_what_a_run_leaves_is_known_by_its_names():
    assert BEGUN == (STATE_NAME, LOCK_NAME)
