"""Two processes are compared with one, and NCCL may refuse to share a GPU."""

import json
import math

import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.gpu_report import processes
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError
from mmseg_tfovss.profiling.gpu_report.processes import compare_processes

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def result(miou=50.0):
    scores = {"metrics": {"mIoU": miou}, "per_class": {"absent": {"IoU": math.nan}}, "num_images": 8}
    return json.loads(json.dumps(scores))


@pytest.fixture
def runs(monkeypatch):
    """The runs that were started; ``runs.answers`` has what each backend gives."""

    class Runs(list):
        def __init__(self):
            self.answers, self.left = {}, []

        def __call__(self, run, deadline):
            self.append(run)
            self.left.append(deadline.left())
            answer = self.answers.get(run.backend, result())
            if isinstance(answer, Exception):
                raise answer
            return answer, 1.5

    found = Runs()
    monkeypatch.setattr(processes, "result_of", found)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    return found


def test_on_a_cpu(runs, tmp_path):
    one, two = compare_processes(CPU, tmp_path, Deadline(60), scenes=8)
    assert (one["processes"], one["same"], two["processes"], two["same"]) == (1, None, 2, "yes")
    assert [(run.backend, run.cards, run.scenes) for run in runs] == [("", (), 8), ("gloo", (), 8)]


def test_nccl_and_gloo_on_one_gpu(runs, tmp_path):
    rows = list(compare_processes(GPU, tmp_path, Deadline(60)))
    assert [(row["backend"], row["cards"], row["same"]) for row in rows] == [
        (None, 1, None),
        ("nccl", 1, "yes"),
        ("gloo", 1, "yes"),
    ]


def test_a_refusal_of_nccl_is_a_remark(runs, tmp_path):
    runs.answers = {"nccl": RuntimeError("Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1b000")}
    _, told, row = compare_processes(GPU, tmp_path, Deadline(60))
    assert told == (
        "NCCL did not run two processes on one GPU, as is usual: Duplicate GPU detected : rank 0 and rank 1 both on"
        " CUDA device 1b000"
    )
    assert row["backend"] == "gloo"


def test_a_failure_of_nccl_on_two_gpus_is_one(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    runs.answers = {"nccl": RuntimeError("no.")}
    with pytest.raises(RuntimeError, match=r"^no\.$"):
        list(compare_processes(torch.device("cuda:1"), tmp_path, Deadline(60)))
    assert [run.cards for run in runs] == [(1,), (1, 0)]


def test_other_counts_are_a_failure_behind_their_row(runs, tmp_path):
    runs.answers = {"gloo": result(51.0)}
    found = compare_processes(CPU, tmp_path, Deadline(60))
    assert [next(found)["miou"], next(found)["same"]] == [50.0, "**no**"]
    with pytest.raises(ValueError, match=r"^Two processes over gloo count something else than one process\.$"):
        next(found)


def test_two_processes_do_not_start_when_one_took_longer_than_what_is_left(runs, tmp_path):
    found = compare_processes(CPU, tmp_path, Deadline(1))  # one took 1.5 seconds
    assert next(found)["processes"] == 1
    with pytest.raises(LeftOutError, match=r"^too little time was left for two processes; --minutes gives more\.$"):
        next(found)
    assert len(runs) == 1


def test_when_nccl_takes_too_long_gloo_has_the_other_half_of_the_time(runs, tmp_path):
    runs.answers = {"nccl": LeftOutError("the time was up.")}
    _, told, row = compare_processes(GPU, tmp_path, Deadline(60))
    assert told == "NCCL was left out: the time was up."
    assert row["backend"] == "gloo"
    runs.answers["gloo"] = runs.answers["nccl"]
    with pytest.raises(LeftOutError):
        list(compare_processes(GPU, tmp_path, Deadline(60)))
    assert [round(left) for left in runs.left] == [60, 30, 60] * 2


def test_the_backend_is_a_setting_of_configs():
    config = load_config("sclip_vit-pocket_pocket_all", {"env_cfg.dist_cfg.backend": "gloo"})
    assert config.env_cfg.dist_cfg == {"backend": "gloo"}


@pytest.mark.slow
def test_they_really_count_the_same(tmp_path):
    one, two = compare_processes(CPU, tmp_path, Deadline(120), scenes=6)
    assert one["images"] == two["images"] == 6
    assert two["same"] == "yes"
