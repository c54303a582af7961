"""Both files say what was found, and are whole at any moment."""

import json

from mmseg_tfovss.profiling.gpu_report.entries import Entry, Section
from mmseg_tfovss.profiling.gpu_report.pages import to_markdown, write_pages

SECTIONS = {
    "speed": Section(
        "Speed", "How fast it is.", {"name": ("name", ""), "rate": ("images/s", ".1f"), "left": ("x", "d")}
    ),
    "more": Section("More", "What else there is.", {"name": ("name", "")}),
}
FACTS = {"device": "a | b", "minutes": 8.0, "list": [1]}


def entries():
    return [
        Entry("speed", "A", "done", 9.0, 1.0, [{"name": "A|a", "rate": 12.345, "trials": [1, 2]}], ["A remark."]),
        Entry("speed", "B", "done", 9.0, 1.0, [{"name": "B", "rate": float("nan")}]),
        Entry("speed", "C", "failed", 9.0, 1.0, error="ValueError: <b>\nno"),
        Entry("speed", "D", "left out", error="there is no package."),
        Entry("speed", "E", "running"),
    ]


def test_markdown():
    assert to_markdown(FACTS, SECTIONS, entries(), complete=False) == (
        "# GPU report\n\n"
        "**This report is not complete**: the run that makes it is under way, or was stopped.\n\n"
        "- device: a \\| b\n- minutes: 8.0\n\n"
        "## Speed\n\nHow fast it is.\n\n"
        "| name | images/s |\n| --- | ---: |\n| A\\|a | 12.3 |\n| B | – |\n\n"
        "- A remark.\n"
        "- **C failed**: ValueError: &lt;b> no\n"
        "- D was left out: there is no package.\n"
        "- E is running.\n\n"
        "## More\n\nWhat else there is.\n\nNot reached.\n"
    )


def test_a_complete_report_does_not_say_otherwise():
    assert "not complete" not in to_markdown(FACTS, SECTIONS, [], complete=True)


def test_a_complete_report_says_at_its_top_how_much_was_left_out():
    lines = to_markdown(FACTS, SECTIONS, entries(), complete=True).splitlines()
    assert lines[2] == "**1 of 5 steps were left out**: the sections below say why."
    assert "steps were left out" not in to_markdown(FACTS, SECTIONS, entries()[:2], complete=True)


def test_json_has_every_number_and_is_valid(tmp_path):
    write_pages(tmp_path / "new", FACTS, SECTIONS, entries(), complete=True)
    content = json.loads((tmp_path / "new/report.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert content["complete"] is True
    assert content["list"] == [1]
    assert content["steps"][0]["rows"] == [{"name": "A|a", "rate": 12.345, "trials": [1, 2]}]
    assert content["steps"][1]["rows"][0]["rate"] is None
    assert content["steps"][2]["error"] == "ValueError: <b>\nno"
    assert (tmp_path / "new/report.md").read_text().startswith("# GPU report")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"report.json", "report.md"}
