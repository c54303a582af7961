"""Which of several results of one run counts."""

import pytest

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.results import collect_results
from tests.evaluation.test_result import make_result
from tests.leaderboard.boards import scored

SETTINGS = {"model.alpha": "0.5"}


def collect(folder, *results):
    """Names of the folders that count, and reasons by folder."""
    for number, result in enumerate(results):
        write_result(result, folder / str(number))
    collected = collect_results([folder])
    return [run.path.parent.name for run in collected.runs], {
        item.path.parent.name: item.reason for item in collected.left_out
    }


def at(time, **changes):
    return make_result(finished_at=time, settings=SETTINGS, **changes)


def test_the_newest_result_of_a_run_counts_and_the_others_are_named(tmp_path):
    older, newer = at("2026-01-01T00:00:00+00:00"), at("2026-03-01T00:00:00+00:00")
    counting, reasons = collect(tmp_path, older, newer, at("2026-02-01T00:00:00+00:00"))
    assert counting == ["1"]
    assert sorted(reasons) == ["0", "2"]
    assert reasons["0"] == (
        f"is a duplicate: {tmp_path / '1/result.json'} holds the same run (voc21, paper, SCLIP, ViT-B-16/openai, fp32;"
        " same settings, weights and words), finished later, and counts instead."
    )


@pytest.mark.parametrize(
    "times",
    [
        ("2026-01-01T10:00:00+00:00", "2026-01-01T09:00:00-02:00"),  # 11:00 UTC
        ("not a time", "2026-01-01T00:00:00"),
        ("9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00+00:00"),  # no such time in UTC
        ("", "0001-01-02T00:00:00+00:00"),
    ],
)
def test_times_are_compared_as_times(times, tmp_path):
    assert collect(tmp_path, *map(at, times))[0] == ["1"]


def test_of_equally_old_ones_the_first_file_counts(tmp_path):
    counting, reasons = collect(tmp_path, make_result(), make_result())
    assert counting == ["0"]
    assert "finished at the same time, and counts instead." in reasons["1"]


def test_a_newer_result_of_some_images_does_not_hide_that_of_all(tmp_path):
    counting, reasons = collect(tmp_path, at("2026-01-01"), at("2026-01-02", num_images=9))
    assert counting == ["0"]
    told = "Their numbers of images differ (9 and 10); nothing that is recorded says why."
    assert reasons["1"].endswith(f"is of all images, and counts instead. {told}")


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"model.alpha": "1.0"}},
        {"config_hash": "other"},
        {"weights_hash": "other"},
        {"vocabulary_hash": "other"},
        {"dataset": "voc20"},
    ],
)
def test_other_settings_weights_or_words_are_another_run(changes, tmp_path):
    counting, reasons = collect(tmp_path, at("2026-01-01"), {**at("2026-01-02"), **changes})
    assert (len(counting), reasons) == (2, {})


def test_scores_that_differ_are_told_with_what_else_differs(tmp_path):
    code = {"code_hash": "1" * 64, "dataset_hash": "3" * 64, "git_commit": "5" * 40, "versions": {"torch": "2.4"}}
    later = {
        "code_hash": "2" * 64,
        "dataset_hash": "3" * 64,
        "git_commit": f"{'5' * 40}-dirty",
        "versions": {"torch": "2.5"},
    }
    older = {**scored(47.0, finished_at="2026-01-01", settings=SETTINGS), **code}
    newer = {**scored(48.125, finished_at="2026-01-02", settings=SETTINGS), **later}
    _, reasons = collect(tmp_path, older, newer)
    assert reasons["0"].endswith(
        "and counts instead. Their scores differ (mIoU 47 and 48.125); they also differ in code (1111111111 and"
        " 2222222222), commit (5555555555 and 5555555555-dirty), version of torch (2.4 and 2.5)."
    )
    _, reasons = collect(tmp_path / "b", {**older, **later}, newer)
    assert reasons["0"].endswith("differ (mIoU 47 and 48.125); nothing that is recorded says why.")


def test_a_command_line_that_says_what_the_file_says_does_not_make_the_row_a_changed_one(tmp_path):
    counting, _ = collect(tmp_path, at("2026-01-01"), at("2026-01-02", overrides={"model.alpha": "0.5"}))
    assert counting == ["1"]
    assert collect_results([tmp_path]).results[0]["overrides"] == {}


def test_older_results_without_settings_go_by_their_hash(tmp_path):
    older = make_result(finished_at="2026-01-01")
    assert collect(tmp_path / "a", older, at("2026-01-02"))[0] == ["1"]
    assert len(collect(tmp_path / "b", older, {**older, "overrides": {"short_side": "448"}})[0]) == 2
