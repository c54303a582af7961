"""Processes are started as torchrun would, and their last word is found."""

import sys
import time

import pytest

from mmseg_tfovss.profiling.gpu_report import launching
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError
from mmseg_tfovss.profiling.gpu_report.launching import Run, last_word, result_of, visible_cards


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """A run of two processes that do what a script says."""

    def make(script):
        monkeypatch.setattr(Run, "command", lambda self: [sys.executable, "-c", f"import os, sys, time\n{script}"])
        return Run(tmp_path / "run", 2, "gloo")

    monkeypatch.setattr(launching, "_PATIENCE", 0.2)
    monkeypatch.setattr(launching, "_LOOK_EVERY", 0.02)
    return make


def test_the_command_names_backend_and_scenes(tmp_path):
    one, two = Run(tmp_path, cards=(0,)), Run(tmp_path, 2, "gloo", (0,), scenes=8)
    assert one.command()[-4:] == ["--launcher", "none", "--cfg-options", "test_dataloader.dataset.subset=40"]
    assert two.command()[-5:] == [
        "--launcher",
        "pytorch",
        "--cfg-options",
        "test_dataloader.dataset.subset=8",
        "env_cfg.dist_cfg.backend=gloo",
    ]


def test_processes_share_a_gpu_or_take_one_each(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    names = ("CUDA_VISIBLE_DEVICES", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")

    def environments(cards):
        run = Run(tmp_path, 2, "nccl", cards)
        return [tuple(run.environment(rank, 29).get(name) for name in names) for rank in range(2)]

    assert environments((1,)) == [("1", "0", "0", "2", "29"), ("1", "1", "0", "2", "29")]
    assert environments((1, 0)) == [("1,0", "0", "0", "2", "29"), ("1,0", "1", "1", "2", "29")]
    assert environments(()) == [("", "0", "0", "2", "29"), ("", "1", "0", "2", "29")]


def test_gpus_keep_the_names_that_this_process_has_for_them(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    assert visible_cards((1, 0)) == ["GPU-5", "3"]


def test_the_result_is_read(scripted, tmp_path):
    run = scripted("open('run/result.json', 'w').write('{\"a\": 1}')")
    result, seconds = result_of(run, Deadline(60))
    assert result == {"a": 1}
    assert seconds > 0


def test_one_failure_ends_both(scripted):
    run = scripted("if os.environ['RANK'] == '0': sys.exit('error: no.')\ntime.sleep(60)")
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"^error: no\.$"):
        result_of(run, Deadline(60))
    assert time.perf_counter() - start < 20


def test_what_hangs_is_ended(scripted, monkeypatch):
    monkeypatch.setattr(launching, "_MOST", 0.1)
    with pytest.raises(RuntimeError, match=r"^The run took more than 0 seconds, and was ended\.$"):
        result_of(scripted("time.sleep(60)"), Deadline(60))


def test_a_run_is_ended_when_the_report_s_time_is_up(scripted):
    start = time.perf_counter()
    with pytest.raises(LeftOutError, match=r"^the time was up before 2 processes over gloo had ended; --minutes gives"):
        result_of(scripted("time.sleep(60)"), Deadline(0.1))
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("log", "word"),
    [
        (
            "a\nDuplicate GPU detected : rank 0 and rank 1\nRuntimeError: b\nerror: c\n",
            "Duplicate GPU detected : rank 0 and rank 1",
        ),
        ("ValueError: a\nerror: b\nc\n", "error: b"),
        ("ValueError: a\n\n", "ValueError: a"),
        ("a\n  b \n", "b"),
        ("\n", "it ended without a word."),
    ],
)
def test_last_word(log, word):
    assert last_word(log) == word
