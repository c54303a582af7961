"""Run a config through MMEngine's test loop and turn it into a result."""

import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_tfovss.config import config_hash
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.engine.contents import fingerprints
from mmseg_tfovss.engine.dataset_files import told
from mmseg_tfovss.engine.distributed import join_processes, prepare_once, share_first
from mmseg_tfovss.engine.finished import check_settings_of, finished_result, out_of_date
from mmseg_tfovss.engine.identity import (
    files_read,
    named_files,
    networks_of,
    settings_of,
    unwrapped,
    weights_hash,
)
from mmseg_tfovss.engine.lock import locked
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.peers import Peers
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.engine.progress import ProgressHook
from mmseg_tfovss.engine.provenance import MadeBy, made_by
from mmseg_tfovss.engine.state import StateFolder
from mmseg_tfovss.evaluation.result import (
    SCHEMA_VERSION,
    Result,
    class_scores,
    read_result,
    set_aside,
    write_result,
)
from mmseg_tfovss.evaluation.setting import setting_of

_SAME_START = 60.0  # seconds: runs of one process share MMEngine's folder for a while
_logger = logging.getLogger(__name__)


class UnwrittenResultError(OSError):
    """A run is complete, but its result cannot be written.

    Args:
        result: what could not be written.
        error: why.
    """

    def __init__(self, result: Result, error: OSError) -> None:
        super().__init__(error.errno, error.strerror, error.filename)
        self.result = result


def run_test(
    config: Config, *, resume: bool = False, restart_changed: bool = False, hooks: Sequence[Hook] = ()
) -> Result | None:
    """Evaluate a config on its test set and write ``result.json`` into its ``work_dir``.

    Until that file is there, the folder ``state`` beside it holds what has been counted. An earlier result is renamed,
    and so is the state of an earlier run that is not resumed.

    Args:
        config: of :func:`mmseg_tfovss.config.load_config`, with ``work_dir`` set.
        resume: go on from the state that an interrupted run has left, if there is one; return the result of a finished
            one.
        restart_changed: begin anew if that was another run (settings, code, data or files differ), instead of refusing.
        hooks: MMEngine's; those with a ``close()`` are closed when the run ends, in whatever way.

    Returns:
        The result, on the main process; None on the others.

    Raises:
        ValueError: a setting, file or label that cannot work, or that changes meanwhile; the folder is in use; what is
            to be resumed is another run; another process has failed.
        FileNotFoundError: missing data or weights.
        UnwrittenResultError: the result cannot be written.
        OSError: the folder cannot be written.
        StoppedError: a signal has ended the run.
    """
    folder = Path(config.work_dir)
    join_processes(config.launcher, config.get("env_cfg", {}))
    peers = Peers(folder)
    with peers.together(), ExitStack() as stack:
        check_run(config)
        share_first(lambda: stack.enter_context(locked(folder)))
        if is_main_process():
            _remove_empty_logs(folder)
        if resume:
            finished = share_first(lambda: _made_already(config, folder, restart_changed=restart_changed))
            if finished:
                return finished if is_main_process() else None
        config.test_cfg.update(resume=resume, restart_changed=restart_changed)
        code = made_by()
        inputs = fingerprints(named_files(config))
        runner = Runner.from_cfg(config)
        prepare_once(runner.model)
        inputs = _check_inputs(inputs, [*named_files(config), *files_read(runner.model)])
        loop: ResumableTestLoop = runner.test_loop
        share_first(lambda: _forget_finished(loop.state, folder))
        loop.begin(peers)
        hooks = (ProgressHook(), *hooks)
        for hook in hooks:
            runner.register_hook(hook)
        share_first(lambda: set_aside(folder, overlays=not loop.earlier_batches))
        try:
            runner.test()
        finally:
            for hook in hooks:
                getattr(hook, "close", lambda: None)()
        if not is_main_process():
            return None
        _warn_of_changes(loop)
        result = _result(config, inputs, loop, code)
        _write(result, folder, loop)
        return result


def _remove_empty_logs(folder: Path) -> None:
    """Remove what MMEngine has made at earlier starts, unless something was logged; the config lies beside it."""
    for log in folder.glob("[0-9]*_[0-9]*/[0-9]*_[0-9]*.log"):
        facts = log.stat()
        if log.stem == log.parent.name and not facts.st_size and time.time() - facts.st_mtime > _SAME_START:
            shutil.rmtree(log.parent, ignore_errors=True)


def _made_already(config: Config, folder: Path, *, restart_changed: bool) -> Result | None:
    """The result, if it is this run's: another process may have made it while this one began."""
    found = finished_result(config, folder)
    if found is None:
        check_settings_of(config, folder, restart_changed=restart_changed)
        changed = ", ".join(out_of_date(config, folder))
        if changed:
            _logger.warning(
                "warning: the result in %s is out of date (%s): it is kept under another name.", folder, changed
            )
    return found


def _forget_finished(state: StateFolder, folder: Path) -> None:
    """Remove what a run has left that was killed between writing its result and this; what is of another run stays."""
    with suppress(OSError, ValueError):  # a damaged result is none
        result = read_result(folder)
        if state.is_all_of(result["settings"], result["code_hash"], result["num_images"]):
            state.forget()


def _check_inputs(before: dict[str, str], paths: Sequence[Path]) -> dict[str, str]:
    """What was read when the model was built, which must not have changed meanwhile; also what it found by itself."""
    after = fingerprints(paths)
    changed = [path for path in before if after.get(path) != before[path]]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} changed while the model was being built: wait until nothing writes there, then start"
            " again."
        )
    return after


def _warn_of_changes(loop: ResumableTestLoop) -> None:
    """What changes after it was tested does not make a number wrong, but old."""
    changed = loop.dataset.changed(range(len(loop.dataset.samples)))
    if changed:
        _logger.warning(
            "warning: %s changed after being tested: the result is of the earlier content, and --resume would run it"
            " again.",
            told(changed),
        )


def _write(result: Result, folder: Path, loop: ResumableTestLoop) -> None:
    try:
        set_aside(folder, overlays=False)  # of a run that has not seen this one's lock
        write_result(result, folder)
    except OSError as error:
        loop.save()  # once more: something may have been deleted
        raise UnwrittenResultError(result, error) from error
    loop.state.forget()


def _result(config: Config, inputs: dict[str, str], loop: ResumableTestLoop, code: MadeBy) -> Result:
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
        setting=setting_of(config),
        overrides=config.overrides,
        precision=config.model.get("precision", "fp32"),
        device=" + ".join(total.devices),
        metrics=metric.scores.summary,
        per_class=class_scores(names, metric.scores),
        num_images=metric.total_images,
        expected_images=FACTS[config.dataset].images if config.dataset in FACTS else None,
        seconds_per_image=(total.earlier_seconds + total.seconds) / metric.total_images,
        peak_memory_mb=total.peak_memory_mb,
        config_hash=config_hash(config),
        code_hash=total.identity["the code"],
        dataset_hash=loop.dataset.hash,
        inputs=inputs,
        vocabulary=model.decode_head.vocabulary.source,
        vocabulary_version=model.decode_head.vocabulary.version,
        vocabulary_hash=model.decode_head.vocabulary.hash,
        weights_hash=weights_hash([network.weights_hash for network in networks]),
        git_commit=code.git_commit,
        package=code.package,
        versions=code.versions,
        settings=settings_of(config),
        assumptions=[said for network in networks for said in getattr(network, "assumptions", ())],
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
