"""Run a config through MMEngine's test loop and turn it into a result."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg_tfovss.config import check_names, check_settings, config_hash, input_files
from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.engine.distributed import join_processes, prepare_once, share_first
from mmseg_tfovss.engine.identity import (
    files_read,
    fingerprints,
    networks_of,
    unwrapped,
    weights_hash,
)
from mmseg_tfovss.engine.lock import locked
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.engine.provenance import git_commit, package_versions
from mmseg_tfovss.evaluation.result import SCHEMA_VERSION, Result, class_scores, set_aside, write_result
from mmseg_tfovss.registry import DATASETS, LOOPS, METRICS, MODELS
from mmseg_tfovss.vocabulary import Vocabulary, load_vocabulary

# torch's options and MMEngine's own
_LOADER_OPTIONS = {*inspect.signature(DataLoader.__init__).parameters, "num_batch_per_epoch"} - {"self"}
_NAMED = 3  # missing files named in a message
_logger = logging.getLogger(__name__)


def run_test(
    config: Config, *, resume: bool = False, restart_changed: bool = False, hooks: Sequence[Hook] = ()
) -> Result | None:
    """Evaluate a config on its test set and write ``result.json`` into its ``work_dir``.

    Until that file is there, the folder ``state`` beside it holds what has been counted. An earlier result is renamed,
    and so is the state of an earlier run that is not resumed.

    Args:
        config: of :func:`mmseg_tfovss.config.load_config`, with ``work_dir`` set.
        resume: go on from the state that an interrupted run has left, if there is one.
        restart_changed: begin anew if that was another run (settings, code, data or files differ), instead of refusing.
        hooks: MMEngine's; those with a ``close()`` are closed when the run ends, in whatever way.

    Returns:
        The result, on the main process; None on the others.

    Raises:
        ValueError: a setting, file or label that cannot work; the folder is in use; the state is of another run.
        FileNotFoundError: missing data or weights.
        OSError: the folder cannot be written.
        StoppedError: a signal has ended the run.
    """
    check_run(config)
    hashed = config_hash(config)
    folder = Path(config.work_dir)
    join_processes(config.launcher, config.get("env_cfg", {}))
    with ExitStack() as stack:
        share_first(lambda: stack.enter_context(locked(folder)))
        config.test_cfg.update(resume=resume, restart_changed=restart_changed)
        inputs = fingerprints(input_files(config))
        runner = Runner.from_cfg(config)
        prepare_once(runner.model)
        loop: ResumableTestLoop = runner.test_loop
        loop.begin()
        hooks = (ProgressHook(), *hooks)
        for hook in hooks:
            runner.register_hook(hook)
        share_first(lambda: set_aside(folder))
        try:
            runner.test()
        finally:
            for hook in hooks:
                getattr(hook, "close", lambda: None)()
        if not is_main_process():
            return None
        inputs |= fingerprints(files_read(runner.model))
        result = _result(config, hashed, inputs, loop)
        write_result(result, folder)
        loop.state.forget()
        return result


def check_config(config: Config) -> Vocabulary:
    """Refuse a config that cannot be tested on any machine: unknown names, wrong words. Data may lie elsewhere.

    Returns:
        Its vocabulary.

    Raises:
        ValueError: see :func:`run_test`.
        FileNotFoundError: see :func:`run_test`.
    """
    for key in ("dataset", "test_dataloader", "test_evaluator", "test_cfg"):
        if key not in config:
            raise ValueError(f"The config has no {key!r}: tools/test.py needs a config with a dataset.")
    check_settings(config.model, MODELS, "model")
    check_settings(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    check_settings(config.test_evaluator, METRICS, "test_evaluator")
    check_settings(config.test_cfg, LOOPS, "test_cfg")
    if LOOPS.get(config.test_cfg.type) is not ResumableTestLoop:
        raise ValueError(f"test_cfg.type must be ResumableTestLoop, but got {config.test_cfg.type!r}.")
    check_names(config.test_dataloader, _LOADER_OPTIONS, "test_dataloader")
    head = config.model.decode_head
    return load_vocabulary(head.vocabulary, head.get("background"))


def check_run(config: Config) -> None:
    """Refuse a run that cannot finish, before weights are loaded: a config as above, missing files.

    Raises:
        ValueError: see :func:`run_test`.
        FileNotFoundError: see :func:`run_test`.
    """
    vocabulary = check_config(config)
    dataset = build_dataset(config)
    check_files(dataset, _prepared_by(config))
    _warn_of_another_count(len(dataset), config.dataset)
    classes = dataset.metainfo["classes"]
    if len(vocabulary.classes) != len(classes):
        raise ValueError(
            f"The vocabulary {vocabulary.source} has {len(vocabulary.classes)} classes, but the dataset"
            f" {config.dataset} has {len(classes)}: set model.decode_head.vocabulary to a list for this dataset."
        )


def check_files(dataset: BaseDataset, key: str) -> None:
    """Refuse a dataset with no image, or with images that lack their annotation.

    Args:
        dataset: its files are looked for.
        key: the benchmark's name, for the command that makes missing files.

    Raises:
        FileNotFoundError: the first missing files are named.
    """
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not samples:
        raise FileNotFoundError(
            f"No image found for {type(dataset).__name__} in {dataset.data_prefix.get('img_path')}{_remedy(key)}."
        )
    for kind, field in (("image", "img_path"), ("annotation", "seg_map_path")):
        missing = [sample[field] for sample in samples if not Path(sample[field]).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(samples)} samples lack their {kind}: {', '.join(missing[:_NAMED])}"
                f"{' ...' if len(missing) > _NAMED else ''}{_remedy(key)}"
            )


def build_dataset(config: Config) -> BaseDataset:
    """The dataset that a config names.

    Raises:
        FileNotFoundError: it is not there.
    """
    settings = config.test_dataloader.dataset
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        try:
            return DATASETS.build(dict(settings))
        except (FileNotFoundError, AssertionError) as error:  # MMSeg's datasets assert that their files exist
            missing = _first_missing(settings)
            if missing is None:
                raise
            raise FileNotFoundError(
                f"{missing} of the dataset {config.dataset} does not exist{_remedy(_prepared_by(config))}, or set"
                " test_dataloader.dataset.data_root to the folder that holds it."
            ) from error


def _prepared_by(config: Config) -> str:
    """The name under which tools/prepare_data.py makes a config's files."""
    return str(config.get("prepared_by", config.dataset))


