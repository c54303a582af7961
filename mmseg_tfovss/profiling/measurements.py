"""What ``tfovss benchmark`` does for each kind of measurement: measure, print, write."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg_tfovss.cli import parse_options, say
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.leaderboard.table import print_table
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.benchmark import Timing, time_stages
from mmseg_tfovss.profiling.complexity import complexity_row, complexity_table, write_complexity
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
    for config in configs:
        timings = time_precisions(config, image, arguments)
        print_table(benchmark_table(config.run_name, timings))
        found |= {f"{config.run_name}, {name}": timing for name, timing in timings.items()}
    if len(configs) > 1:
        print_table(summary_table(found))


def _complexity(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    rows = []
    for config in configs:
        timings = time_precisions(config, image, arguments)
        rows += [complexity_row(config.run_name, timing, name, arguments.device) for name, timing in timings.items()]
    print_table(complexity_table(rows))
    if arguments.out:
        write_complexity(rows, arguments.out)
        say(f"Written: {arguments.out}")


def time_precisions(config: Config, image: Path, arguments: argparse.Namespace) -> dict[str, Timing]:
    """One config in every precision."""
    timings = {}
    for precision in arguments.precision:
        config.model.precision = precision
        model = _build(config, arguments)
        timings[precision] = time_stages(model, image, arguments.repeats)
    return timings


def _build(config: Config, arguments: argparse.Namespace) -> OpenVocabSegmentor:
    model = build_method(config, arguments.device)
    if arguments.random_weights:
        use_random_text(model)
    return model


def _waiting(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    for config in configs:
        model = _build(config, arguments)
        if arguments.host_syncs:
            print_table(show_host_syncs(model, config.run_name, image))
        else:
            print_table(show_loading(model, config, image, arguments.loader, scratch))


def _solvers(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    print_table(time_solvers(arguments.device, arguments.repeats))


def _scale(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    [config] = configs
    sweeps = Sweeps(arguments.sizes or SIZES, arguments.words or WORDS, arguments.batches or BATCHES)
    config.model.precision = arguments.precision[0]
    measure_scale(config, sweeps, arguments.scale, device=arguments.device, repeats=arguments.repeats)
    say(
        *(arguments.scale / "scale.md").read_text(encoding="utf-8").splitlines(),
        f"Written: {arguments.scale}/scale.{{md,csv,png}}",
    )


def _against(configs: Sequence[Config], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    [config] = configs
    found = time_against(
        config,
        arguments.against,
        image,
        changes=parse_options(arguments.official),
        precisions=arguments.precision,
        device=torch.device(arguments.device),
        repeats=arguments.repeats,
        scratch=scratch,
        hub=arguments.hub,
    )
    print_table(comparison_table(found))
    if arguments.out:
        write_comparison(found, arguments.out)
        say(f"Written: {arguments.out}")


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
