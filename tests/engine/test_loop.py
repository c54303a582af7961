"""The test loop over images that cost nothing."""

import errno
import os
import re
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.evaluator import Evaluator

from mmseg_tfovss.engine import loop as loop_module
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.peers import PeerError, Peers
from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.engine.signals import StoppedError
from mmseg_tfovss.evaluation import SegmentationMetric, metric
from mmseg_tfovss.profiling.pretend import PRETEND, pretend_device
from mmseg_tfovss.registry import METRICS
from mmseg_tfovss.vocabulary.classes import parse_classes
from tests.engine.fakes import CLASSES, FakeImages, scores_of


@pytest.fixture
def signalled(monkeypatch):
    """Send this process a signal while the n-th image is counted."""

    def arm(number, after):
        process, calls = SegmentationMetric.process, []

        def counting(self, *arguments):
            process(self, *arguments)
            calls.append(1)
            if len(calls) == after:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(SegmentationMetric, "process", counting)

    return arm


def test_all_images_are_loaded_once(session):
    loop = session()
    loop.run()
    assert loop.dataloader.dataset.loaded == list(range(41))
    assert loop.total.images == loop.metric.total_images == 41


def test_a_signal_keeps_everything_up_to_the_batch_and_the_rest_is_done_later(session, signalled, caplog):
    whole = session(resume=False)
    whole.run()
    whole.state.forget()
    signalled(signal.SIGUSR1, after=7)
    stopped = session()
    with pytest.raises(StoppedError, match="stopped by SIGUSR1"):
        stopped.run()
    assert f"stopped by SIGUSR1; 14 of 41 images are kept in {stopped.state.path}: --resume goes on" in caplog.text
    rest = session()
    rest.run()
    assert rest.dataloader.dataset.loaded == list(range(14, 41))
    assert rest.earlier_batches == 7
    assert scores_of(rest) == scores_of(whole)
    assert rest.total.earlier_seconds > 0


def test_a_complete_state_loads_nothing(session):
    first = session()
    first.begin()
    first.run()
    again = session()
    again.begin()
    again.run()
    assert again.dataloader.dataset.loaded == []
    assert scores_of(again) == scores_of(first)
    assert 0 < again.total.earlier_seconds <= first.total.seconds  # of the state, which was written before the end


def test_a_run_by_mmengines_runner_leaves_no_state(session):
    """Nobody would resume it, and the next run would be told of it."""
    loop = session()
    loop.run()
    assert not loop.state.path.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_loading_processes_load_the_rest_only(session, signalled, workers):
    signalled(signal.SIGTERM, after=10)
    loop = session()
    with pytest.raises(StoppedError):
        loop.run()
    rest = session(workers=workers)
    rest.run()
    assert (rest.total.images, len(rest.batches)) == (41, 11)


