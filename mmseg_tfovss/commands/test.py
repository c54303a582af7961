"""Evaluate a config and write result.json (docs/commands.md)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Evaluate a config; writes WORK_DIR/result.json when complete."
    )
    parser.add_argument("config", help="config: its file or its name, e.g. sclip_vit-pocket_pocket_all")
    parser.add_argument("--work-dir", type=Path, help="default: work_dirs/<config name>[_unified]")
    add_cfg_options(parser)
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm"],
        default="none",
        help="several processes; pytorch: torchrun --nproc-per-node N -m mmseg_tfovss test CONFIG --launcher pytorch;"
        " slurm: srun python -m mmseg_tfovss test CONFIG --launcher slurm",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue an interrupted run, or show the result of a finished one"
    )
    parser.add_argument(
        "--restart-changed",
        action="store_true",
        help="with --resume: instead of refusing, start over if the settings differ, or if code, data or files of an"
        " interrupted run have changed",
    )
    parser.add_argument(
        "--force-vocabulary",
        action="store_true",
        help="score words that seem to be in another order than the dataset's classes (force_vocabulary=True)",
    )
    parser.add_argument(
        "--overlays",
        type=int,
        metavar="N",
        help="also draw the labels of N images, evenly spread over the dataset, into WORK_DIR/overlays",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the test."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import parse_options, say, user_errors

    with user_errors():
        from mmseg_tfovss.config import load_config
        from mmseg_tfovss.engine.distributed import is_first_process, join_processes, share_first
        from mmseg_tfovss.engine.finished import finished_result, version_note
        from mmseg_tfovss.engine.run import UnwrittenResultError, run_test
        from mmseg_tfovss.engine.signals import StoppedError
        from mmseg_tfovss.evaluation import result as results
        from mmseg_tfovss.leaderboard.table import class_table, print_table, summary_table
        from mmseg_tfovss.pictures.hook import OverlayHook

        options = parse_options(arguments.cfg_options)
        if arguments.force_vocabulary:
            options["force_vocabulary"] = True
        config = load_config(arguments.config, options)
        folder = arguments.work_dir or Path(config.work_dir or f"work_dirs/{config.run_name}")
        config.work_dir, config.launcher = str(folder), arguments.launcher
        join_processes(config.launcher, config.get("env_cfg", {}))
        finished = share_first(lambda: finished_result(config, folder)) if arguments.resume else None
        how = {"resume": arguments.resume, "restart_changed": arguments.restart_changed}
        hooks = () if arguments.overlays is None else (OverlayHook(arguments.overlays),)
        unwritten = None
        try:
            result = finished or run_test(config, **how, hooks=hooks)
        except StoppedError as stop:  # the loop has said so
            raise SystemExit(stop.exit_code) from None
        except UnwrittenResultError as error:  # hours of work: show it at least
            result, unwritten = error.result, error
        if result is None or not is_first_process(arguments.launcher):
            return
        print_table(class_table(result))
        print_table(summary_table([result]))
        if unwritten:
            raise unwritten
        if finished and arguments.overlays is not None:
            say("No overlays were drawn, because the run had finished: start it without --resume to draw them.")
        done = "Already finished" if finished else "Written"
        say(f"{done}: {folder / results.RESULT_NAME}{version_note(result)}")
