"""A result beside a published number: within 0.3 or not, and what is said to differ."""

import json

import pytest

from mmseg_tfovss.leaderboard.published import Published
from mmseg_tfovss.reproduce.comparison import compare
from mmseg_tfovss.reproduce.report import comparison_lines, write_report

NUMBER = Published("voc21", "SCLIP", "ViT-B-16/openai", "", {"mIoU": "59.1"}, "README", "with | masks")
QUOTED = Published("voc21", "SCLIP", "CLIP ViT-B/16", "as quoted by X", {"mIoU": "58.0"}, "X, Table 1")


def result(**changes):
    return {
        "method": "SCLIP",
        "backbone": "ViT-B-16/openai",
        "dataset": "voc21",
        "protocol": "paper",
        "setting": "",
        "overrides": {},
        "precision": "fp32",
        "metrics": {"mIoU": 59.1},
        "num_images": 1449,
        "expected_images": 1449,
        "vocabulary": "voc21",
        "vocabulary_version": "1",
        "weights_hash": "abc",
        "dataset_hash": "def",
        "config_hash": "ghi",
        "git_commit": "123",
        "versions": {"torch": "2.9"},
        "assumptions": [],
        "finished_at": "2026-01-01T00:00:00+00:00",
        **changes,
    }


@pytest.mark.parametrize(
    ("ours", "within"), [(59.1, True), (59.4, True), (58.8, True), (59.404, True), (59.406, False), (58.79, False)]
)
def test_numbers_are_compared_as_tables_print_them(ours, within):
    found = compare(result(metrics={"mIoU": ours}), NUMBER)
    assert (found.within, found.repeated) == (within, within)
    assert found.difference == round(round(ours, 2) - 59.1, 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"num_images": 100}, "Images: 100 here, 1449 in the benchmark."),
        ({"overrides": {"model.short_side": "448"}}, "Setting: model.short_side=448 was changed on the command line."),
        ({"backbone": "ViT-B-16/mine.pt"}, "Networks: ViT-B-16/mine.pt here, ViT-B-16/openai in the source."),
    ],
)
def test_another_run_is_not_comparable_however_near_it_is(changes, told):
    found = compare(result(**changes), NUMBER)
    assert found.within
    assert not found.repeated
    assert found.differences[0] == told
    assert found.verdict == "Not comparable: this is not the run that the number was published for."


def test_what_may_differ_is_listed_where_the_number_is_not_repeated():
    lines = list(comparison_lines(compare(result(), NUMBER), NUMBER, (QUOTED,)))
    assert lines == [
        "Published:  59.1 mIoU: README (with | masks)",
        "Also:       58.0 mIoU, as quoted by X: X, Table 1",
        "Ours:       59.10 mIoU",
        "Difference: +0.00. Within 0.3.",
    ]
    changed = result(metrics={"mIoU": 50}, git_commit="123-dirty", precision="fp16", assumptions=["QuickGELU for a.pt"])
    text = "\n".join(comparison_lines(compare(changed, NUMBER), NUMBER, ()))
    assert "Difference: -9.10. Not within 0.3.\nWhat differs, or may differ:\n  - " in text
    for told in (
        "with | masks",
        "QuickGELU for a.pt",
        "fp16 here",
        "sha256 of the tensors abc",
        "torch 2.9",
        "commit 123",
    ):
        assert told in text


def test_the_files_beside_the_result(tmp_path):
    found = compare(result(metrics={"mIoU": 58.5}), NUMBER)
    written = write_report(found, NUMBER, (QUOTED,), result(), tmp_path)
    assert [path.name for path in written] == ["reproduction.json", "reproduction.md"]
    report = json.loads(written[0].read_text())
    assert (report["published"], report["ours"], report["difference"]) == (59.1, 58.5, -0.6)
    assert (report["within_tolerance"], report["repeated"]) == (False, False)
    assert report["other_numbers"][0]["value"] == 58.0
    text = written[1].read_text()
    assert "| 59.1 | README; with \\| masks |" in text  # which is no column
    assert "Difference: -0.60. Not within 0.3." in text
    assert sorted(tmp_path.iterdir()) == sorted(written)
