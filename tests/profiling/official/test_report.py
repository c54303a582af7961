"""What is printed and written of a comparison, and what is said against its numbers."""

import csv
import json
from pathlib import Path

import pytest
from rich.console import Console

from mmseg_tfovss.commands.benchmark import main
from mmseg_tfovss.profiling import measurements
from mmseg_tfovss.profiling.official.pairs import Pairs
from mmseg_tfovss.profiling.official.report import Comparison, comparison_table, write_comparison


def compared(agreement=0.999, classes=4, precision="fp32"):
    pairs = Pairs(official=(2.0, 9.0, 4.0), ours=(1.0, 3.0, 4.0), agreement=agreement, classes=classes)
    return Comparison("sclip_voc21", "SCLIP @ 1234567", "480x640", "a machine", {precision: pairs}, 3)


def test_the_terminal_shows_all_numbers():
    console = Console(width=120, record=True)
    console.print(comparison_table(compared()))
    text = console.export_text()
    for word in ("sclip_voc21 beside SCLIP @ 1234567", "4.000", "3.000", "2.00 (1.00 to 3.00)", "99.90 %"):
        assert word in text


def test_markdown_is_the_table_of_the_documentation(tmp_path):
    write_comparison(compared(), tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0] == "| config | ours in | official (s) | ours (s) | ratio | same labels |"
    assert lines[2] == "| sclip_voc21 | fp32 | 4.000 | 3.000 | 2.00 (1.00 to 3.00) | 99.90 % |"
    assert lines[4] == "SCLIP @ 1234567. Medians of 3 pairs, image 480x640 (height x width), a machine."


def test_numbers_for_programs_are_not_rounded(tmp_path):
    for suffix in ("csv", "json"):
        write_comparison(compared(agreement=1 / 3), tmp_path / f"table.{suffix}")
    [row] = json.loads((tmp_path / "table.json").read_text())
    assert (row["Ratio"], row["Lowest ratio"], row["Highest ratio"]) == (2.0, 1.0, 3.0)
    assert row["Same labels (%)"] == pytest.approx(100 / 3)
    with (tmp_path / "table.csv").open() as file:
        [line] = csv.DictReader(file)
    assert line == {name: str(value) for name, value in row.items()}


@pytest.mark.parametrize(
    ("found", "remark"),
    [
        (compared(agreement=0.98), "Only 98.00 % of the labels are the same in fp32"),
        (compared(agreement=0.98, precision="bf16"), "Add fp32 to --precision"),
        (compared(classes=1), "All pixels are of one class"),
    ],
)
def test_what_speaks_against_the_numbers_is_said(tmp_path, found, remark):
    write_comparison(found, tmp_path / "table.md")
    assert remark in (tmp_path / "table.md").read_text()
    assert remark in comparison_table(found).caption
    assert compared().remarks == []


def test_the_command_prints_and_writes_it(tmp_path, monkeypatch, capsys):
    given = {}

    def compare(config, folder, image, **options):
        given.update(options, folder=folder, config=config.run_name)
        return compared()

    monkeypatch.setattr(measurements, "time_against", compare)
    table = tmp_path / "table.csv"
    main(["sclip_vit-b16_voc21", "--against", "SCLIP", "--official", "logit_scale=50", "--out", str(table)])
    assert (given["config"], given["folder"]) == ("sclip_vit-b16_voc21", Path("SCLIP"))
    assert given["changes"] == {"logit_scale": 50}
    assert "2.00 (1.00 to 3.00)" in capsys.readouterr().out
    assert table.read_text().startswith("Config,Official code,Ours in,")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--out must end with one of \.md, \.csv, \.json, but got "):
        write_comparison(compared(), tmp_path / "table.txt")
    assert not list(tmp_path.iterdir())
