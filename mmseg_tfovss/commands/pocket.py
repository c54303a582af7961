"""Run every method on the bundled benchmark and make its leaderboard (docs/pocket.md: "Run it")."""

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.commands.leaderboard import folder
from mmseg_tfovss.cores import cores

if TYPE_CHECKING:
    from mmseg_tfovss.cluster.launch import Launch
    from mmseg_tfovss.cluster.run_list import PlannedRun

_MOST_JOBS = 4  # by default
_OVERLAYS = "4"
_EVERY_RUN = ("commands.test", "engine.run", "leaderboard.table", "pictures.hook")  # modules that it imports
_PAGE = "leaderboard.html"


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run methods on the bundled pocket benchmark, print the leaderboard and write it as a page. Needs"
        " no download. Run again, it goes on where it was, and skips what has finished. The exit code is 1 if a run has"
        " failed.",
        epilog="The scenes are generated, and the CLIP is a small one that was trained on such scenes: the benchmark"
        " shows that the pipeline works, and ranks nothing about the real world.",
    )
    parser.add_argument("--full", action="store_true", help="all 200 scenes; default: 50 that represent them")
    parser.add_argument(
        "--methods", nargs="+", default=[], metavar="M", help="only these, e.g. sclip naclip; default: all"
    )
    parser.add_argument(
        "--out", type=folder, default=Path("work_dirs"), help="folder of results and leaderboard; default: work_dirs"
    )
    parser.add_argument(
        "--jobs", type=jobs, metavar="N", help=f"runs at a time; default: one per core, at most {_MOST_JOBS}"
    )
    return parser.parse_args(argv)


def jobs(text: str) -> int:
    """A number of runs, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"takes a number of runs, 1 or more, but got {text!r}")
    return int(text)


def settings(arguments: argparse.Namespace, scenes: Path) -> list[str]:
    """What the runs get as ``--cfg-options``: which scenes, and where they are."""
    from mmseg_tfovss.cluster.pocket_list import SUBSET

    subset = [] if arguments.full else [f"test_dataloader.dataset.subset={SUBSET}"]
    return [*subset, f"test_dataloader.dataset.data_root={scenes}", "test_dataloader.num_workers=0"]


def command(run: "PlannedRun", options: Sequence[str]) -> list[str]:
    """The command that evaluates one config."""
    how = ["--resume", "--restart-changed", "--overlays", _OVERLAYS]
    return ["test", str(run.config), "--work-dir", str(run.folder), *how, "--cfg-options", *options]


def launcher(gpus: Sequence[str], configs: Sequence[Path]) -> "Launch":
    """What starts a run: a fork where that is safe, for which everything is imported and read already."""
    from mmseg_tfovss.cluster.launch import fork_of, new_process, share_memory
    from mmseg_tfovss.commands import main as run_command

    if gpus or sys.platform != "linux":
        return lambda words, *rest: new_process([sys.executable, "-m", "mmseg_tfovss", *words], *rest)
    read_ahead(configs)
    share_memory()
    return fork_of(run_command)


def read_ahead(configs: Sequence[Path]) -> None:
    """Import and read what every run needs."""
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.engine.code import code_hash

    for name in _EVERY_RUN:
        importlib.import_module(f"mmseg_tfovss.{name}")
    for path in configs:
        code_hash(load_config(path))  # which keeps what each source imports


def run_list(
    runs: Sequence["PlannedRun"], folders: Mapping[str, Sequence[Path]], options: Sequence[str], processes: int
) -> bool:
    """Do the runs; whether all have succeeded."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.cluster.local_list import RunningList, visible_gpus
    from mmseg_tfovss.cluster.pocket_list import MethodLines, in_order
    from mmseg_tfovss.engine.signals import StoppedError
    from mmseg_tfovss.plain import printable

    gpus = visible_gpus()
    working = RunningList(
        in_order(runs),
        lambda run: command(run, options),
        processes,
        say,
        gpus,
        launch=launcher(gpus, [run.config for run in runs]),
        lines=MethodLines(runs, folders),
    )
    try:
        failures = working.work()
    except StoppedError as stop:
        raise SystemExit(stop.exit_code) from None
    for failure in failures:
        sys.stderr.write(f"{printable(f'error: {failure.name}: {failure.reason}, see {failure.log}')}\n")
    return not failures


