"""A test loop that can be interrupted at any moment, and goes on where it was."""

import itertools
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import get_rank, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop
from torch import Tensor

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.engine.batches import FixedBatches
from mmseg_tfovss.engine.dataset_files import DatasetFiles, dataset_files, told
from mmseg_tfovss.engine.distributed import share_first
from mmseg_tfovss.engine.fit_ahead import fit_while_loading
from mmseg_tfovss.engine.identity import run_identity, unwrapped
from mmseg_tfovss.engine.peers import Peers
from mmseg_tfovss.engine.provenance import device_name, peak_memory_mb
from mmseg_tfovss.engine.signals import StoppedError, StopSignals
from mmseg_tfovss.engine.state import Part, StateFolder
from mmseg_tfovss.engine.words import check_words_of
from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.registry import LOOPS

_OWN_SHARING = ("sampler", "batch_sampler", "shuffle", "drop_last")  # settings that the loop replaces
_Counted = tuple[Tensor | None, int, int]  # counts, images, and batches of this session: always in step
_logger = logging.getLogger(__name__)


class ChangedFilesError(ValueError):
    """Files of the dataset have changed between the start of a run and the counting of their images."""


@LOOPS.register_module()
class ResumableTestLoop(TestLoop):
    """MMEngine's test loop over fixed batches, whose counts are written every few images, and when it is stopped.

    Args:
        runner: its ``work_dir`` gets a folder ``state``.
        dataloader: settings; every image is handed out once, whatever sampler they name.
        evaluator: settings of a ``SegmentationMetric``, or the evaluator.
        save_images: write the state after this many images of a process ...
        save_seconds: ... or this much time, whichever is first.
        resume: go on from the state that is there.
        restart_changed: begin anew if that state belongs to another run, instead of refusing.
        fp16: MMEngine's; must stay False, for ``model.precision`` says what a number was made with.

    Attributes:
        total: after :meth:`run`, on the first process: what all sessions took.
        dataset: after :meth:`begin`, the dataset's files and what they held.

    Raises:
        ValueError: a setting out of range, or a metric that cannot be resumed.
    """

    total: Part
    dataset: DatasetFiles

    def __init__(
        self,
        runner: Runner,
        dataloader: Mapping[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[dict[str, Any]],
        save_images: int = 50,
        save_seconds: float = 30.0,
        resume: bool = False,
        restart_changed: bool = False,
        fp16: bool = False,
    ) -> None:
        numbers = isinstance(save_images, int) and isinstance(save_seconds, int | float)
        if not numbers or save_images < 1 or save_seconds < 0:
            raise ValueError(
                "test_cfg.save_images must be at least 1 and test_cfg.save_seconds at least 0, but got"
                f" {save_images!r} and {save_seconds!r}."
            )
        if fp16:
            raise ValueError("test_cfg.fp16 is not recorded in results: set model.precision=fp16 instead.")
        settings = {key: value for key, value in dataloader.items() if key not in _OWN_SHARING}
        settings |= {"sampler": {"type": "DefaultSampler", "shuffle": False}, "batch_sampler": {"type": FixedBatches}}
        settings.setdefault("pin_memory", torch.cuda.is_available())  # pixels then go to a GPU without a wait
        super().__init__(runner, settings, evaluator)
        if runner._load_from not in (None, "none"):
            raise ValueError(
                f"The checkpoint {runner._load_from} has no effect: nothing is trained here, and the weights are"
                " model.backbone.pretrained. Leave load_from out, or give 'none'."
            )
        runner._load_from = None
        unwrapped(runner.model).cfg = runner.cfg
        fit_while_loading(self.dataloader, unwrapped(runner.model))
        self.save_images, self.save_seconds = save_images, save_seconds
        self.resume, self.restart_changed = resume, restart_changed
        self.metric = _only_metric(self.evaluator.metrics)
        self.batches: FixedBatches = self.dataloader.batch_sampler
        self.state = StateFolder(Path(runner.work_dir))
        self.earlier_batches = 0  # that earlier sessions have counted, over all processes
        self._part: Part | None = None  # at the beginning of this session
        self._peers: Peers | None = None
        self._counted: _Counted = (None, 0, 0)
        self._tried = (0, 0.0)  # images when a state was last written, or could not be, and the moment
        self._checked = 0  # batches of this session whose files were still the same when they had been counted
        self._kept = 0  # images in the last state that was written
        self._save_failed = False
        self._started = time.perf_counter()

    def begin(self, peers: Peers | None = None) -> None:
        """Find out what is done already; all processes call this, once, before :meth:`run`.

        Args:
            peers: the other processes, if they have met already.

        Raises:
            ValueError: the words are not those of the dataset, the state belongs to another run, or the processes would
                not do the same.
            OSError: the state cannot be written.
        """
        self._peers = peers = peers or Peers(Path(self.runner.work_dir))
        config, dataset, model = self.runner.cfg, self.dataloader.dataset, self.runner.model
        num_classes = len(dataset.metainfo["classes"])
        check_words_of(model, config, dataset)
        identity = run_identity(config, dataset, model)
        if peers.several:
            share_first(lambda: dataset_files(dataset).hash)  # the others find it in the cache
        self.dataset = dataset_files(dataset)
        self._files = self.dataset.batch_hashes(self.batches.batch_size)
        peers.agree({**identity, "the dataset's files": self.dataset.hash})

        def start() -> Part:
            peers.clear()
            how = {"resume": self.resume, "restart_changed": self.restart_changed}
            return self.state.begin(identity, self._files, num_classes, **how)

        self._part = part = share_first(start)
        self.batches.leave_out(part.batches.tolist())
        self.earlier_batches = len(part.batches)
        if is_main_process():
            self.metric.restore(torch.from_numpy(part.confusion), part.images)
        else:
            none = part.batches[:0], part.files[:0], np.zeros_like(part.confusion)
            self._part = Part(part.session, get_rank(), part.identity, *none)
        self._counted = (self.metric.confusion, self.metric.num_images, 0)

    @property
    def part(self) -> Part:
        """What this process has counted by now; the first one's includes earlier sessions."""
        assert self._part is not None
        confusion, images, done = self._counted
        batches = np.concatenate([self._part.batches, np.array(self.batches.numbers[:done], np.int64)])
        return replace(
            self._part,
            batches=batches,
            files=self._files[batches],
            confusion=self._part.confusion if confusion is None else confusion.cpu().numpy(),
            images=images,
            seconds=time.perf_counter() - self._started,
            peak_memory_mb=max(self._part.peak_memory_mb, peak_memory_mb()),
            devices=sorted({*self._part.devices, device_name(get_device())}),
        )

    def run(self) -> dict[str, float]:
        """Test what is not done yet; the scores are of everything.

        Raises:
            ChangedFilesError: an image or its labels are not any more what they were when the run began.
            StoppedError: by a signal; the state is kept.
            PeerError: another process has failed.
        """
        by_itself = self._part is None  # by MMEngine's Runner, and not by tfovss test: nobody asks for the state
        if by_itself:
            self.begin()
        assert self._peers is not None
        self.runner.call_hook("before_test")
        self.runner.call_hook("before_test_epoch")
        self.runner.model.eval()
        self.test_loss.clear()
        self._started = time.perf_counter()
        self._tried, self._kept = (self._counted[1], self._started), self._counted[1]
        with self._peers.together():
            with StopSignals() as signals:
                try:
                    self._iterate(signals, self._peers)
                    self.save()
                    signals.check()
                except (Exception, KeyboardInterrupt) as error:
                    self._peers.announce(error)  # first, for nothing else is sure to work
                    self._keep(error, self._peers)
                    raise
            self._peers.wait()
            self.total = self._total(self._peers)
            if by_itself:
                share_first(self.state.forget)
            metrics = self._evaluate()
            if by_itself and is_main_process():  # MMEngine's loggers are off here
                sys.stdout.write(", ".join(f"{name} {value:.2f}" for name, value in metrics.items()) + "\n")
            return metrics

    def _evaluate(self) -> dict[str, float]:
        metrics: dict[str, float] = self.evaluator.evaluate(len(self.dataloader.dataset))
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

    def _iterate(self, signals: StopSignals, peers: Peers) -> None:
        if not len(self.batches):  # nor processes that load nothing
            return
        try:
            for index, data_batch in enumerate(self.dataloader):
                self.run_iter(index, data_batch)
                self._counted = (self.metric.confusion, self.metric.num_images, index + 1)
                signals.check()
                peers.check()
                self._save_if_due()
        except RuntimeError as error:
            signals.check()  # it went to the loading processes too, and torch reports their end as an error
            if str(error).startswith("DataLoader worker"):
                raise ValueError(
                    f"A process that loads images has died ({error}), most often for lack of memory: set"
                    " test_dataloader.num_workers=0, or give more memory, and continue with --resume."
                ) from error
            raise

    def _save_if_due(self) -> None:
        images, moment = self._tried
        if self._counted[1] - images >= self.save_images or time.perf_counter() - moment >= self.save_seconds:
            self.save()

    def save(self) -> None:
        """Write the state; a full disk, which is told once, is no reason to end a run that goes well.

        Raises:
            ChangedFilesError: files of what would be written have changed; the state before it stays.
        """
        self._check_files()
        try:
            self.state.write(self.part)
        except OSError as error:
            if not self._save_failed:
                _logger.warning("warning: the state could not be written, the one before it stays: %s", sentence(error))
            self._save_failed = True
        else:
            self._save_failed, self._kept = False, self._counted[1]
        self._tried = (self._counted[1], time.perf_counter())

    def _check_files(self) -> None:
        """Counts are kept under the contents that files had at the start: they must still have them afterwards."""
        done, size = self._counted[2], self.batches.batch_size
        batches = self.batches.numbers[self._checked : done]
        images = (image for batch in batches for image in range(batch * size, (batch + 1) * size))
        changed = self.dataset.changed(image for image in images if image < self.batches.images)
        if changed:
            raise ChangedFilesError(
                f"{told(changed)} changed during the run, so the images since the last saved state do not count: wait"
                " until nothing writes to the dataset, then continue with --resume."
            )
        self._checked = done

    def _total(self, peers: Peers) -> Part:
        """The first process's part, with what only all of them together know."""
        own = self.part
        memories, devices = zip(*peers.gather((own.peak_memory_mb, own.devices)), strict=True)
        return replace(own, peak_memory_mb=max(memories), devices=sorted({*itertools.chain(*devices)}))

    def _keep(self, error: BaseException, peers: Peers) -> None:
        """Write the state after an error, and say what is kept; a broken GPU must not hide the error itself."""
        try:
            self.save()
        except (RuntimeError, ChangedFilesError) as broken:
            if not isinstance(error, ChangedFilesError):
                reason = sentence(broken)
                _logger.warning("warning: the state could not be written, the one before it stays: %s", reason)
        if is_main_process():
            reason = f"{error}; " if isinstance(error, StoppedError) else ""
            images = "the counted images" if peers.several else f"{self._kept} of {self.batches.images} images"
            _logger.warning("%s%s are kept in %s: --resume goes on from there.", reason, images, self.state.path)


def _only_metric(metrics: Sequence[object]) -> SegmentationMetric:
    if len(metrics) != 1 or not isinstance(metrics[0], SegmentationMetric):
        raise ValueError("test_evaluator must be one SegmentationMetric: the counts of others cannot be resumed.")
    return metrics[0]
