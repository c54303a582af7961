"""The whole report: from the command line, with steps that fail, and on a GPU."""

import json

import pytest
import torch

from mmseg_tfovss.commands import benchmark
from mmseg_tfovss.engine.provenance import MadeBy
from mmseg_tfovss.profiling.gpu_report import card, parity, processes, run, search, throughput
from mmseg_tfovss.profiling.gpu_report.bench import METHODS

CASES = 1 + len(METHODS)  # and DSLO at 512 pixels


@pytest.fixture
def command(tmp_path, capsys):
    def start(*arguments):
        try:
            benchmark.main(["--gpu-report", str(tmp_path / "out"), *arguments], "tfovss benchmark")
        except SystemExit as end:
            return end.code, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return start


@pytest.fixture
def fakes(monkeypatch):
    """Work that takes no time: each gives one row."""

    def give(key):
        def work(*arguments):
            name = getattr(arguments[1], "name", arguments[1]) if len(arguments) > 2 else key
            yield {"what": key, "method": name, "processes": 1}

        return work

    monkeypatch.setattr(card, "describe", lambda device: give("facts")())
    monkeypatch.setattr(card, "matmul_rates", give("rates"))
    monkeypatch.setattr(parity, "compare_devices", give("parity"))
    monkeypatch.setattr(throughput, "measure_throughput", give("throughput"))
    monkeypatch.setattr(processes, "compare_processes", give("processes"))
    monkeypatch.setattr(run, "made_by", lambda: MadeBy("abc", "mmseg_tfovss 1.2", {"torch": "2.9"}))  # asks git


def content(tmp_path):
    return json.loads((tmp_path / "out/report.json").read_text())


def test_every_step_is_in_both_files(command, fakes, tmp_path):
    code, printed, errors = command("--device", "cpu")
    assert (code, printed) == (0, f"Written: {tmp_path}/out/report.md\n")
    assert len(errors.splitlines()) == 2 + len(METHODS) + CASES + 1
    found = content(tmp_path)
    assert found["complete"] is True
    assert {step["state"] for step in found["steps"]} == {"done"}
    sections = [step["section"] for step in found["steps"]]
    assert [sections.count(name) for name in run.SECTIONS] == [2, len(METHODS), CASES, 1]
    page = (tmp_path / "out/report.md").read_text()
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        "Machine",
        "Parity",
        "Throughput",
        "Two processes",
    ]
    assert "- device: cpu: CPU\n" in page
    assert "mmseg_tfovss 1.2, commit abc" in page
    assert "- versions: torch 2.9\n" in page
    assert "random weights (ViT-B-16)" in page
    assert "| DSLO, 512 px |" in page


def test_the_network_that_ran_is_said(command, fakes, tmp_path):
    command("--device", "cpu", "--report-network", "pocket", "--minutes", "3")
    page = (tmp_path / "out/report.md").read_text()
    assert "- networks: the bundled pocket networks, which are far smaller than real ones (pocket)\n" in page
    assert "- minutes allowed: 3.0\n" in page
    assert "512 px" not in page


@pytest.mark.parametrize(
    ("owner", "work", "section", "count"),
    [
        (card, "describe", "machine", 1),
        (parity, "compare_devices", "parity", len(METHODS)),
        (throughput, "measure_throughput", "throughput", CASES),
        (processes, "compare_processes", "processes", 1),
    ],
)
def test_a_failed_section_is_kept_and_told(command, fakes, tmp_path, monkeypatch, owner, work, section, count):
    def fail(*_):
        raise RuntimeError("CUDA error: no kernel image")
        yield

    monkeypatch.setattr(owner, work, fail)
    code, printed, errors = command("--device", "cpu")
    assert (code, printed) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith(f"error: {count} of {3 + len(METHODS) + CASES} steps failed ({section}: ")
    assert last.endswith(f"): see {tmp_path}/out/report.md.")
    failed = [step for step in content(tmp_path)["steps"] if step["state"] == "failed"]
    assert [step["section"] for step in failed] == [section] * count
    assert (tmp_path / "out/report.md").read_text().count(
        "failed**: RuntimeError: CUDA error: no kernel image"
    ) == count


def test_ctrl_c_leaves_what_there_is(command, fakes, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(throughput, "measure_throughput", stop)
    code, _, errors = command("--device", "cpu")
    assert code == 130
    assert errors.endswith("interrupted\n")
    found = content(tmp_path)
    assert found["complete"] is False
    assert [step["state"] for step in found["steps"]] == [*["done"] * (2 + len(METHODS)), "stopped"]
    page = (tmp_path / "out/report.md").read_text()
    assert "**This report is not complete**" in page
    assert "- **SCLIP was stopped.**" in page


def test_an_earlier_report_is_kept(command, fakes, tmp_path):
    command("--device", "cpu", "--minutes", "3")
    _, _, errors = command("--device", "cpu")
    assert f"kept as {tmp_path}/out/report.1.md, {tmp_path}/out/report.1.json." in errors
    assert "minutes allowed: 3.0" in (tmp_path / "out/report.1.md").read_text()
    assert "minutes allowed: 7.0" in (tmp_path / "out/report.md").read_text()


@pytest.mark.slow
def test_a_whole_report_of_a_cpu(command, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "BATCHES", (1, 2))
    monkeypatch.setattr(search, "WINDOW_BATCHES", ())
    monkeypatch.setattr(throughput, "_MOST_SECONDS", 0.0)
    code, _, errors = command("--device", "cpu", "--report-network", "pocket", "--size", "64", "64")
    assert code == 0, errors
    steps = content(tmp_path)["steps"]
    assert {step["state"] for step in steps} == {"done"}
    exact = [row for step in steps for row in step["rows"] if row.get("precision") == "fp32"]
    assert [row["same_labels"] for row in exact] == [1.0] * len(METHODS)


@pytest.mark.gpu
def test_a_whole_report_of_a_gpu(command, tmp_path):
    code, _, errors = command("--device", "cuda")
    assert code == 0, errors
    rows = [row for step in content(tmp_path)["steps"] for row in step["rows"]]
    exact = [row for row in rows if row.get("precision") == "fp32"]
    assert min(row["same_queries"] for row in exact) > 0.99
    assert all(row["waits"] is not None for row in rows if "images_per_second" in row)
    assert torch.cuda.get_sync_debug_mode() == 0
