"""A grid of options and configs, every combination evaluated as tfovss test does.

A method may have the class attribute ``label_options: ClassVar[frozenset[str]]``: attributes, named as their options
below ``model.`` (dots allowed, as in ``decode_head.logit_scale``), that in whole mode are read by ``label`` and
``postprocess_result`` only. Combinations that differ in nothing else share their inference results.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.utils.dl_utils import set_multi_processing
from torch import Tensor

from mmseg_tfovss.cli import TRACEBACK_VARIABLE, sentence
from mmseg_tfovss.engine.finished import run_key
from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.leaderboard.write import SCORES
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.stages import Assembly
from mmseg_tfovss.ops.canvas import PatchCanvas
from mmseg_tfovss.plain import one_line
from mmseg_tfovss.registry import METRICS
from mmseg_tfovss.sweeps.table import ERROR, HASH, TABLE_NAME, Row, adopt_rows, write_rows
from mmseg_tfovss.sweeps.trials import Trial, check_trials, make_trials

CACHE_BYTES = 4 << 30
_Batch = tuple[list[Assembly], list[BaseDataElement]]
_logger = logging.getLogger(__name__)


def sweep(
    paths: Sequence[str | Path],
    options: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]],
    folder: Path,
    device: str,
    samples: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> list[Row]:
    """Evaluate every combination that ``folder`` has no row of yet, and write its row when it has finished.

    A combination that fails gets a row with its error, and is tried again the next time; the others go on. If each of
    them is refused before anything runs, the first one's error is raised, and nothing is written.

    Args:
        paths: configs with a dataset.
        options: as for :func:`mmseg_tfovss.config.load_config`.
        swept: values by option.
        folder: where ``sweep.csv`` is written. A table of another grid, config or number of samples in this place is
            renamed; its rows still count where they fit.
        device: where the method runs.
        samples: evaluate this many images, the first ones; ``None``: all.
        cache_bytes: memory for inference results that combinations share; what does not fit is computed again.

    Returns:
        One row per combination, config by config, the last option changing fastest: its values, the scores, the number
        of images, the error if there was one, and the hash of all that they depend on.

    Raises:
        ValueError: an unknown option, or no combination that works.
        FileNotFoundError: missing config; or no combination has its data or weights.
    """
    trials = make_trials(paths, options, swept, samples)
    table = _Table(folder / TABLE_NAME, trials)
    pending = table.pending()
    errors = check_trials(pending)
    if pending and len(errors) == len(pending):
        raise errors[pending[0].hash]
    for trial in pending:
        if trial.hash in errors:
            table.fail(trial, errors[trial.hash])
    ready = [trial for trial in pending if trial.hash not in errors]
    name = Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} configs"
    progress = _Progress(f"sweep of {name}", len(ready))
    try:
        for group in _groups(ready):
            _evaluate(group, table, progress, device, cache_bytes)
    finally:
        progress.close()
    return table.rows()


def _groups(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Those that share inference, together."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.upstream, []).append(trial)
    return list(groups.values())


class _Table:
    """The rows on disk."""

    def __init__(self, path: Path, trials: Sequence[Trial]) -> None:
        self.path, self.trials = path, trials
        self.header = [*trials[0].cells, *SCORES, "images", ERROR, HASH]
        self.found = adopt_rows(path, self.header, [trial.hash for trial in trials])
        if self.found:
            write_rows(path, self.header, self.rows())

    def pending(self) -> list[Trial]:
        """Combinations without a row; one of several that are the same."""
        return list({trial.hash: trial for trial in self.trials if trial.hash not in self.found}.values())

    def add(self, trial: Trial, scores: Mapping[str, str]) -> None:
        """A combination has finished."""
        self.found[trial.hash] = {**dict.fromkeys(self.header, ""), **scores, HASH: trial.hash}
        write_rows(self.path, self.header, self.rows())

    def fail(self, trial: Trial, error: Exception) -> None:
        """A combination has failed."""
        text = sentence(error)
        if not isinstance(error, ValueError | OSError):
            text = f"{type(error).__name__}: {text}"
        _logger.warning("warning: failed: %s", one_line(text if str(trial) in text else f"{trial}: {text}"))
        self.add(trial, {ERROR: text.removeprefix(f"{trial}: ")})

    def rows(self) -> list[Row]:
        """What there is, in the order of the grid."""
        return [{**self.found[trial.hash], **trial.cells} for trial in self.trials if trial.hash in self.found]


def _evaluate(group: Sequence[Trial], table: _Table, progress: "_Progress", device: str, cache_bytes: int) -> None:
    """Combinations that share inference."""
    results = None
    for trial in group:
        try:
            results = results or _Results(trial.config, device, cache_bytes if len(group) > 1 else 0)
            progress.begin(len(results.loader))
            scores = results.evaluate(trial, progress)
            _check_unchanged(trial)
        # One combination that runs out of memory, or into a bug, must not cost a night of others.
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE) == "1":
                raise
            table.fail(trial, error)
        else:
            table.add(trial, scores)


def _check_unchanged(trial: Trial) -> None:
    """A row is found again by what its files held when the sweep began."""
    if run_key(trial.config, {}) != trial.hash:
        raise ValueError(
            "Files of the dataset, or that the config names, have changed while the sweep was under way: wait until"
            " nothing writes there, then start the sweep again."
        )


class _Results:
    """What inference finds in a dataset, batch by batch as tfovss test has them, kept as far as memory is allowed."""

    def __init__(self, config: Config, device: str, limit: int) -> None:
        if config.get("custom_hooks"):
            raise ValueError("custom_hooks do not act in a sweep, which runs no hooks: use tfovss test.")
        self.model: OpenVocabSegmentor = build_method(config, device)
        if "env_cfg" in config:
            set_multi_processing(**config.env_cfg.get("mp_cfg", {}))
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            self.loader = Runner.build_dataloader(config.test_dataloader)
        self.room = limit
        self.kept: list[_Batch] = []

    @torch.inference_mode()
    def evaluate(self, trial: Trial, progress: "_Progress") -> Row:
        """Label every image as the trial says; scores and number of images."""
        for name, value in trial.label_values.items():
            self.model.set_option(name, value)
        metric = METRICS.build(dict(trial.config.test_evaluator))
        if not isinstance(metric, SegmentationMetric):
            raise ValueError("test_evaluator must be a SegmentationMetric.")
        metric.dataset_meta = self.loader.dataset.metainfo
        for assemblies, samples in self._batches():
            labelled = self.model.postprocess_result(assemblies, samples)
            metric.process(None, [sample.to_dict() for sample in labelled])
            progress.advance()
        metric.evaluate(len(self.loader.dataset))
        assert metric.scores is not None
        scores = {name: str(value) for name, value in metric.scores.summary.items()}
        return {**scores, "images": str(metric.total_images)}

    def _batches(self) -> Iterator[_Batch]:
        if len(self.kept) == len(self.loader):
            yield from self.kept
            return
        known = len(self.kept)
        for index, loaded in enumerate(self.loader):
            if index < known:
                yield self.kept[index]
                continue
            data = self.model.data_preprocessor(loaded)
            samples = data["data_samples"]
            batch = self.model.inference_of(data["inputs"], samples), samples
            self.room -= _bytes(batch)
            if self.room >= 0:  # once it is full it stays so: what is kept are the first batches
                self.kept.append(batch)
            yield batch


class _Progress:
    """tfovss test's bar or lines, over all combinations."""

    def __init__(self, name: str, combinations: int) -> None:
        self._hook, self._left = ProgressHook(), combinations
        self._runner = SimpleNamespace(cfg=SimpleNamespace(filename=name), test_dataloader=range(0))
        self._done = 0

    def begin(self, batches: int) -> None:
        """A combination begins; the others are supposed to have as many batches."""
        self._runner.test_dataloader = range(self._done + batches * self._left)
        self._left -= 1
        if not self._done:
            self._hook.close()
            self._hook.before_test(self._runner)

    def advance(self) -> None:
        """One batch more."""
        self._hook.after_test_iter(self._runner, self._done)
        self._done += 1

    def close(self) -> None:
        """Take the bar away."""
        self._hook.close()


def _bytes(batch: _Batch) -> int:
    """Memory of a batch, its labels and predictions included."""
    assemblies, samples = batch
    kept = sum(_assembly_bytes(assembly) for assembly in assemblies)
    return kept + sum(2 * sample.gt_sem_seg.data.nbytes for sample in samples)


def _assembly_bytes(assembly: Assembly) -> int:
    canvases = [canvas for canvas in assembly.canvases.values() if isinstance(canvas, PatchCanvas)]
    held = [
        assembly.scene.image,
        assembly.scene.truth,
        *assembly.scene.seen.values(),
        *(canvas.patches for canvas in canvases),
    ]
    return sum(tensor.nbytes for tensor in held if isinstance(tensor, Tensor))
