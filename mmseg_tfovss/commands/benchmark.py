"""Measure what methods cost: seconds per stage, memory, FLOPs, and more (docs/speed.md)."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options, named_path

_DEFAULTS = {"precision": ["fp32"], "repeats": 5, "size": (480, 640)}


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line; an option that is not given is ``None``, ``False`` or empty."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Measure what methods cost. Without another measurement: seconds per stage, images per second,"
        " memory, parameters and FLOPs of each config.",
    )
    parser.add_argument("configs", nargs="*", metavar="config")
    parser.add_argument("--image", type=named_path, help="default: random noise of --size, as JPEG")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: 480 640")
    parser.add_argument("--random-weights", action="store_true", help="random networks and texts: no download")
    parser.add_argument(
        "--precision", action="extend", nargs="+", help="compared with the first: fp32 (default) bf16 fp16"
    )
    parser.add_argument("--repeats", type=int, help="measured passes; default: 5")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    add_cfg_options(parser)
    parser.add_argument(
        "--out", type=named_path, help="write the table of --complexity or --against: .md, .csv or .json"
    )
    _add_measurements(parser)
    return parser.parse_args(argv)


def _add_measurements(parser: argparse.ArgumentParser) -> None:
    others = parser.add_argument_group("other measurements, one at a time")
    others.add_argument(
        "--complexity", action="store_true", help="one row per config: FLOPs, parameters, seconds per component"
    )
    others.add_argument(
        "--host-syncs", action="store_true", help="where a GPU and its host wait for each other; needs no GPU"
    )
    others.add_argument(
        "--loader",
        type=int,
        metavar="N",
        help="label N images loaded as by tfovss test: how long does it wait for them?",
    )
    others.add_argument("--solvers", action="store_true", help="time DSLO's solvers beside POT, without a config")
    others.add_argument(
        "--scale",
        type=named_path,
        metavar="OUT",
        help="a folder: cost against image size, words and batch, written there",
    )
    others.add_argument(
        "--against",
        type=named_path,
        metavar="DIR",
        help="a checkout of the method's official repository, timed in turn with ours",
    )
    others.add_argument(
        "--gpu-report",
        type=named_path,
        metavar="OUT",
        help="measure this machine's GPU; write report.md and .json into OUT",
    )
    parts = parser.add_argument_group("their options")
    parts.add_argument("--sizes", type=float, nargs="+", metavar="MP", help="of --scale: megapixels; 0.3 1 2 4 8")
    parts.add_argument("--words", type=int, nargs="+", metavar="N", help="of --scale: words; 20 100 1000 10000")
    parts.add_argument("--batches", type=int, nargs="+", metavar="N", help="of --scale: images; 1 2 4 8 16")
    parts.add_argument(
        "--official",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of --against: change official settings",
    )
    parts.add_argument(
        "--hub",
        type=named_path,
        metavar="DIR",
        help="of --against: a clone of facebookresearch/dino, which ProxyCLIP, CorrCLIP and Trident need",
    )
    parts.add_argument("--minutes", type=float, help="of --gpu-report: that it may take; default: 7")
    parts.add_argument(
        "--report-network", metavar="NETWORK", help="of --gpu-report: ViT-B-16 (default) or pocket, which is small"
    )


def check(arguments: argparse.Namespace) -> str:
    """Refuse what excludes each other or would not act, before anything is timed; returns the kind of measurement."""
    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.profiling.complexity import check_suffix
    from mmseg_tfovss.profiling.gpu_report.options import check_report
    from mmseg_tfovss.profiling.kinds import check_counts, check_precisions, check_size, choose_kind
    from mmseg_tfovss.whole_file import check_target

    kind = choose_kind(vars(arguments))
    check_counts({name: getattr(arguments, name) for name in ("repeats", "loader")})
    check_size(arguments.size)
    check_precisions(arguments.precision or ())
    arguments.official = parse_options(arguments.official, "--official")
    for name, default in _DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    if arguments.out:
        check_suffix(arguments.out)
        check_target(arguments.out, "--out")
    if arguments.scale:
        check_target(arguments.scale / "scale.csv", "--scale")
        if len(arguments.precision) > 1:
            raise ValueError(f"--scale takes one precision, but got {' '.join(arguments.precision)}.")
    if arguments.gpu_report:
        check_report(arguments.gpu_report, arguments.minutes, arguments.report_network, arguments.device)
    return kind


def run(kind: str, arguments: argparse.Namespace, scratch: Path) -> None:
    """Measure."""
    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.engine.single import find_device, read_image
    from mmseg_tfovss.profiling.failures import check_files
    from mmseg_tfovss.profiling.measurements import MEASUREMENTS
    from mmseg_tfovss.profiling.noise_image import make_noise_image
    from mmseg_tfovss.profiling.random_weights.networks import take_random_weights

    find_device(arguments.device)
    if arguments.image:
        read_image(arguments.image)  # what is wrong with it is told before anything slow
    configs = [load_config(path, parse_options(arguments.cfg_options)) for path in arguments.configs]
    image = arguments.image or make_noise_image(scratch / "noise.jpg", arguments.size)
    if arguments.random_weights:
        for config in configs:
            take_random_weights(config, scratch, image)
    if len(configs) > 1:  # one alone is built at once, and says the same
        check_files(configs)
    MEASUREMENTS[kind](configs, image, arguments, scratch)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors(), tempfile.TemporaryDirectory() as scratch:
        from mmengine.device import get_device

        kind = check(arguments)
        arguments.device = arguments.device or get_device()
        run(kind, arguments, Path(scratch))
