import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mmseg_tfovss.cluster import local_list
from mmseg_tfovss.cluster.local_list import LOG_NAME, RunningList, clock
from mmseg_tfovss.cluster.run_list import PlannedRun
from mmseg_tfovss.engine.signals import StoppedError

SAVES = 'trap "echo saved; exit 143" TERM; touch started; while :; do sleep 0.05; done'
IGNORES = 'trap "" TERM; touch started; while :; do sleep 0.05; done'


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(local_list, "_LOOK_EVERY", 0.02)


def plan(folder, *names, pixels=1.0):
    return [PlannedRun(Path(f"{name}.py"), name, folder / name, pixels) for name in names]


def work(runs, commands, processes=2, gpus=()):
    """Failures and lines of a list whose runs are shell commands, each started in its run's folder."""
    lines = []

    def command(run):
        script = commands if isinstance(commands, str) else commands[run.name]
        return ["sh", "-c", f"cd '{run.folder}'; {script}"]

    failures = RunningList(runs, command, processes, lines.append, gpus).work()
    return failures, lines


def test_one_failure_does_not_stop_the_others(tmp_path):
    runs = plan(tmp_path, "a", "b", "c")
    failures, lines = work(runs, {"a": "echo one", "b": "echo starting; echo 'error: no data.'; exit 1", "c": "echo x"})
    assert [(failure.name, failure.reason) for failure in failures] == [("b", "no data. (exit code 1)")]
    assert failures[0].log == tmp_path / "b" / LOG_NAME
    assert (tmp_path / "a" / LOG_NAME).read_text() == "one\n"
    assert (tmp_path / "c" / LOG_NAME).exists()
    assert len(lines) == 3
    assert lines[0].startswith("[1/3] ")
    assert any("b: FAILED after 0:00:0" in line for line in lines)
    assert lines[-1].startswith("[3/3] ")


def test_reasons_are_of_this_start_and_name_signals(tmp_path):
    runs = plan(tmp_path, "a", "b", "c")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / LOG_NAME).write_text("error: of yesterday\n")
    failures, _ = work(runs, {"a": "exit 3", "b": "kill -9 $$", "c": "echo Traceback; echo KeyError; exit 1"})
    reasons = {failure.name: failure.reason for failure in failures}
    assert reasons == {"a": "exit code 3", "b": "ended by SIGKILL", "c": "KeyError (exit code 1)"}
    assert (tmp_path / "a" / LOG_NAME).read_text().startswith("error: of yesterday\n")


def test_a_run_that_cannot_start_is_one_failure(tmp_path):
    (tmp_path / "a").write_text("a file where the folder should be")
    failures, _ = work(plan(tmp_path, "a", "b"), "echo")
    assert [failure.name for failure in failures] == ["a"]
    assert "File exists" in failures[0].reason


def test_no_more_processes_than_asked_for(tmp_path):
    script = "touch ../$$.now; ls .. | grep -c now$; sleep 0.1; rm ../$$.now"  # others may end while this looks
    runs = plan(tmp_path, *"abcde")
    work(runs, script, processes=2)
    counts = [int((run.folder / LOG_NAME).read_text()) for run in runs]
    assert max(counts) == 2


def test_each_process_has_its_share_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
    runs = plan(tmp_path, *"abc")
    work(runs, 'echo "$OMP_NUM_THREADS $CUDA_VISIBLE_DEVICES"; sleep 0.3', processes=3, gpus=["4", "6"])
    assert sorted((run.folder / LOG_NAME).read_text() for run in runs) == ["2 4\n", "2 4\n", "2 6\n"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    work(plan(tmp_path, "d"), 'echo "$OMP_NUM_THREADS"', processes=3)
    assert (tmp_path / "d" / LOG_NAME).read_text() == "5\n"


def test_time_left_goes_by_pixels(tmp_path, monkeypatch):
    light, heavy = plan(tmp_path, "light", pixels=1.0), plan(tmp_path, "heavy", pixels=100.0)
    _, lines = work([*light, *heavy], {"light": "sleep 0.5", "heavy": "exit 0"}, processes=1)
    minutes, seconds = lines[0].removesuffix(" left").split(":")[-2:]
    assert 50 <= int(minutes) * 60 + int(seconds) <= 200  # a hundred times half a second, or more on a busy machine
    assert " left" not in lines[1]


def test_unknown_sizes_count_runs(tmp_path):
    runs = [*plan(tmp_path, "a", pixels=float("inf")), *plan(tmp_path, "b")]
    _, lines = work(runs, "true", processes=1)
    assert lines[0].endswith("; 0:00:00 left")


def test_nothing_is_said_of_the_time_after_failures_only(tmp_path):
    _, lines = work(plan(tmp_path, "a", "b"), "false", processes=1)
    assert not any("left" in line for line in lines)


def test_clock():
    assert clock(3723.4) == "1:02:03"


def test_processes_must_be_one_at_least(tmp_path):
    with pytest.raises(ValueError, match="--local must be at least 1"):
        RunningList([], lambda run: [], 0, print)


def send_when_started(path, *numbers):
    """One after the other: a timer of its own would be too early on a busy machine, and end another test later."""

    def wait():
        for _ in range(500):
            if path.exists():
                break
            time.sleep(0.02)
        else:
            return
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(1)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, StoppedError), (signal.SIGHUP, KeyboardInterrupt)],
)
def test_what_runs_is_told_to_save_and_the_rest_is_not_started(tmp_path, number, error):
    before = signal.getsignal(number)
    send_when_started(tmp_path / "a" / "started", number)
    with pytest.raises(error):
        work(plan(tmp_path, "a", "b"), SAVES, processes=1)
    assert (tmp_path / "a" / LOG_NAME).read_text() == "saved\n"
    assert not (tmp_path / "b").exists()
    assert signal.getsignal(number) == before


def test_a_run_that_does_not_stop_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(local_list, "_PATIENCE", 0.2)
    send_when_started(tmp_path / "a" / "started", signal.SIGINT)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work(plan(tmp_path, "a"), IGNORES, processes=1)
    assert time.monotonic() - started < 10


def test_a_second_interrupt_does_not_wait(tmp_path):
    send_when_started(tmp_path / "a" / "started", signal.SIGINT, signal.SIGINT)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work(plan(tmp_path, "a"), IGNORES, processes=1)
    assert time.monotonic() - started < 20  # a run has 60 seconds for its state
