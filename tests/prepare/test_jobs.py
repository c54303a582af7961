"""Jobs: every file whole or absent, whatever ends the run."""

import errno
import multiprocessing
import os
import re
import select
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.prepare import jobs as module
from mmseg_tfovss.prepare import workers as processes
from mmseg_tfovss.prepare.jobs import Job, UnreadableError, remove_leftovers, run_jobs

BOTH = pytest.mark.parametrize("workers", [1, 2])
DEADLINE = 20.0


def turned(content, suffix=b""):
    return content[::-1] + suffix


def fails_on_b3(content):
    if content == b"b3":
        raise ValueError("not a label map.")
    return content


def fails_on_even_numbers(content):
    if content in (b"b0", b"b2", b"b4", b"b6", b"b8"):
        raise TypeError("odd")
    return content


def fails_as_pillow_does(content):
    raise OSError("cannot identify image file")


def process_id(content):
    return str(os.getpid()).encode()


def opencv_threads(content):
    return str(cv2.getNumThreads()).encode()


def ends_on_b3(content, kind):
    """As damaged files end a process from inside a library: by a signal, or without one."""
    if content == b"b3":
        if kind == 0:
            os._exit(3)
        os.kill(os.getpid(), kind)
    return content


def hangs_on_b3(content):
    if content == b"b3":
        time.sleep(DEADLINE)
    return content


def is_greedy_on_b3(content):
    return content if content != b"b3" else bytes(2 * processes.MEMORY)


def new_jobs(folder, count=20, convert=None):
    return (Job(folder / f"{i}.bin", f"a.zip: b/{i}", b"b%d" % i, convert) for i in range(count))


def run(jobs, workers, total=20):
    return run_jobs(jobs, total=total, workers=workers, title="images")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


def whole(count=20):
    return {f"{i}.bin": b"b%d" % i for i in range(count)}


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@BOTH
def test_all_files_are_written(workers, tmp_path, capfd):
    assert run(new_jobs(tmp_path / "new" / "folder"), workers) == 20
    assert contents(tmp_path / "new" / "folder") == whole()
    assert capfd.readouterr() == ("", "")


@BOTH
def test_contents_are_converted(workers, tmp_path):
    jobs = [
        Job(tmp_path / "a", "a", b"abc", turned),
        Job(tmp_path / "b", "b", b"abc", partial(turned, suffix=b"!")),
        Job(tmp_path / "c", "c", b"abc"),
    ]
    assert run(jobs, workers) == 3
    assert contents(tmp_path) == {"a": b"cba", "b": b"cba!", "c": b"abc"}


@BOTH
def test_no_jobs_write_nothing(workers, tmp_path):
    assert run([], workers, total=0) == 0


@BOTH
def test_files_that_are_there_are_replaced(workers, tmp_path):
    (tmp_path / "3.bin").write_bytes(b"old")
    run(new_jobs(tmp_path), workers)
    assert contents(tmp_path) == whole()


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", None, True])
def test_number_of_workers_is_checked(workers, tmp_path):
    with pytest.raises(ValueError, match="workers must be a positive integer, but got"):
        run(new_jobs(tmp_path), workers)
    assert contents(tmp_path) == {}


def test_contents_are_converted_in_other_processes_which_serve_many(tmp_path):
    run(new_jobs(tmp_path / "one", convert=process_id), 1)
    run(new_jobs(tmp_path / "two", convert=process_id), 2)
    own = str(os.getpid()).encode()
    for folder, most in (("one", 1), ("two", 2)):
        found = set(contents(tmp_path / folder).values())
        assert own not in found
        assert 1 <= len(found) <= most


def test_one_worker_writes_what_needs_no_conversion_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("a process"))
    run(new_jobs(tmp_path), 1)
    assert contents(tmp_path) == whole()


def test_processes_begin_before_the_threads_of_the_bar(tmp_path, monkeypatch):
    forked = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: forked.append(threading.active_count()) or fork())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    before = threading.active_count()
    run(new_jobs(tmp_path), 2)
    assert forked == [before, before]


@pytest.fixture
def opencv_with_threads():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    blurred()
    yield
    cv2.setNumThreads(threads)


def blurred():
    cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.uint8), (9, 9), 3)


def test_opencv_that_had_threads_does_not_hang_in_a_worker(opencv_with_threads):
    worker = multiprocessing.get_context("fork").Process(target=lambda: (processes.prepare_process(), blurred()))
    worker.start()
    worker.join(DEADLINE)
    worker.kill()
    worker.join()
    assert worker.exitcode == 0


def test_opencv_has_one_thread_in_each_process(opencv_with_threads, tmp_path):
    run(new_jobs(tmp_path, convert=opencv_threads), 2)
    assert set(contents(tmp_path).values()) == {b"1"}