def _remedy(key: str) -> str:
    return f": prepare it with python tools/prepare_data.py {key}" if key in PREPARED else ": put the dataset there"


def _warn_of_another_count(images: int, key: str) -> None:
    facts = FACTS.get(key)
    if facts and images != facts.images and is_main_process():
        _logger.warning(
            "warning: %s has %d images here, but the benchmark has %d: the scores are of another set.",
            key,
            images,
            facts.images,
        )


def _first_missing(settings: Mapping[str, Any]) -> Path | None:
    root = Path(settings.get("data_root") or "")
    parts = [settings.get("ann_file"), *(settings.get("data_prefix") or {}).values()]
    paths = [root, *(root / part for part in parts if part)]
    return next((path for path in paths if not path.exists()), None)


def _result(config: Config, hashed: str, inputs: dict[str, str], loop: ResumableTestLoop) -> Result:
    metric, total = loop.metric, loop.total
    model = unwrapped(loop.runner.model)
    networks = networks_of(model)
    assert metric.scores is not None
    names = list(metric.dataset_meta["classes"])
    return Result(
        schema_version=SCHEMA_VERSION,
        method=str(config.model.type),
        backbone=" + ".join(network.name for network in networks),
        dataset=config.dataset,
        protocol=config.protocol,
        setting=config.get("setting", ""),
        overrides=config.overrides,
        precision=config.model.get("precision", "fp32"),
        device=" + ".join(total.devices),
        metrics=metric.scores.summary,
        per_class=class_scores(names, metric.scores),
        num_images=metric.total_images,
        expected_images=FACTS[config.dataset].images if config.dataset in FACTS else None,
        seconds_per_image=(total.earlier_seconds + total.seconds) / metric.total_images,
        peak_memory_mb=total.peak_memory_mb,
        config_hash=hashed,
        code_hash=total.identity["the code"],
        dataset_hash=total.identity["the dataset's files"],
        inputs=inputs,
        vocabulary=model.decode_head.vocabulary.source,
        vocabulary_version=model.decode_head.vocabulary.version,
        vocabulary_hash=model.decode_head.vocabulary.hash,
        weights_hash=weights_hash([network.weights_hash for network in networks]),
        git_commit=git_commit(),
        versions=package_versions(),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
