"""Evaluate many configs: as one slurm array job, or with some processes on this machine (docs/clusters.md)."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.cli import add_cfg_options

if TYPE_CHECKING:
    from mmseg_tfovss.cluster.array_job import Resources
    from mmseg_tfovss.cluster.run_list import PlannedRun

TEST = (sys.executable, "-m", "mmseg_tfovss", "test")
SBATCH_OPTIONS = {
    "partition": "NAME",
    "gres": "LIST",
    "time": "D-H:M:S",
    "account": "NAME",
    "qos": "NAME",
    "cpus-per-task": "N",
    "mem": "SIZE",
}


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Evaluate many configs, heaviest datasets first. Finished runs are skipped and interrupted runs"
        " continue, so you can give the same command again. The exit code is 1 if a local run has failed.",
    )
    parser.add_argument("configs", nargs="+", type=Path, metavar="config", help="its file or its name")
    parser.add_argument("--local", type=int, metavar="N", help="run here, N processes at a time; nothing is submitted")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the job script and the list of runs, and submit nothing"
    )
    parser.add_argument("--work-dirs", type=Path, metavar="D", help="write to D/<config name>; default: work_dirs")
    add_cfg_options(parser, "settings of all configs, e.g. model.precision=bf16")
    parser.add_argument(
        "--restart-changed",
        action="store_true",
        help="start over where settings differ, or code or data of an interrupted run, instead of refusing",
    )
    parser.add_argument("--overlays", type=int, metavar="N", help="of N images per run, as tfovss test draws them")
    slurm = parser.add_argument_group("of the array job", "as sbatch has them; what is not given is up to the cluster")
    for name, value in SBATCH_OPTIONS.items():
        slurm.add_argument(f"--{name}", metavar=value)
    slurm.add_argument("--array-parallelism", type=int, metavar="N", help="tasks at a time; default: no limit")
    slurm.add_argument(
        "--grace",
        type=int,
        metavar="SECONDS",
        help="this long before its time limit, a task saves its state and requeues itself; default: 120",
    )
    return parser.parse_args(argv)


def of_slurm(arguments: argparse.Namespace) -> dict[str, str]:
    """The options for sbatch that were given."""
    values = {name: getattr(arguments, name.replace("-", "_")) for name in SBATCH_OPTIONS}
    return {name: value for name, value in values.items() if value is not None}


def check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that exclude each other, and an array job where there is no slurm."""
    both = [
        *of_slurm(arguments),
        *(name for name in ("array_parallelism", "grace") if getattr(arguments, name) is not None),
    ]
    if arguments.local is not None and both:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in both)
        raise ValueError(f"--local submits nothing, so it does not go with {names}.")
    if arguments.local is not None and arguments.local < 1:
        raise ValueError(f"--local must be at least 1, but got {arguments.local}.")
    if arguments.local is None and not arguments.dry_run and shutil.which("sbatch") is None:
        raise ValueError(
            "There is no sbatch on this machine: log in where slurm is, or run the list here with --local N, or look at"
            " the job with --dry-run."
        )


def resources(arguments: argparse.Namespace) -> "Resources":
    """What is asked of slurm."""
    from mmseg_tfovss.cluster.array_job import Resources

    grace = {} if arguments.grace is None else {"grace": arguments.grace}
    return Resources(of_slurm(arguments), arguments.array_parallelism, **grace)


def test_arguments(arguments: argparse.Namespace) -> list[str]:
    """What the test gets beside config and folder."""
    overlays = [] if arguments.overlays is None else ["--overlays", str(arguments.overlays)]
    restart = ["--restart-changed"] if arguments.restart_changed else []
    return [*restart, *overlays, *(["--cfg-options", *arguments.cfg_options] if arguments.cfg_options else [])]


def show(runs: list["PlannedRun"]) -> None:
    """The list, numbered as the array is."""
    from mmseg_tfovss.cli import say

    for number, run in enumerate(runs):
        say(f"{number:4}  {run.config} -> {run.folder}")


def submit(runs: list["PlannedRun"], arguments: argparse.Namespace) -> None:
    """Make the array job, and submit or show it."""
    from datetime import datetime

    from mmseg_tfovss.cli import say
    from mmseg_tfovss.cluster import array_job

    asked, work_dirs = resources(arguments), arguments.work_dirs or Path("work_dirs")
    queued = array_job.queued_folders(work_dirs)
    for run in runs:
        if run.folder in queued:
            say(f"{run.config} is left out: task {queued[run.folder]} is waiting or running in {run.folder}.")
    runs = [run for run in runs if run.folder not in queued]
    if not runs:
        return
    folder = array_job.job_folder(work_dirs, datetime.now())
    text = array_job.list_text(runs)
    script = array_job.script_text(len(runs), folder, Path.cwd(), arguments.test, test_arguments(arguments), asked)
    if arguments.dry_run:
        say(*script.splitlines())
        show(runs)
        say("Not submitted: --dry-run.")
        return
    job = array_job.submit(folder, script, text, list(asked.options))
    show(runs)
    say(f"Submitted {len(runs)} tasks as job {job}: {folder / array_job.SCRIPT_NAME}")
    say(f"Task N writes to slurm-{job}_N.out in its folder; watch them with: squeue --job {job} --array")


def run_here(runs: list["PlannedRun"], arguments: argparse.Namespace) -> bool:
    """Run the list on this machine; whether everything has succeeded."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.cluster.local_list import LOG_NAME, RunningList, visible_gpus
    from mmseg_tfovss.engine.signals import StoppedError
    from mmseg_tfovss.plain import printable

    def command(run: "PlannedRun") -> list[str]:
        own = [str(run.config), "--work-dir", str(run.folder), "--resume"]
        return [*arguments.test, *own, *test_arguments(arguments)]

    say(f"Running {len(runs)} configs, {arguments.local} at a time; each logs to {LOG_NAME} in its folder.")
    try:
        failures = RunningList(runs, command, arguments.local, say, visible_gpus()).work()
    except StoppedError as stop:
        raise SystemExit(stop.exit_code) from None
    if failures:
        lines = [f"  {failure.name}: {failure.reason}, see {failure.log}" for failure in failures]
        for line in (f"{len(failures)} of {len(runs)} runs have failed:", *lines):
            sys.stderr.write(f"{printable(line)}\n")
    return not failures


def run(arguments: argparse.Namespace) -> bool:
    """Do what is asked; whether it has succeeded."""
    check(arguments)
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.cluster.run_list import plan_runs

    resources(arguments)  # a mistake in them is told before configs are read
    runs, finished = plan_runs(
        arguments.configs, arguments.cfg_options, arguments.work_dirs, restart_changed=arguments.restart_changed
    )
    if finished:
        say(f"{len(finished)} of {len(arguments.configs)} configs have finished already.")
    if not runs:
        return True
    if arguments.local is None:
        submit(runs, arguments)
        return True
    if arguments.dry_run:
        show(runs)
        return True
    return run_here(runs, arguments)


def main(argv: Sequence[str] | None = None, prog: str | None = None, *, test: Sequence[str] = TEST) -> None:
    """Run the command.

    Args:
        argv: its arguments; default: those of this process.
        prog: what ``--help`` calls it.
        test: the command that evaluates one config.
    """
    arguments = parse_arguments(argv, prog)
    arguments.test = list(test)
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        succeeded = run(arguments)
    sys.exit(0 if succeeded else 1)