@pytest.mark.parametrize(("workers", "limit"), [(1, 0), (2, 3)])
def test_only_a_few_contents_are_in_memory(workers, limit, tmp_path):
    in_flight = []

    def drawn():
        for i, job in enumerate(new_jobs(tmp_path, 50)):
            in_flight.append(i - sum(not file.name.startswith(".") for file in tmp_path.iterdir()))
            yield job

    run(drawn(), workers, 50)
    assert max(in_flight) <= limit


@BOTH
def test_content_that_cannot_be_converted_is_named_and_the_others_are_made(workers, tmp_path):
    with pytest.raises(ValueError, match=r"^a\.zip: b/3: not a label map\.$"):
        run(new_jobs(tmp_path, convert=fails_on_b3), workers)
    expected = whole()
    del expected["3.bin"]
    assert contents(tmp_path) == expected


@BOTH
def test_several_that_cannot_be_converted_are_one_sentence(workers, tmp_path):
    with pytest.raises(UnreadableError) as caught:
        run(new_jobs(tmp_path, convert=fails_on_even_numbers), workers)
    assert not caught.value.many
    reason = r"the file cannot be converted \(TypeError: odd\)"
    named = "; ".join([rf"a\.zip: b/[02468]: {reason}"] * 3)
    assert re.fullmatch(
        rf"5 files cannot be converted, and all others were made: {named}; and 2 more\.", sentence(caught.value)
    )
    assert len(contents(tmp_path)) == 15


@BOTH
def test_after_many_that_cannot_be_converted_the_rest_is_not_tried(workers, tmp_path):
    with pytest.raises(UnreadableError, match=r"^10 files cannot be converted, and the rest was not tried: a"):
        run(new_jobs(tmp_path, 1000, fails_as_pillow_does), workers, 1000)
    assert contents(tmp_path) == {}


@BOTH
def test_error_of_the_archive_passes(workers, tmp_path):
    def damaged():
        yield from new_jobs(tmp_path, 3)
        raise ValueError("The archive is damaged.")

    with pytest.raises(ValueError, match="The archive is damaged"):
        run(damaged(), workers)
    assert contents(tmp_path).items() <= whole(3).items()


@BOTH
def test_full_disk_names_the_file_and_leaves_no_half(workers, tmp_path, monkeypatch):
    def write_half(path, content):
        path.open("wb").write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match="No space left") as caught:
        run(new_jobs(tmp_path), workers)
    assert re.fullmatch(rf"{tmp_path}/\d+\.bin: No space left on device\.", sentence(caught.value))
    assert contents(tmp_path) == {}


@BOTH
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (signal.SIGSEGV, "it crashes the program that reads it (signal 11, SIGSEGV): the file is damaged or hostile."),
        (signal.SIGABRT, "it crashes the program that reads it (signal 6, SIGABRT): the file is damaged or hostile."),
        (signal.SIGKILL, "its process was killed twice, most often because memory ran out: run again with fewer"),
        (0, "it ends the program that reads it (exit code 3): the file is damaged or hostile."),
    ],
)
def test_content_that_kills_its_process_is_named_and_the_others_are_made(kind, reason, workers, tmp_path, capfd):
    with pytest.raises(UnreadableError) as caught:
        run(new_jobs(tmp_path, convert=partial(ends_on_b3, kind=kind)), workers)
    assert sentence(caught.value).startswith(f"a.zip: b/3: {reason}")
    expected = whole()
    del expected["3.bin"]
    assert contents(tmp_path) == expected
    assert capfd.readouterr() == ("", "")
    assert not multiprocessing.active_children()


@BOTH
def test_content_whose_conversion_never_ends_is_named_and_the_others_are_made(workers, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "SECONDS", 0.3)
    with pytest.raises(UnreadableError, match=r"^a\.zip: b/3: its conversion takes longer than 0\.3 seconds: the file"):
        run(new_jobs(tmp_path, convert=hangs_on_b3), workers)
    assert len(contents(tmp_path)) == 19


def test_content_whose_conversion_takes_too_much_memory_is_named(tmp_path):
    with pytest.raises(UnreadableError, match=r"^a\.zip: b/3: its conversion needs more than 2\.0 GB of memory\.$"):
        run(new_jobs(tmp_path, convert=is_greedy_on_b3), 1)
    assert len(contents(tmp_path)) == 19


def test_idle_processes_that_die_are_replaced(tmp_path):
    def idle():
        jobs = new_jobs(tmp_path)
        for _ in range(10):
            yield next(jobs)
        wait_until(lambda: len([path for path in tmp_path.rglob("*") if path.is_file()]) >= 8)
        for child in multiprocessing.active_children():
            child.kill()
            child.join()
        yield from jobs

    assert run(idle(), 2) == 20
    assert contents(tmp_path) == whole()