def test_a_signal_that_ends_the_loading_processes_too_is_a_signal(session, monkeypatch):
    """As from a terminal or a scheduler, to the whole process group; torch reports the others' end as an error."""

    def killed(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated.")

    monkeypatch.setattr(ResumableTestLoop, "run_iter", killed)
    with pytest.raises(StoppedError, match="SIGTERM"):
        session().run()


def test_states_are_written_every_so_many_images_or_seconds(session, monkeypatch):
    for options, expected in (({"save_images": 10, "save_seconds": 99}, 4), ({"save_seconds": 0}, 21)):
        loop = session(resume=False, **options)
        loop.begin()
        written = []
        monkeypatch.setattr(loop.state, "write", written.append)
        loop.run()
        assert len(written) == expected + 1  # and when all is done
        counts = [part.images for part in written]
        assert counts == sorted(counts)
        assert counts[-1] == 41
        assert all(part.confusion.sum() == 16 * part.images for part in written)


def test_an_error_keeps_the_state_and_names_it(session, monkeypatch, caplog):
    images = FakeImages(session().state.path.parent / "data", 41)
    load = FakeImages.__getitem__

    def vanished(self, idx):
        if idx == 20:
            raise FileNotFoundError("The image 20.png does not exist.")
        return load(self, idx)

    monkeypatch.setattr(FakeImages, "__getitem__", vanished)
    with pytest.raises(FileNotFoundError, match=r"20\.png"):
        session(images=images).run()
    assert "20 of 41 images are kept" in caplog.text
    monkeypatch.undo()
    rest = session()
    rest.run()
    assert rest.dataloader.dataset.loaded == list(range(20, 41))


def test_a_full_disk_is_a_warning_and_the_run_goes_on(session, monkeypatch, caplog):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    loop = session(save_images=4)
    loop.begin()
    tried = []
    monkeypatch.setattr(np, "savez_compressed", lambda *given, **kwargs: (tried.append(1), full()))
    loop.run()
    assert loop.metric.total_images == 41
    assert len(tried) == 41 // 4 + 1  # as often as when it is not full
    assert caplog.text.count("warning: the state could not be written, the one before it stays") == 1
    assert "No space left on device" in caplog.text


def test_an_error_in_the_middle_of_a_batch_counts_none_of_it(session, monkeypatch):
    whole = session(resume=False)
    whole.run()
    whole.state.forget()
    count, left = metric.confusion_counts, [8]

    def broken(*given):
        left[0] -= 1
        if left[0] < 0:
            raise ValueError("A label lies outside the classes.")
        return count(*given)

    for images in (7, 20):  # both the second of a batch
        left[0] = images
        monkeypatch.setattr(metric, "confusion_counts", broken)
        with pytest.raises(ValueError, match="outside the classes"):
            session().run()
        monkeypatch.setattr(metric, "confusion_counts", count)
    rest = session()
    rest.run()
    assert scores_of(rest) == scores_of(whole)


def test_what_cannot_be_saved_does_not_hide_the_error(session, monkeypatch, caplog):
    loop = session()
    loop.begin()

    def broken(*_):
        monkeypatch.setattr(loop.state, "write", lambda _: (_ for _ in ()).throw(RuntimeError("CUDA error: lost")))
        raise FileNotFoundError("The image 3.png does not exist.")

    monkeypatch.setattr(loop, "run_iter", broken)
    with pytest.raises(FileNotFoundError, match=r"3\.png"):
        loop.run()
    assert "the state could not be written, the one before it stays: CUDA error: lost" in caplog.text


def test_the_failure_of_another_process_ends_this_one(session, monkeypatch):
    loop = session()
    loop.begin()
    looks = []

    def look(_):
        looks.append(1)
        if len(looks) == 3:
            raise PeerError("Process 1 of this run has failed: no such image")

    monkeypatch.setattr(Peers, "check", look)
    with pytest.raises(PeerError, match="no such image"):
        loop.run()
    rest = session()
    rest.begin()
    assert rest.part.images == 6


def test_a_loading_process_that_was_killed_is_told(session, monkeypatch):
    def killed(*_):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(ResumableTestLoop, "run_iter", killed)
    with pytest.raises(ValueError, match=r"is killed by signal: Killed\..* set test_dataloader\.num_workers=0"):
        session().run()


def test_other_processes_begin_with_nothing_of_earlier_sessions(session, signalled, monkeypatch):
    """The first process's part has it all: twice would be too much."""
    signalled(signal.SIGTERM, after=5)
    with pytest.raises(StoppedError):
        session().run()
    monkeypatch.setattr(loop_module, "is_main_process", lambda: False)
    other = session()
    other.begin()
    assert (other.part.images, other.part.batches.tolist(), other.part.confusion.sum()) == (0, [], 0)


@pytest.mark.parametrize("option", [{"save_images": 0}, {"save_seconds": -1}, {"save_images": "abc"}])
def test_settings_out_of_range_are_refused(session, option):
    with pytest.raises(ValueError, match=r"test_cfg\.save_images must be at least 1"):
        session(**option)


def test_mixed_precision_that_no_result_would_show_is_refused(session):
    with pytest.raises(ValueError, match=r"test_cfg\.fp16 is not recorded in results: set model\.precision=fp16"):
        session(fp16=True)


def test_metrics_that_cannot_be_resumed_are_refused(session):
    built = [METRICS.build({"type": "SegmentationMetric"}), METRICS.build({"type": "mmseg.IoUMetric"})]
    with pytest.raises(ValueError, match="must be one SegmentationMetric"):
        session(evaluator=Evaluator(built))


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (("a", "c", "b", "d", "e"), {}, "class 1 of the dataset is 'b', but line 2 of words.txt is 'c'"),
        (("a", "b"), {}, "words.txt has 2 classes, but the dataset FakeImages has 5"),
        (CLASSES, {"prob_threshold": 0.1}, 'class 0 of the dataset FakeImages is "a": set it to 0'),
        (CLASSES, {"area_threshold": 0.1}, "area_threshold=0.1 makes class 0 the background"),
    ],
)
def test_words_that_are_not_the_datasets_are_refused(words, settings, message, session, fake_runner, monkeypatch):
    """By MMEngine's own runner too, which knows no check before the run."""
    head = SimpleNamespace(vocabulary=parse_classes(words, "words.txt"), **settings)
    monkeypatch.setattr(fake_runner.model, "decode_head", head, raising=False)
    with pytest.raises(ValueError, match=re.escape(message)):
        session().run()
    if len(words) == len(CLASSES):
        monkeypatch.setattr(fake_runner, "cfg", Config({**fake_runner.cfg, "force_vocabulary": True}))
        session().begin()


def test_the_loop_waits_for_a_device_once_in_a_batch(session, monkeypatch):
    """Checks, counts and progress together; and a few times in a run, for the state and the scores."""
    loop = session(save_images=1000, save_seconds=1000.0)
    test_step, batches = loop.runner.model.test_step, len(loop.batches)
    monkeypatch.setattr(loop.runner, "_hooks", [*loop.runner._hooks, ProgressHook()])
    with pretend_device() as device:

        def on_the_device(data):
            for sample in test_step(data):
                sample.pred_sem_seg.data = sample.pred_sem_seg.data.to(PRETEND, non_blocking=True)
            return data["data_samples"]

        monkeypatch.setattr(loop.runner.model, "test_step", on_the_device)
        loop.run()
    by_batch = [sync for sync in device.syncs if sync.place.startswith("deferred.py")]
    assert len(by_batch) == batches
    assert len(device.syncs) - batches <= 6
