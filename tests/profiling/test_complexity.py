"""The complexity table in its three formats, and from the command line."""

import csv
import io
import json
import runpy
import sys

import pytest
import torch

from mmseg_tfovss.leaderboard.table import print_table
from mmseg_tfovss.profiling.benchmark import STAGES, Timing
from mmseg_tfovss.profiling.complexity import complexity_row, complexity_table, to_csv, to_markdown, write_complexity
from tests.tools.test_command_lines import ROOT, SCLIP

COLUMNS = [
    "Model",
    "FLOPs (G)",
    "Params (M)",
    "with text tower (M)",
    "Inference time (s)",
    "logits (s)",
    "attention (s)",
    "distribution (s)",
    "upsampling (s)",
    "Image",
    "Precision",
    "Device",
]


def make_timing(**changes):
    values = {
        "seconds": dict(zip(STAGES, (0.5, 0.08, 0.1, 0.2), strict=True)),
        "steps": {},
        "components": {"logits": 0.08, "attention": None, "distribution": None, "upsampling": 0.1},
        "text_seconds": 1.0,
        "windows": 1,
        "flops": 10**9,
        "total_flops": 52_240_000_000,
        "parameters": 86_000_000,
        "all_parameters": 86_200_000,
        "text_parameters": 63_400_000,
        "matmul_rate": 200.0,
        "plain_rate": 150.0,
        "peak_memory_mb": 1.0,
        "labels": torch.zeros(48, 64),
    }
    return Timing(**{**values, **changes})


def make_row(name="A|B", **changes):
    return complexity_row(name, make_timing(**changes), "fp32", "cpu")


def test_columns_are_the_papers_with_a_dash_for_what_a_method_does_not_have():
    row = make_row()
    assert list(row) == COLUMNS
    header, rule, line = to_markdown([row]).splitlines()
    assert header == f"| {' | '.join(COLUMNS)} |"
    assert rule.count("---:") == 8
    expected = r"| A\|B | 52.2 | 86.2 | 149.6 | 0.180 | 0.080 | - | - | 0.100 | 48x64 | fp32 | "
    assert line.startswith(expected)
    assert "threads: " in row["Device"]


def test_a_text_tower_that_is_not_known_is_a_dash():
    assert to_markdown([make_row(text_parameters=None)]).splitlines()[2].split(" | ")[3] == "-"


def test_csv_and_json_hold_the_numbers_themselves(tmp_path):
    rows = [make_row(), make_row("C")]
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [row["Model"] for row in read] == ["A|B", "C"]
    assert float(read[0]["FLOPs (G)"]) == 52.24
    assert read[0]["attention (s)"] == ""
    for suffix in ("json", "csv", "md"):
        write_complexity(rows, tmp_path / f"new/table.{suffix}")
    assert json.loads((tmp_path / "new/table.json").read_text()) == rows
    assert (tmp_path / "new/table.csv").read_text() == to_csv(rows)
    with pytest.raises(ValueError, match=r"^--out must end with one of \.md, \.csv, \.json, but got .*table\.txt\.$"):
        write_complexity(rows, tmp_path / "table.txt")


def test_the_terminals_table_has_the_same_cells(capsys):
    print_table(complexity_table([make_row()]))
    text = capsys.readouterr().out
    assert all(cell in text for cell in (*COLUMNS, "52.2", "149.6", "0.080", "-"))


@pytest.fixture
def benchmark(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / "tools/benchmark.py"), run_name="__main__")
        except SystemExit as error:
            return error.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


def test_several_configs_are_rows_of_one_file(benchmark, mini_clip, tmp_path):
    clip = ROOT / "configs/clip/clip_vit-b16_voc21.py"
    weights = (f"model.backbone.pretrained={mini_clip}", "model.backbone.arch=auto")
    small = (
        "short_side=48",
        "model.decode_head.templates=photo",
        "model.test_cfg.crop_size=32",
        "model.test_cfg.stride=32",
    )
    command = (SCLIP, clip, "--complexity", "--out", "cost.json", "--repeats", "1", "--size", "48", "48")
    code, printed, errors = benchmark(*command, "--device", "cpu", "--cfg-options", *weights, *small)
    assert (code, errors) == (0, "")
    assert "sclip_vit-b16_voc21" in printed
    rows = json.loads((tmp_path / "cost.json").read_text())
    assert [row["Model"] for row in rows] == ["sclip_vit-b16_voc21", "clip_vit-b16_voc21"]
    assert rows[0]["with text tower (M)"] > rows[0]["Params (M)"] > 0
    assert all(row["FLOPs (G)"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--complexity", "--out", "a.txt"), "error: --out must end with one of .md, .csv, .json, but got a.txt."),
        (("--repeats", "0"), "error: --repeats must be at least 1, but got 0."),
    ],
)
def test_mistakes_are_one_sentence(benchmark, options, message):
    assert benchmark(SCLIP, *options) == (1, "", f"{message}\n")
