"""Repeat a published number: fetch what is missing, run, compare (docs/reproduce.md)."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.cli import add_cfg_options
from mmseg_tfovss.cores import cores

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseg_tfovss.downloads.fetching import Plan
    from mmseg_tfovss.reproduce.targets import Target

NOT_REPEATED = 3  # exit code: the run is complete, but its number is not the published one
_DATA_ROOT = "test_dataloader.dataset.data_root"


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Repeat a published mIoU: fetch weights and data that are missing, run the paper's config, and"
        " compare. The exit code is 0 if the difference is at most 0.3, and 3 if it is larger or the run is not the"
        " published one.",
    )
    parser.add_argument("method", help="e.g. sclip, lht_clip_clearclip (LHT-CLIP around ClearCLIP)")
    parser.add_argument("dataset", help="e.g. voc21, ade20k")
    parser.add_argument("--backbone", default="vit-b16", help="e.g. vit-l14; default: vit-b16")
    parser.add_argument("--dry-run", action="store_true", help="show the plan; nothing is asked, fetched or run")
    parser.add_argument("--yes", action="store_true", help="fetch without asking")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run; show a finished one")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/<config name>")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the GPU if there is one")
    parser.add_argument(
        "--archives",
        type=Path,
        default=Path("data/archives"),
        help="folder of the dataset's archives, or of what they unpack to (default: data/archives)",
    )
    add_cfg_options(
        parser,
        "where things are and how they run, e.g. model.backbone.pretrained=FILE model.precision=fp16;"
        " other settings would be another run",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Repeat a number, or show the plan."""
    arguments = parse_arguments(argv, prog)
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch is imported: a run takes the GPU that torch sees
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        return run(arguments)
    return 1  # user_errors leaves by SystemExit


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says: the exit code."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.downloads.fetching import fetch_weights, make_datasets, make_plan, refuse_missing
    from mmseg_tfovss.reproduce.targets import find_target

    target = find_target(arguments.method, arguments.dataset, arguments.backbone)
    config = _with_options(target, arguments)
    _announce(target)
    plan = make_plan([config], arguments.archives, data=True, ask=not arguments.dry_run)
    command = _command(target, arguments)
    say("Plan:", *plan.lines, f"  run    tfovss test {shlex.join(command)}")
    if arguments.dry_run:
        return 0
    refuse_missing(plan)
    _agree(plan, yes=arguments.yes)
    fetch_weights(plan, say)
    folders = make_datasets(plan, cores(), say)
    folder = folders.get(config.run_name)
    is_elsewhere = folder != Path(config.test_dataloader.dataset.data_root)
    return _test(target, config, _command(target, arguments, folder if is_elsewhere else None))


def _with_options(target: "Target", arguments: argparse.Namespace) -> "Config":
    """The config as it is run.

    Raises:
        ValueError: an option makes it another run, or there is no such device.
        FileNotFoundError: an option names a file that does not exist.
    """
    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.downloads.needs import check_named

    options = parse_options(arguments.cfg_options)
    config = load_config(target.path, options)
    changed = [*config.overrides, *(["protocol"] if config.protocol != "paper" else [])]
    if changed:
        raise ValueError(
            f"--cfg-options {', '.join(changed)}: with it, this is not the run that the number was published for. Leave"
            " it out, or use tfovss test."
        )
    check_named(config, options)
    if arguments.device == "cuda" and not arguments.dry_run:
        import torch

        if not torch.cuda.is_available():
            raise ValueError("--device cuda: no GPU is visible. Leave --device out to run on the CPU.")
    return config


def _announce(target: "Target") -> None:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.datasets.facts import FACTS
    from mmseg_tfovss.reproduce.report import number_line

    facts = FACTS[target.number.dataset]
    say(
        f"{target.number.method} on {facts.title} ({facts.images} images), config {target.path.stem}",
        f"Published:  {number_line(target.number)}",
        *(f"Also:       {number_line(other)}" for other in target.others),
    )


def _command(target: "Target", arguments: argparse.Namespace, data: Path | None = None) -> list[str]:
    """What ``tfovss test`` is given."""
    options = list(arguments.cfg_options)
    if data is not None:
        options = [option for option in options if not option.startswith(f"{_DATA_ROOT}=")] + [f"{_DATA_ROOT}={data}"]
    return [
        target.path.stem,
        *(["--work-dir", str(arguments.work_dir)] if arguments.work_dir else []),
        *(["--resume"] if arguments.resume else []),
        *(["--cfg-options", *options] if options else []),
    ]


def _agree(plan: "Plan", *, yes: bool) -> None:
    """Ask once, if anything is fetched.

    Raises:
        ValueError: nobody can be asked, or the answer is no.
    """
    from mmseg_tfovss.cli import say

    if yes or not plan.fetches:
        return
    if not sys.stdin.isatty():
        raise ValueError("There is no terminal to ask on: add --yes to fetch this without a question.")
    try:
        answer = input("Fetch this, on these terms, and run? [y/N] ")
    except EOFError:  # Ctrl-D
        say("")  # the question has not ended its line
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ValueError("Nothing was fetched.")


def _test(target: "Target", config: "Config", words: list[str]) -> int:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.commands import test
    from mmseg_tfovss.evaluation.result import read_result
    from mmseg_tfovss.reproduce.comparison import compare
    from mmseg_tfovss.reproduce.report import comparison_lines, write_report

    test.main(words, "tfovss test")
    folder = test.parse_arguments(words).work_dir or Path(config.work_dir)
    result = read_result(folder)
    found = compare(result, target.number)
    say(*comparison_lines(found, target.number, target.others))
    written = write_report(found, target.number, target.others, result, folder)
    say(f"Written: {', '.join(map(str, written))}")
    return 0 if found.repeated else NOT_REPEATED
