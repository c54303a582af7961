"""Time configs stage by stage on one image (docs/speed.md)."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config
    from rich.table import Table

    from mmseg_tfovss.profiling.benchmark import Timing

_REPEATS = 5
_NOT_BESIDE_WAITING = {  # and what to do instead
    **dict.fromkeys(("solvers", "against", "complexity"), "give one of them at a time"),
    "precision": "use --cfg-options model.precision=...",
    "repeats": "--loader takes the number of images",
}


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Seconds per stage, images per second, memory, parameters and FLOPs."
    )
    parser.add_argument("configs", nargs="*", metavar="config")
    parser.add_argument("--image", type=Path, help="default: random noise of --size, as JPEG")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--random-weights", action="store_true", help="no checkpoint, no text tower: timing only")
    parser.add_argument(
        "--precision", action="extend", nargs="+", help="compared with the first: fp32 (default) bf16 fp16"
    )
    parser.add_argument(
        "--complexity", action="store_true", help="one row per config: FLOPs, parameters, seconds per component"
    )
    parser.add_argument(
        "--host-syncs", action="store_true", help="where a GPU and its host wait for each other; needs no GPU"
    )
    parser.add_argument(
        "--loader",
        type=int,
        metavar="N",
        help="label N images loaded as by tfovss test: how long does it wait for them?",
    )
    parser.add_argument("--solvers", action="store_true", help="time DSLO's solvers beside POT, without a config")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="a checkout of the method's official repository, timed in turn with ours",
    )
    parser.add_argument(
        "--hub", type=Path, metavar="DIR", help="a checkout of facebookresearch/dino, for ProxyCLIP's official code"
    )
    parser.add_argument(
        "--official", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="change its settings"
    )
    parser.add_argument("--out", type=Path, help="write the --complexity table: a .md, .csv or .json file")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument("--repeats", type=int, help=f"default: {_REPEATS}")
    parser.add_argument("--cfg-options", action="extend", nargs="+", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    arguments.waiting = arguments.host_syncs or arguments.loader is not None
    arguments.beside_waiting = [name for name in _NOT_BESIDE_WAITING if getattr(arguments, name) not in (None, False)]
    arguments.precision = arguments.precision or ["fp32"]
    arguments.repeats = _REPEATS if arguments.repeats is None else arguments.repeats
    return arguments


def check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that exclude each other, before anything is timed."""
    from mmseg_tfovss.profiling.complexity import check_suffix

    _check_waiting(arguments)
    if arguments.repeats < 1:
        raise ValueError(f"--repeats must be at least 1, but got {arguments.repeats}.")
    if bool(arguments.configs) == arguments.solvers:
        raise ValueError("Name a config to time, or --solvers alone.")
    if arguments.against and (len(arguments.configs) != 1 or arguments.complexity):
        raise ValueError("--against takes one config, and prints a table of its own: leave out --complexity.")
    for name in ("official", "hub"):
        if getattr(arguments, name) and not arguments.against:
            raise ValueError(f"--{name} is about the repository of --against: give both.")
    if arguments.out:
        check_suffix(arguments.out)
        if not arguments.complexity:
            raise ValueError("--out writes the table of --complexity: give both.")


def _check_waiting(arguments: argparse.Namespace) -> None:
    if arguments.loader is not None and arguments.loader < 1:
        raise ValueError(f"--loader must be at least 1, but got {arguments.loader}.")
    for name in arguments.beside_waiting if arguments.waiting else ():
        raise ValueError(f"--{name} does not act with --host-syncs or --loader: {_NOT_BESIDE_WAITING[name]}.")


def time_precisions(config: "Config", image: Path, arguments: argparse.Namespace) -> dict[str, "Timing"]:
    """One config in every precision."""
    from mmseg_tfovss.engine.single import build_method
    from mmseg_tfovss.profiling.benchmark import time_stages, use_random_text

    timings = {}
    if arguments.random_weights:
        config.model.backbone.pretrained = None
    for precision in arguments.precision:
        config.model.precision = precision
        model = build_method(config, arguments.device)
        if arguments.random_weights:
            use_random_text(model)
        timings[precision] = time_stages(model, image, arguments.repeats)
    return timings


def run(arguments: argparse.Namespace, scratch: Path) -> None:
    """Time every config; print a table for each, or one of their complexity."""
    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.leaderboard.table import print_table
    from mmseg_tfovss.profiling.benchmark import benchmark_table, make_noise_image
    from mmseg_tfovss.profiling.complexity import complexity_row, complexity_table, write_complexity

    if arguments.solvers:
        from mmseg_tfovss.profiling.solver_speed import time_solvers

        print_table(time_solvers(arguments.device, arguments.repeats))
    configs = [load_config(path, parse_options(arguments.cfg_options)) for path in arguments.configs]
    image = arguments.image or make_noise_image(scratch / "noise.jpg", arguments.size)
    if arguments.waiting:
        _show_waiting(configs, image, arguments, scratch)
        return
    if arguments.against:
        print_table(_against(configs[0], image, arguments, scratch))
        return
    rows = []
    for config in configs:
        timings = time_precisions(config, image, arguments)
        rows += [complexity_row(config.run_name, timing, name, arguments.device) for name, timing in timings.items()]
        if not arguments.complexity:
            print_table(benchmark_table(config.run_name, timings))
    if arguments.complexity:
        print_table(complexity_table(rows))
    if arguments.out:
        write_complexity(rows, arguments.out)
        say(f"Written: {arguments.out}")


def _show_waiting(configs: Sequence["Config"], image: Path, arguments: argparse.Namespace, scratch: Path) -> None:
    from mmseg_tfovss.leaderboard.table import print_table
    from mmseg_tfovss.profiling.waiting import build_for_timing, show_host_syncs, show_loading

    for config in configs:
        model = build_for_timing(config, arguments.device, random_weights=arguments.random_weights)
        if arguments.host_syncs:
            print_table(show_host_syncs(model, config.run_name, image))
        if arguments.loader:
            print_table(show_loading(model, config, image, arguments.loader, scratch))


def _against(config: "Config", image: Path, arguments: argparse.Namespace, scratch: Path) -> "Table":
    import torch

    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.profiling.official.run import time_against

    return time_against(
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


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors(), tempfile.TemporaryDirectory() as scratch:
        from mmengine.device import get_device

        check(arguments)
        arguments.device = arguments.device or get_device()
        run(arguments, Path(scratch))
