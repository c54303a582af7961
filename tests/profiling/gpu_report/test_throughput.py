"""Every number of the throughput table is measured, and of the best batch."""

import time

import pytest
import torch

from mmseg_tfovss.profiling.gpu_report import search, throughput
from mmseg_tfovss.profiling.gpu_report.cases import Aim, Case
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.stages import STAGES, after_encoder_share, time_batch_stages
from mmseg_tfovss.profiling.gpu_report.throughput import SECTION, measure_throughput, seconds_per_run

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def short_trials(monkeypatch):
    monkeypatch.setattr(throughput, "_MOST_SECONDS", 0.0)
    monkeypatch.setattr(search, "BATCHES", (1, 2))
    monkeypatch.setattr(search, "WINDOW_BATCHES", (32,))


def test_a_row_and_remarks(bench):
    aim = Aim("images_per_second", 1e9, least=True, what="images/s", form=".0f")
    tried, row, told = measure_throughput(bench, Case("SCLIP!", "SCLIP", aims=(aim,)), Deadline(60))
    assert set(SECTION.columns) - set(row) == set()
    assert row["method"] == "SCLIP!"
    assert row["waits"] is None
    assert all(row[f"{stage}_ms"] > 0 for stage in STAGES)
    assert 0 < row["after_encoder"] < 1
    best = max(row["trials"], key=lambda trial: trial["images_per_second"])
    assert [best[name] for name in best] == [row[name] for name in best]
    assert [(trial["batch"], trial["window_batch"]) for trial in row["trials"][:2]] == [(1, 16), (2, 16)]
    assert tried.startswith("SCLIP!, images/s by batch (and windows at a time): 1 (16): ")
    assert told.startswith("SCLIP!, aim for an H100 or H200: images/s at least 1000000000; here ")
    assert told.endswith("not reached.")


def test_a_single_image_of_another_size(bench):
    case = Case("whole", "NACLIP", (80, 80), {"model.short_side": 80}, single=True)
    sizes = []
    build = bench.build

    def watched(method, precision, **options):
        model = build(method, precision, **options)
        look = model.look
        model.look = lambda scenes: (sizes.append(scenes[0].resized), look(scenes))[1]
        return model

    bench.build = watched
    _, row = measure_throughput(bench, case, Deadline(60))
    assert row["batch"] == len(row["trials"]) == 1
    assert set(sizes) == {(80, 80)}


def test_rates_stay_when_memory_ends_between_stages(bench, monkeypatch):
    def too_much(*_):
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(throughput, "time_batch_stages", too_much)
    _, row = measure_throughput(bench, Case("SCLIP", "SCLIP"), Deadline(60))
    assert row["images_per_second"] > 0
    assert "label_ms" not in row


def test_places_where_the_host_waits_are_named(bench, monkeypatch):
    monkeypatch.setattr(throughput, "_waits_by_place", lambda *_: {"ops/labels.py:59": 3, "b.py:1": 2})
    *_, row, told = measure_throughput(bench, Case("SCLIP", "SCLIP", single=True), Deadline(60))
    assert row["waits"] == 5
    assert told == "SCLIP waits most often at ops/labels.py:59 (3), b.py:1 (2)."


def test_stages_are_those_that_predict_runs(bench, monkeypatch):
    model = bench.build("SCLIP", "fp32")
    slow = {"encode": 0.05, "refine": 0.02}
    for name, seconds in slow.items():
        method = getattr(model, name)

        def slowed(*arguments, method=method, seconds=seconds):
            time.sleep(seconds)
            return method(*arguments)

        object.__setattr__(model, name, slowed)
    found = time_batch_stages(model, lambda: bench.batch(2), CPU, Deadline(0))
    assert found["encode"] >= 0.05
    assert found["refine"] >= 0.04  # of two images
    assert found["assemble"] < 0.02
    assert list(found) == ["preprocess", *STAGES]


def test_share_after_the_encoder():
    seconds = {"preprocess": 9.0, "look": 2.0, "encode": 6.0, "assemble": 0.5, "refine": 0.5, "label": 1.0}
    assert after_encoder_share(seconds) == 0.2


def test_the_first_run_warms_up():
    runs = iter((0.1, 0.0, 0.0))
    assert seconds_per_run(lambda: time.sleep(next(runs)), CPU, most=0) < 0.05


@pytest.mark.parametrize("method", ["SCLIP", pytest.param("DSLO", marks=pytest.mark.slow)])
def test_on_a_gpu_memory_and_waits_are_those_of_cuda(pretended_gpu, method):
    _, row = measure_throughput(pretended_gpu, Case(method, method, single=True), Deadline(60))
    assert (row["precision"], row["memory_mb"], row["waits"]) == ("fp16", 2, 0)
