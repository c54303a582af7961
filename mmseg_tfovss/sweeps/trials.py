"""The combinations of a sweep, before anything is evaluated: their configs, names, and what is wrong with them."""

import copy
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.engine.finished import run_key
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.sweeps.table import CONFIG, DATASET
from mmseg_tfovss.sweeps.values import value_label

_SAMPLES = "test_dataloader.dataset.indices"


@dataclass
class Trial:
    """One combination.

    Attributes:
        cells: by column of the table: config and dataset if there are several configs, and the swept values.
        config: with these values.
        hash: of all that its numbers depend on, see :func:`mmseg_tfovss.engine.finished.run_key`.
        upstream: the config's hash without what only ``label`` reads: equal ones share inference.
        label_values: attributes of the method that only ``label`` reads.
    """

    cells: dict[str, str]
    config: Config
    hash: str
    upstream: str = ""
    label_values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.cells.items())


def make_trials(
    paths: Sequence[str | Path],
    options: Mapping[str, Any],
    swept: Mapping[str, Sequence[Any]],
    samples: int | None = None,
) -> list[Trial]:
    """All combinations, config by config, the last option changing fastest.

    Raises:
        ValueError: an option that is set twice, or that a config refuses; nothing to sweep.
    """
    twice = sorted(set(options) & set(swept))
    if twice:
        raise ValueError(f"{', '.join(twice)}: both swept and set. Leave one of the two out.")
    if not swept and len(paths) < 2:
        raise ValueError("There is nothing to sweep: name options and their values, KEY=VALUE,VALUE,..., or configs.")
    combinations = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    trials = []
    datasets: dict[str, str] = {}
    for path, name in zip(paths, _config_names(paths, options), strict=True):
        fixed = {**options, **_first_samples(path, options, samples)}
        for values in combinations:
            config = load_config(path, copy.deepcopy({**fixed, **values}))  # it may change what it is given
            where = {CONFIG: name, DATASET: str(config.get("dataset", ""))} if len(paths) > 1 else {}
            cells = {**where, **{key: value_label(value) for key, value in values.items()}}
            trials.append(Trial(cells, config, run_key(config, datasets)))
    return trials


def _config_names(paths: Sequence[str | Path], options: Mapping[str, Any]) -> list[str]:
    """Short names that tell configs of one dataset apart: settings, or names without the dataset, or paths."""
    configs = [load_config(path, copy.deepcopy(dict(options))) for path in paths]
    datasets = [str(config.get("dataset", "")) for config in configs]
    settings = [setting_of(config) for config in configs]
    short = [config.run_name.replace(f"_{dataset}", "") for config, dataset in zip(configs, datasets, strict=True)]
    one_method = len({str(config.model.type) for config in configs}) == 1
    for names in (settings, short) if one_method else (short,):
        if all(names) and len(set(zip(names, datasets, strict=True))) == len(names):
            return names
    return [str(path) for path in paths]


def check_trials(pending: Sequence[Trial]) -> dict[str, Exception]:
    """Build every combination, which checks its values; errors by hash."""
    errors: dict[str, Exception] = {}
    checked: dict[str, Exception | None] = {}  # what is checked depends on these alone; it may warn, once is enough
    for trial in pending:
        try:
            _describe(trial)
            parts = [trial.config.get("test_dataloader"), trial.config.get("test_evaluator")]
            key = str([*parts, trial.config.model.decode_head])
            if key not in checked:
                checked[key] = _error_of_run(trial.config)
            if (error := checked[key]) is not None:
                raise error
        except OSError as error:
            errors[trial.hash] = error
        except (ValueError, TypeError) as error:  # a value of the wrong type may fail in any way
            errors[trial.hash] = ValueError(f"{trial}: {error}")
    return errors


def _error_of_run(config: Config) -> Exception | None:
    try:
        check_run(config)
    except (ValueError, OSError) as error:
        return error
    return None


def _describe(trial: Trial) -> None:
    """Note what the method made of the options that only ``label`` reads, and the hash without them."""
    model = build_method(trial.config, "cpu")
    names: Collection[str] = getattr(model, "label_options", ()) if model.mode == "whole" else ()
    trial.label_values = {name: model.option(name) for name in names}
    rest = copy.deepcopy(trial.config)
    rest.pop("setting", None)
    for name in names:
        owner, _, option = f"model.{name}".rpartition(".")
        attrgetter(owner)(rest).pop(option, None)
    trial.upstream = config_hash(rest)


def _first_samples(path: str | Path, options: Mapping[str, Any], samples: int | None) -> dict[str, Any]:
    """The option that cuts the dataset, unless it has no more images than that."""
    if samples is None:
        return {}
    if samples < 1:
        raise ValueError(f"--samples must be at least 1, but got {samples}.")
    config = load_config(path, copy.deepcopy(dict(options)))
    if _error_of_run(config) is not None:
        return {_SAMPLES: samples}  # found again, and said, when the combination is checked
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        images = len(DATASETS.build(dict(config.test_dataloader.dataset)))
    return {_SAMPLES: samples} if samples < images else {}
