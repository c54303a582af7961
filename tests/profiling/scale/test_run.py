"""Tables, picture and what stays of an interrupted run."""

import csv

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_tfovss.commands import benchmark
from mmseg_tfovss.profiling.scale import measure as measuring
from mmseg_tfovss.profiling.scale import run as running
from mmseg_tfovss.profiling.scale.measure import STAGES, Cost, measure
from mmseg_tfovss.profiling.scale.points import Point, Sweeps
from mmseg_tfovss.profiling.scale.separate import EndedError

SWEEPS = Sweeps(megapixels=(0.3, 2), words=(20, 1000), batch=(1, 4))
LEAF = "sclip_vit-pocket_pocket_all"


@pytest.fixture
def config():
    return Config({"run_name": "sclip_$1$", "model": {"precision": "fp32"}})


def costs_of(settings, point, device, repeats):
    seconds = dict(zip(STAGES, (2.0 * point.batch, 0.5 * point.batch), strict=True))
    return Cost(seconds, 100.0 * point.batch + point.words)


def answer_with(monkeypatch, answer):
    monkeypatch.setattr(running, "run_separately", lambda function, *arguments: answer(*arguments))


@pytest.fixture
def not_drawn(monkeypatch):
    """To draw takes most of a second."""
    monkeypatch.setattr(running, "write_picture", lambda path, *rest: path.touch())


def rows_of(folder):
    with (folder / "scale.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_point_is_in_the_tables_and_in_the_picture(config, tmp_path, monkeypatch):
    answer_with(monkeypatch, costs_of)
    running.measure_scale(config, SWEEPS, tmp_path / "new", device="cpu", repeats=1)
    rows = rows_of(tmp_path / "new")
    assert [(row["width"], row["words"], row["batch"]) for row in rows] == [
        ("640", "20", "1"),
        ("1632", "20", "1"),
        ("640", "1000", "1"),
        ("640", "20", "4"),
    ]
    assert {row["encoder_seconds_per_image"] for row in rows} == {"2.0"}
    assert rows[-1]["peak_mib"] == "420.0"
    text = (tmp_path / "new" / "scale.md").read_text()
    assert text.count("| 640 x 480 | 0.31 | 20 | 1 | 2.000 | 0.500 | 120 |") == 3
    assert all(title in text for title in ("## Image size", "## Vocabulary", "## Batch", "sclip_$1$, fp32"))
    assert Image.open(tmp_path / "new" / "scale.png").width >= 800
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_an_interrupted_run_keeps_what_it_has_measured(config, tmp_path, monkeypatch, not_drawn, capsys):
    def answer(settings, point, device, repeats):
        if point.words == 1000:
            raise KeyboardInterrupt
        return costs_of(settings, point, device, repeats)

    answer_with(monkeypatch, answer)
    with pytest.raises(KeyboardInterrupt):
        running.measure_scale(config, SWEEPS, tmp_path, device="cpu", repeats=1)
    assert len(rows_of(tmp_path)) == 2
    assert (tmp_path / "scale.png").is_file()
    printed = capsys.readouterr().out
    assert "| 1632 x 1232 | 2.0 |" in printed
    assert printed.endswith(f"Written: {tmp_path}/scale.{{md,csv,png}}\n")


def test_an_earlier_run_s_files_are_kept(config, tmp_path, monkeypatch, not_drawn, capsys):
    def stop(settings, point, device, repeats):
        raise KeyboardInterrupt

    answer_with(monkeypatch, costs_of)
    running.measure_scale(config, SWEEPS, tmp_path, device="cpu", repeats=1)
    answer_with(monkeypatch, stop)
    with pytest.raises(KeyboardInterrupt):  # before anything is measured: nothing is moved
        running.measure_scale(config, SWEEPS, tmp_path, device="cpu", repeats=1)
    assert len(rows_of(tmp_path)) == 4
    answer_with(monkeypatch, costs_of)
    running.measure_scale(config, Sweeps((0.3,), (20,), (1,)), tmp_path, device="cpu", repeats=1)
    assert len(rows_of(tmp_path)) == 1
    assert len((tmp_path / "scale.1.csv").read_text().splitlines()) == 1 + 4
    assert (tmp_path / "scale.1.png").is_file()
    assert f"kept as {tmp_path}/scale.1.csv, " in capsys.readouterr().err


@pytest.mark.parametrize("error", [EndedError("killed"), torch.OutOfMemoryError("full")])
def test_a_point_that_needs_too_much_memory_is_left_empty(error, config, tmp_path, monkeypatch, capsys, not_drawn):
    def answer(settings, point, device, repeats):
        if point.megapixels == 2:
            raise error
        return costs_of(settings, point, device, repeats)

    answer_with(monkeypatch, answer)
    costs = running.measure_scale(config, SWEEPS, tmp_path, device="cpu", repeats=1)
    assert costs[Point(2, 20, 1)] is None
    assert [row["peak_mib"] for row in rows_of(tmp_path)] == ["120.0", "", "1100.0", "420.0"]
    assert "| 1632 x 1232 | 2.0 | 20 | 1 | - | - | - |" in (tmp_path / "scale.md").read_text()
    assert str(error) in capsys.readouterr().err


def test_a_point_is_what_it_says(build_method, monkeypatch):
    """The batch, the words and the size reach the method."""
    labelled = []

    def build(config, device):
        model = build_method("SCLIP", decode_head={"vocabulary": config.model.decode_head.vocabulary})
        plain = model.labels_of
        monkeypatch.setattr(model, "labels_of", lambda assembly: labelled.append(plain(assembly)))
        return model

    monkeypatch.setattr(measuring, "build_method", build)
    cost = measure({"model": {"decode_head": {}, "backbone": {}}}, Point(0.01, 9, 3), "cpu", repeats=1)
    assert len(labelled) == 2 * 3
    assert labelled[0].shape == Point(0.01, 9, 3).size
    assert set(cost.seconds) == set(STAGES)
    assert all(seconds > 0 for seconds in cost.seconds.values())


@pytest.mark.slow
def test_the_command_measures_a_small_method(tmp_path, capsys):
    small = ["--sizes", "0.02", "--words", "3", "5", "--batches", "1", "--repeats", "1"]
    benchmark.main([LEAF, "--scale", str(tmp_path), *small])
    assert [row["words"] for row in rows_of(tmp_path)] == ["3", "5"]
    assert all(float(row["peak_mib"]) > 0 for row in rows_of(tmp_path))
    assert "Written" in capsys.readouterr().out
