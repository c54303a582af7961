"""Evaluate configs for every combination of some options' values (docs/commands.md)."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Evaluate configs for every combination of the given values. If the command is interrupted, repeat"
        " it: finished combinations are kept. The exit code is 1 if a combination failed.",
    )
    parser.add_argument(
        "arguments",
        nargs="+",
        metavar="CONFIG | KEY=VALUE,VALUE,...",
        help="configs with a dataset, and options with their values, e.g. model.tau=0.1,0.3,0.5; values with commas in"
        " brackets, settings as \"model.graph={'type':'DINO','_delete_':True},{'type':'CLIPGraph'}\"",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="evaluate the first N images; default: all")
    parser.add_argument("--out", type=Path, help="folder; default: work_dirs/analysis/<name of the first config>_sweep")
    parser.add_argument(
        "--cache", type=float, default=4.0, metavar="GIB", help="memory for results that combinations share; default: 4"
    )
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    add_cfg_options(parser, "settings that are the same for all, e.g. model.precision=bf16")
    return parser.parse_intermixed_args(argv)


def run(arguments: argparse.Namespace) -> bool:
    """Evaluate, write and print; whether every combination has worked."""
    from mmengine.device import get_device

    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.sweeps.report import best_lines, write_report
    from mmseg_tfovss.sweeps.run import sweep
    from mmseg_tfovss.sweeps.table import ERROR, TABLE_NAME
    from mmseg_tfovss.sweeps.values import parse_swept, split_arguments

    paths, pairs = split_arguments(arguments.arguments)
    if not paths:
        raise ValueError("Name the config to sweep, e.g. configs/dslo/dslo_vit-pocket_pocket_all.py.")
    options, swept = parse_options(arguments.cfg_options), parse_swept(pairs)
    first = load_config(paths[0], options).run_name
    name = first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"
    folder = arguments.out or Path(f"work_dirs/analysis/{first}_sweep")
    device = arguments.device or get_device()
    rows = sweep(paths, options, swept, folder, device, arguments.samples, int(arguments.cache * 2**30))
    written = [folder / TABLE_NAME, *write_report(rows, swept, folder, name)]
    failed = sum(bool(row[ERROR]) for row in rows)
    say(*best_lines(rows, swept), *(f"Written: {path}" for path in written))
    if failed:
        say(f"Failed: {failed} of {len(rows)} combinations, see the column {ERROR!r} of {folder / TABLE_NAME}.")
    return not failed


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        succeeded = run(arguments)
    sys.exit(0 if succeeded else 1)