def test_target_can_be_a_link(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    assert run([Job(tmp_path / "new/a", "source", b"", link=source)], 1, 1) == 1
    assert (tmp_path / "new/a").readlink() == source
    assert contents(tmp_path / "new") == {"a": b"abc"}


def test_file_system_without_links_gets_a_copy(tmp_path, monkeypatch):
    def refuse(path, target):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    source = tmp_path / "source"
    source.write_bytes(b"abc")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    run([Job(tmp_path / "new/a", "source", b"", link=source)], 1, 1)
    assert not (tmp_path / "new/a").is_symlink()
    assert contents(tmp_path / "new") == {"a": b"abc"}


@BOTH
def test_interruption_keeps_what_is_finished(workers, tmp_path):
    def interrupted():
        yield from new_jobs(tmp_path, 10)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted(), workers)
    assert contents(tmp_path).items() <= whole().items()
    assert run(new_jobs(tmp_path), workers) == 20
    assert contents(tmp_path) == whole()


class Run:
    """A run in its own group of processes, which stops in the middle of writing its tenth file."""

    def __init__(self, folder, workers, pause=2 * DEADLINE):
        self._marker = folder.with_name("marker")
        self._alive, ours = os.pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=self._run, args=(folder, workers, pause))
        self._process.start()
        os.close(ours)  # from now on only the run's processes have it open
        wait_until(self._marker.exists)

    def _run(self, folder, workers, pause):
        os.setsid()
        write = Path.write_bytes

        def write_half(path, content):
            if content != b"b9":
                write(path, content)
                return
            write(path, content[:1])
            self._marker.touch()
            time.sleep(pause)
            write(path, content)

        Path.write_bytes = write_half
        try:
            run(new_jobs(folder), workers)
        except KeyboardInterrupt:
            os._exit(130)

    def end(self, kind, to_all=False):
        """Send a signal and wait until all processes are gone."""
        (os.killpg if to_all else os.kill)(self._process.pid, kind)
        self._process.join(DEADLINE)
        readable, _, _ = select.select([self._alive], [], [], DEADLINE)
        os.close(self._alive)
        assert readable, "processes are left behind"
        return self._process.exitcode


@BOTH
@pytest.mark.parametrize("to_all", [False, True])
def test_kill_in_the_middle_of_a_file_leaves_no_half_and_the_next_run_completes(workers, to_all, tmp_path):
    folder = tmp_path / "out"
    assert Run(folder, workers).end(signal.SIGKILL, to_all) == -signal.SIGKILL
    finished = {name: content for name, content in contents(folder).items() if not name.startswith(".")}
    assert finished
    assert finished.items() <= whole().items()
    scratch = [file for file in folder.iterdir() if file.name.startswith(".")]
    assert any(file.name.startswith(".9.") for file in scratch)

    assert run(new_jobs(folder), 2) == 20
    for file in scratch:
        os.utime(file, (0, 0))
    assert remove_leftovers([folder]) == len(scratch)
    assert contents(folder) == whole()


@BOTH
def test_control_c_ends_all_processes_and_leaves_no_half(workers, tmp_path, capfd):
    folder = tmp_path / "out"
    interrupted = Run(folder, workers, pause=0.5)
    others = 9 if workers == 1 else 19  # then the second worker is idle
    wait_until(lambda: len(whole().keys() & {file.name for file in folder.iterdir()}) == others)
    assert interrupted.end(signal.SIGINT, to_all=True) == 130
    found = contents(folder)
    assert found.items() <= whole().items()
    assert len(found) >= others
    assert capfd.readouterr() == ("", "")


@BOTH
def test_bar_is_on_stderr_of_a_terminal(workers, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    run(new_jobs(tmp_path), workers)
    captured = capsys.readouterr()
    assert "images" in captured.err
    assert "20/20" in captured.err
    assert captured.out == ""


def new_file(path, hours):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (time.time() - 3600 * hours,) * 2)
    return path


def test_old_leftovers_are_deleted(tmp_path):
    for name in (".1.4711.png", "b/.x.y.12.tar", "b/.x.12"):
        new_file(tmp_path / name, 1.01)
    kept = [".1.4712.png", "1.4711.png", ".hidden", ".hidden.png", ".12.png", "b/deep/.1.4711.png", "..12"]
    for name, hours in zip(kept, [0.99, 2, 2, 2, 2, 2, 2], strict=True):
        new_file(tmp_path / name, hours)
    (tmp_path / ".link.12.png").symlink_to(tmp_path / ".hidden")
    new_file(tmp_path / ".folder.12.png" / "x", 2)
    os.utime(tmp_path / ".folder.12.png", (0, 0))
    assert remove_leftovers([tmp_path, tmp_path / "b", tmp_path / "none"]) == 3
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if not file.is_dir()}
    assert left == {*kept, ".link.12.png", ".folder.12.png/x"}


def test_leftovers_are_recognised_by_the_name_that_whole_file_gives(tmp_path):
    for name in ("a.png", "a", "a.b.tar.gz", ".a", "a b.png"):
        with module.whole_file(tmp_path / name) as scratch:
            scratch.touch()
            os.utime(scratch, (0, 0))
            assert remove_leftovers([tmp_path]) == 1
            scratch.touch()