def show(folders: Sequence[Path], out: Path) -> None:
    """Write and print the leaderboard of the results that there are."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.leaderboard.table import print_table, runs_table
    from mmseg_tfovss.leaderboard.write import POCKET_NOTE, collect_results, make_board, write_leaderboard

    there = [place for place in folders if (place / "result.json").is_file()]
    if not there:
        raise ValueError(f"No run has a result, so {out} is not written.")
    board = make_board(collect_results(there))
    write_leaderboard(board, out)
    print_table(runs_table(board.runs))
    say(POCKET_NOTE, f"Page: {(out / _PAGE).absolute()}")


def able(methods: Mapping[str, list[Path]], *, asked: bool) -> dict[str, list[Path]]:
    """The methods whose packages are installed.

    Raises:
        ValueError: others were asked for.
    """
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.encoders.packages import missing_packages

    lacking = {name: missing_packages(load_config(paths[0]).model) for name, paths in methods.items()}
    without = [name for name, packages in lacking.items() if packages]
    if not without:
        return dict(methods)
    packages = ", ".join(sorted(set().union(*lacking.values())))
    remedy = f"pip install 'mmseg_tfovss[all]' installs {packages}."
    if asked:
        raise ValueError(f"{', '.join(without)}: packages are missing; {remedy}")
    say(f"Left out, because packages are missing: {', '.join(without)}; {remedy}")
    return {name: paths for name, paths in methods.items() if name not in without}


def check_writable(out: Path) -> None:
    """Refuse a folder that cannot be written, before anything runs.

    Raises:
        ValueError: it cannot be made, or nothing can be written into it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out {out} cannot be written ({error.strerror}): name another folder.") from error


def run(arguments: argparse.Namespace) -> bool:
    """Run the benchmark; whether everything has succeeded."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.cluster.pocket_list import SUBSET, choose_methods
    from mmseg_tfovss.cluster.run_list import plan_runs
    from mmseg_tfovss.datasets.facts import FACTS
    from mmseg_tfovss.pocket.files import scenes_folder
    from mmseg_tfovss.pocket.scenes import ensure_scenes
    from mmseg_tfovss.pocket.subset import scenes_of_subset

    methods = able(choose_methods(arguments.methods), asked=bool(arguments.methods))
    check_writable(arguments.out)
    scenes = scenes_folder()
    ensure_scenes(scenes)
    if not arguments.full:
        scenes_of_subset(scenes, SUBSET)  # forks have them then
    options = settings(arguments, scenes)
    paths = [path for configs in methods.values() for path in configs]
    runs, finished = plan_runs(paths, options, arguments.out, restart_changed=True)
    places = {run.config: run.folder for run in (*runs, *finished)}
    folders = {name: [places[path] for path in configs] for name, configs in methods.items()}
    total = FACTS["pocket_all"].images
    part = f"all {total}" if arguments.full else f"{SUBSET} of {total}"
    processes = arguments.jobs or min(cores(), _MOST_JOBS)
    if finished:
        say(f"{len(finished)} of {len(paths)} runs have finished already.")
    if runs:
        say(f"Running {len(runs)} of {len(paths)} configs on {part} scenes, {processes} at a time. Scores are mIoU.")
    succeeded = not runs or run_list(runs, folders, options, processes)
    show(
        list(places.values()), arguments.out / ("leaderboard" if arguments.full else f"leaderboard_{SUBSET}-of-{total}")
    )
    return succeeded


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run the command."""
    arguments = parse_arguments(argv, prog)
    # Small runs share the machine better than its cores: one thread each. Read when torch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.stderr.isatty():
        sys.stderr.write("Loading packages; this takes some seconds.\n")
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        return 0 if run(arguments) else 1
    return 1  # user_errors leaves by SystemExit
