"""A grid of options, every combination evaluated as tools/test.py does: a table, and for one or two options a picture.

A method may have the class attribute ``label_options: ClassVar[frozenset[str]]``: attributes, named as their options
below ``model.`` (dots allowed, as in ``decode_head.logit_scale``), that in whole mode are read by ``label`` and
``postprocess_result`` only. Combinations that differ in nothing else share their inference results.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmengine.utils.dl_utils import set_multi_processing

from mmseg_tfovss.analysis.sweep_table import TABLE_NAME, Row, adopt_rows, write_rows
from mmseg_tfovss.cli import parse_options
from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.engine.run import check_run
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.evaluation.leaderboard import SCORES
from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.windows import DenseLogits
from mmseg_tfovss.registry import DATASETS, METRICS

CACHE_BYTES = 4 << 30
_SAMPLES = "test_dataloader.dataset.indices"
_COMMA = re.compile(r",(?![^([{]*[)\]}])")  # not within brackets
_Batch = tuple[list[DenseLogits], list[BaseDataElement]]


@dataclass
class Trial:
    """One combination.

    Attributes:
        values: by swept option.
        config: with them.
        hash: the config's.
        label_values: attributes of the method that only ``label`` reads, of those that are swept.
    """

    values: dict[str, Any]
    config: Config
    hash: str
    label_values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.values.items())

    @property
    def upstream(self) -> str:
        """The swept values that inference depends on."""
        return str({key: value for key, value in self.values.items() if _attribute(key) not in self.label_values})


def parse_swept(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """Read ``KEY=VALUE,VALUE,...``; values as those of ``--cfg-options``, in brackets where they have commas.

    Raises:
        ValueError: no or an empty value, a value or an option given twice.
    """
    swept: dict[str, list[Any]] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        parts = [part.strip() for part in _COMMA.split(text)]
        if not (key and equals and all(parts)):
            raise ValueError(f"--set takes KEY=VALUE,VALUE,... without empty values, but got {pair!r}.")
        values = [parse_options([f"{key}={part}"])[key] for part in parts]
        if key in swept or len({str(value) for value in values}) < len(values):
            raise ValueError(f"--set {pair}: every option, and every value of it, can be given once.")
        swept[key] = values
    return swept


def sweep(
    path: str | Path,
    options: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]],
    folder: Path,
    device: str,
    samples: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> list[Row]:
    """Evaluate every combination that ``folder`` has no row of yet, and write its row when it has finished.

    Args:
        path: a config with a dataset.
        options: as for :func:`mmseg_tfovss.config.load_config`.
        swept: values by option.
        folder: where ``sweep.csv`` is written. A table of another grid, config or number of samples in this place is
            renamed; its rows still count where they fit.
        device: where the method runs.
        samples: evaluate this many images, the first ones; ``None``: all.
        cache_bytes: memory for inference results that combinations share; what does not fit is computed again.

    Returns:
        One row per combination: its values, the scores, the number of images, and the config's hash.

    Raises:
        ValueError: an unknown option, or a value that does not work; the combination is named.
        FileNotFoundError: missing config, data or weights.
    """
    trials = make_trials(path, {**options, **_first_samples(path, options, samples)}, swept)
    header = [*swept, *SCORES, "images", "config_hash"]
    rows = adopt_rows(folder / TABLE_NAME, header, [trial.hash for trial in trials])
    pending = [trial for trial in trials if trial.hash not in rows]
    for trial in pending:
        with _named(trial, ValueError, TypeError):  # a value of the wrong type may fail in any way
            trial.label_values = find_label_values(trial.config, swept)
    groups: dict[str, list[Trial]] = {}
    for trial in pending:
        groups.setdefault(trial.upstream, []).append(trial)
    # What is checked depends on these alone; it may warn, once is enough.
    for first in {_checked(group[0].config): group[0] for group in groups.values()}.values():
        with _named(first, ValueError):
            check_run(first.config)
    progress = _Progress(f"sweep of {Path(path).name}", len(pending))
    try:
        for group in groups.values():
            results = _Results(group[0].config, device, cache_bytes if len(group) > 1 else 0)
            for trial in group:
                with _named(trial, ValueError):
                    scores = results.evaluate(trial, progress)
                values = {key: str(value) for key, value in trial.values.items()}
                rows[trial.hash] = {**values, **scores, "config_hash": trial.hash}
                write_rows(folder / TABLE_NAME, header, [rows[t.hash] for t in trials if t.hash in rows])
    finally:
        progress.close()
    return [rows[trial.hash] for trial in trials]


def make_trials(path: str | Path, options: Mapping[str, Any], swept: Mapping[str, Sequence[Any]]) -> list[Trial]:
    """All combinations, the last option changing fastest.

    Raises:
        ValueError: an option that is set twice, or that the config refuses.
    """
    twice = sorted(set(options) & set(swept))
    if twice:
        raise ValueError(f"{', '.join(twice)}: swept and set at the same time.")
    combinations = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    configs = [load_config(path, {**options, **values}) for values in combinations]
    return [Trial(values, config, config_hash(config)) for values, config in zip(combinations, configs, strict=True)]


def find_label_values(config: Config, swept: Mapping[str, object]) -> dict[str, Any]:
    """Build the method, which checks its values, and return what it made of those that only ``label`` reads."""
    model = build_method(config, "cpu")
    names: Collection[str] = getattr(model, "label_options", ()) if model.mode == "whole" else ()
    return {name: attrgetter(name)(model) for name in map(_attribute, swept) if name in names}


class _Results:
    """What inference finds in a dataset, batch by batch as tools/test.py has them, kept as far as memory is allowed."""

    def __init__(self, config: Config, device: str, limit: int) -> None:
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
            owner, _, attribute = name.rpartition(".")
            setattr(attrgetter(owner)(self.model) if owner else self.model, attribute, value)
        metric = METRICS.build(dict(trial.config.test_evaluator))
        if not isinstance(metric, SegmentationMetric):
            raise ValueError("test_evaluator must be a SegmentationMetric.")
        metric.dataset_meta = self.loader.dataset.metainfo
        for logits, samples in self._batches():
            labelled = self.model.postprocess_result(logits, samples)
            metric.process(None, [sample.to_dict() for sample in labelled])
            progress.advance(len(self.loader))
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
            batch = self.model.inference(data["inputs"], [sample.metainfo for sample in samples]), samples
            self.room -= _bytes(batch)
            if self.room >= 0:  # once it is full it stays so: what is kept are the first batches
                self.kept.append(batch)
            yield batch


class _Progress:
    """tools/test.py's bar or lines, over all combinations."""

    def __init__(self, name: str, combinations: int) -> None:
        self._hook, self._name, self._combinations = ProgressHook(), name, combinations
        self._runner: SimpleNamespace | None = None
        self._done = 0

    def advance(self, batches: int) -> None:
        """One batch more, of so many in a combination."""
        if self._runner is None:
            total = range(batches * self._combinations)
            self._runner = SimpleNamespace(cfg=SimpleNamespace(filename=self._name), test_dataloader=total)
            self._hook.before_test(self._runner)
        self._hook.after_test_iter(self._runner, self._done)
        self._done += 1

    def close(self) -> None:
        """Take the bar away."""
        self._hook.close()


# -- small pieces ---------------------------------------------------------------------------------------------------


def _attribute(option: str) -> str:
    return option.removeprefix("model.")


def _checked(config: Config) -> str:
    return str([config.get("test_dataloader"), config.get("test_evaluator"), config.model.decode_head])


def _first_samples(path: str | Path, options: Mapping[str, Any], samples: int | None) -> dict[str, Any]:
    """The option that cuts the dataset, unless it has no more images than that."""
    if samples is None:
        return {}
    if samples < 1:
        raise ValueError(f"--samples must be at least 1, but got {samples}.")
    config = load_config(path, options)
    check_run(config)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        images = len(DATASETS.build(dict(config.test_dataloader.dataset)))
    return {_SAMPLES: samples} if samples < images else {}


@contextmanager
def _named(trial: Trial, *kinds: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        raise ValueError(f"{trial}: {error}") from error


def _bytes(batch: _Batch) -> int:
    """Memory of a batch, its labels and predictions included."""
    logits, samples = batch
    return sum(one.patches.nbytes + one.image.nbytes for one in logits) + sum(
        2 * sample.gt_sem_seg.data.nbytes for sample in samples
    )
