"""Whether a run has been made already."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.config import config_hash
from mmseg_tfovss.encoders.head_ranking import own_rankings
from mmseg_tfovss.engine.code import code_hash
from mmseg_tfovss.engine.contents import fingerprints
from mmseg_tfovss.engine.dataset_files import dataset_hash
from mmseg_tfovss.engine.identity import differences, named_files, settings_of
from mmseg_tfovss.engine.preflight import build_dataset
from mmseg_tfovss.engine.provenance import package_versions
from mmseg_tfovss.evaluation.result import Result, check_types, read_result
from mmseg_tfovss.vocabulary import load_vocabulary

_ABSENT, _INCOMPLETE = "absent", "incomplete"  # in place of a dataset's hash


def finished_result(config: Config, folder: Path, datasets: dict[str, str] | None = None) -> Result | None:
    """The folder's result, if running the config again would give it once more.

    That is, if settings, words, code, and the contents of input files and dataset are what they were, as far as can be
    seen without loading weights. Versions of packages are not compared, see :func:`version_note`. A dataset whose
    folder is not on this machine counts as unchanged; one that lacks a part, or cannot be used, as changed.

    Args:
        config: of :func:`mmseg_tfovss.config.load_config`.
        folder: the run's folder.
        datasets: as for :func:`run_key`; for many configs at once.

    Returns:
        The result, or None if there is none, or it is damaged or out of date.
    """
    result = _read(folder)
    unchanged = result and next(_changes(config, result, {} if datasets is None else datasets), None) is None
    return result if unchanged else None


def out_of_date(config: Config, folder: Path) -> list[str]:
    """What has changed since the folder's result was made; empty if nothing has, or there is none."""
    result = _read(folder)
    return list(_changes(config, result, {})) if result else []


def check_settings_of(config: Config, folder: Path, *, restart_changed: bool) -> None:
    """Refuse to take a folder's finished run of other settings for this one's.

    Raises:
        ValueError: the settings differ, and ``restart_changed`` is not given.
    """
    result = _read(folder)
    if result is None or restart_changed or result["config_hash"] == config_hash(config):
        return
    told = differences(result["settings"], settings_of(config)) if result["settings"] else ""
    raise ValueError(
        f"The finished run in {folder} is not this one: {told or 'its settings differ'}. Choose another --work-dir, or"
        " start over with --restart-changed (the result is kept under another name)."
    )


def version_note(result: Result) -> str:
    """What was installed in other versions when a result was made, in brackets; empty if nothing was."""
    then, now = result["versions"], package_versions()
    changed = [f"{name} {then[name]}, now {now[name]}" for name in now if then.get(name, now[name]) != now[name]]
    return f" (made with {'; '.join(changed)})" if changed else ""


def run_key(config: Config, datasets: dict[str, str]) -> str:
    """One hash of all that :func:`finished_result` compares, known before the run: for tables with a row per run.

    Args:
        config: of :func:`mmseg_tfovss.config.load_config`.
        datasets: hashes that are known already, by settings; new ones are added.
    """
    try:
        dataset = _dataset(config, datasets)
    except Exception:  # whatever is wrong with the settings: the run will say so
        dataset = _ABSENT
    files = fingerprints([*named_files(config), own_rankings()])  # a method finds those without being told
    parts = [config_hash(config), code_hash(config), _words(config), dataset, *files.values()]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _read(folder: Path) -> Result | None:
    """What can be read and shown; a damaged result is none, and is kept under another name when a run begins."""
    try:
        result = read_result(folder)
        check_types(result)
    except (OSError, ValueError):
        return None
    return result


def _changes(config: Config, result: Result, datasets: dict[str, str]) -> Iterator[str]:
    """What is no longer as it was for a result, what is found out fastest first."""
    if result["config_hash"] != config_hash(config):
        yield "the settings"
    if result["vocabulary_hash"] != _words(config):
        yield "the vocabulary"
    inputs = fingerprints([*named_files(config), *result["inputs"]])
    yield from (f"the file {path}" for path in inputs if inputs[path] != result["inputs"].get(path))
    if result["code_hash"] != code_hash(config):
        yield "the code"
    if _dataset(config, datasets) not in (result["dataset_hash"], _ABSENT):  # a login node need not have it
        yield "the dataset's files"


def _words(config: Config) -> str:
    head = config.model.decode_head
    try:
        return load_vocabulary(head.vocabulary, head.get("background")).hash
    except (OSError, ValueError):
        return "absent"


def _dataset(config: Config, datasets: dict[str, str]) -> str:
    """The hash of a config's dataset, or why there is none; what is known already is not looked at again."""
    settings = config.get("test_dataloader", {}).get("dataset") or {}
    key = str({name: value for name, value in settings.items() if name != "pipeline"})
    if key not in datasets:
        datasets[key] = _look_at_dataset(config)
    return datasets[key]


def _look_at_dataset(config: Config) -> str:
    try:
        dataset = build_dataset(config)
        return dataset_hash(dataset) if len(dataset) else _ABSENT  # its disk may not be mounted
    except FileNotFoundError:
        root = config.test_dataloader.dataset.get("data_root")
        return _INCOMPLETE if root and Path(root).exists() else _ABSENT
    except (OSError, ValueError):  # it is there, but cannot be read, or is not what it should be
        return _INCOMPLETE
