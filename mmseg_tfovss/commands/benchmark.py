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
    parser.add_argument(
        "--scale", type=Path, metavar="OUT", help="a folder: cost against image size, words and batch, written there"
    )
    parser.add_argument("--sizes", type=float, nargs="+", metavar="MP", help="of --scale: megapixels; 0.3 1 2 4 8")
    parser.add_argument("--words", type=int, nargs="+", metavar="N", help="of --scale: words; 20 100 1000 10000")
    parser.add_argument("--batches", type=int, nargs="+", metavar="N", help="of --scale: images; 1 2 4 8 16")
    parser.add_argument("--out", type=Path, help="write the --complexity table: a .md, .csv or .json file")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cfg-options", action="extend", nargs="+", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args(argv)
    arguments.precision = arguments.precision or ["fp32"]
    return arguments


def check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that exclude each other, before anything is timed."""
    from mmseg_tfovss.profiling.complexity import check_suffix

    if arguments.repeats < 1:
        raise ValueError(f"--repeats must be at least 1, but got {arguments.repeats}.")
    if bool(arguments.configs) == arguments.solvers:
        raise ValueError("Name a config to time, or --solvers alone.")
    if arguments.against and (len(arguments.configs) != 1 or arguments.complexity):
        raise ValueError("--against takes one config, and prints a table of its own: leave out --complexity.")
    for name in ("official", "hub"):
        if getattr(arguments, name) and not arguments.against:
            raise ValueError(f"--{name} is about the repository of --against: give both.")
    _check_scale(arguments)
    if arguments.out:
        check_suffix(arguments.out)
        if not arguments.complexity:
            raise ValueError("--out writes the table of --complexity: give both.")


def _check_scale(arguments: argparse.Namespace) -> None:
    from mmseg_tfovss.whole_file import check_target

    points = [name for name in ("sizes", "words", "batches") if getattr(arguments, name)]
    if not arguments.scale:
        if points:
            raise ValueError(f"--{points[0]} chooses what --scale measures: give both.")
        return
    others = [name for name in ("complexity", "solvers", "against", "image") if getattr(arguments, name)]
    if len(arguments.configs) != 1 or others or len(arguments.precision) != 1:
        raise ValueError(
            "--scale takes one config and one precision, makes its own images, and writes its own tables: leave out"
            f" {f'--{others[0]}' if others else 'the others'}."
        )
    check_target(arguments.scale / "scale.csv", "--scale")


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
    if arguments.scale:
        _scale(configs[0], arguments)
        return
    image = arguments.image or make_noise_image(scratch / "noise.jpg", arguments.size)
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


def _scale(config: "Config", arguments: argparse.Namespace) -> None:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.profiling.scale.points import BATCHES, SIZES, WORDS, Sweeps
    from mmseg_tfovss.profiling.scale.run import measure_scale

    sweeps = Sweeps(arguments.sizes or SIZES, arguments.words or WORDS, arguments.batches or BATCHES)
    config.model.precision = arguments.precision[0]
    if arguments.random_weights:
        config.model.backbone.pretrained = None
    measure_scale(config, sweeps, arguments.scale, device=arguments.device, repeats=arguments.repeats)
    say(
        *(arguments.scale / "scale.md").read_text(encoding="utf-8").splitlines(),
        f"Written: {arguments.scale}/scale.{{md,csv,png}}",
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
