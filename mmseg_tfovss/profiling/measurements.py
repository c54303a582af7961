"""What ``tfovss benchmark`` does for each kind of measurement: measure, print, write."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config
from rich.table import Table

from mmseg_tfovss.cli import say
from mmseg_tfovss.earlier_files import keep_earlier
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.leaderboard.table import print_table
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.benchmark import Timing, time_stages
from mmseg_tfovss.profiling.complexity import Row, complexity_row, complexity_table, write_complexity
from mmseg_tfovss.profiling.failures import Failures
from mmseg_tfovss.profiling.gpu_report.options import report_of
from mmseg_tfovss.profiling.gpu_report.run import write_report
from mmseg_tfovss.profiling.official.report import comparison_table, write_comparison
from mmseg_tfovss.profiling.official.run import time_against
from mmseg_tfovss.profiling.random_weights.text import use_random_text
from mmseg_tfovss.profiling.scale.points import BATCHES, SIZES, WORDS, Sweeps
from mmseg_tfovss.profiling.scale.run import measure_scale
from mmseg_tfovss.profiling.solver_speed import time_solvers
from mmseg_tfovss.profiling.tables import benchmark_table, summary_table
from mmseg_tfovss.profiling.waiting import show_host_syncs, show_loading


def _stages(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    found: dict[str, Timing] = {}
    failures = Failures(len(configs))
    with ExitStack() as at_the_end:
        if len(configs) > 1:
            at_the_end.callback(_show, summary_table, found)
        for config in configs:
            timings: dict[str, Timing] = {}
            with failures.noted(config.run_name), ExitStack() as then:
                then.callback(_show, partial(benchmark_table, config.run_name), timings)
                for precision, timing in time_precisions(config, image, arguments):
                    timings[precision] = found[f"{config.run_name}, {precision}"] = timing
    failures.tell()


def _show(make_table: Callable[[dict[str, Timing]], Table], found: dict[str, Timing]) -> None:
    """Print what has been found, also on the way out after an error."""
    if found:
        print_table(make_table(found))


def _complexity(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    rows: list[Row] = []
    failures = Failures(len(configs))
    with ExitStack() as at_the_end:
        at_the_end.callback(_give_complexity, rows, len(configs) * len(arguments.precision), arguments.out)
        for config in configs:
            with failures.noted(config.run_name):
                for precision, timing in time_precisions(config, image, arguments):
                    rows.append(complexity_row(config.run_name, timing, precision, arguments.device))
    failures.tell()


def _give_complexity(rows: Sequence[Row], wanted: int, out: Path | None) -> None:
    """Print and write the rows that there are, also on the way out after an error."""
    if not rows:
        return
    print_table(complexity_table(rows))
    if out:
        _write(out, partial(write_complexity, rows, out), complete=len(rows) == wanted)


def _write(path: Path, write: Callable[[], None], *, complete: bool) -> None:
    """Write a file; one that holds only a part of what was wanted takes no other's place."""
    if not complete:
        keep_earlier([path])
    write()
    say(f"Written: {path}")


def time_precisions(config: Config, image: Path, arguments: argparse.Namespace) -> Iterator[tuple[str, Timing]]:
    """One config in every precision, each as soon as it has been measured."""
    for precision in arguments.precision:
        config.model.precision = precision
        yield precision, time_stages(_build(config, arguments), image, arguments.repeats)


def _build(config: Config, arguments: argparse.Namespace) -> OpenVocabSegmentor:
    model = build_method(config, arguments.device)
    if arguments.random_weights:
        use_random_text(model)
    return model


def _waiting(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    failures = Failures(len(configs))
    for config in configs:
        with failures.noted(config.run_name):
            model = _build(config, arguments)
            if arguments.host_syncs:
                print_table(show_host_syncs(model, config.run_name, image))
            else:
                print_table(show_loading(model, config, image, arguments.loader, scratch))
    failures.tell()


def _solvers(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    print_table(time_solvers(arguments.device, arguments.repeats))


def _scale(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    [config] = configs
    sweeps = Sweeps(arguments.sizes or SIZES, arguments.words or WORDS, arguments.batches or BATCHES)
    config.model.precision = arguments.precision[0]
    measure_scale(config, sweeps, arguments.scale, device=arguments.device, repeats=arguments.repeats)


def _against(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    [config] = configs
    found = time_against(
        config,
        arguments.against,
        image,
        changes=arguments.official,
        precisions=arguments.precision,
        device=torch.device(arguments.device),
        repeats=arguments.repeats,
        scratch=scratch,
        hub=arguments.hub,
    )
    print_table(comparison_table(found))
    if arguments.out:
        _write(arguments.out, partial(write_comparison, found, arguments.out), complete=found.stopped is None)
    if found.stopped:
        raise found.stopped


def _gpu_report(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    say(f"Written: {write_report(report_of(arguments, image, scratch))}")


# By kind: configs, the image, options that are checked, and a folder for what is needed meanwhile.
MEASUREMENTS: dict[str, Callable[[Sequence[Config], Path, argparse.Namespace, Path], None]] = {
    "stages": _stages,
    "complexity": _complexity,
    "host_syncs": _waiting,
    "loader": _waiting,
    "solvers": _solvers,
    "scale": _scale,
    "against": _against,
    "gpu_report": _gpu_report,
}
