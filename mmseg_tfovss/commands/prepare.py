"""Make benchmarks of their official archives, or check them (docs/datasets.md)."""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.cores import cores

if TYPE_CHECKING:
    from mmseg_tfovss.prepare.build import Prepared

SHOWN = 10  # problems of one kind that are printed


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Make the validation sets of benchmarks from their official archives. Existing files are kept.",
    )
    parser.add_argument("dataset", nargs="+", help="voc21, context60, ... (docs/datasets.md), or all")
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of all datasets (default: data)")
    parser.add_argument(
        "--archives", type=Path, help="folder of the archives, packed or unpacked (default: ROOT/archives)"
    )
    parser.add_argument(
        "--download", action="store_true", help="fetch missing archives; interrupted downloads continue"
    )
    parser.add_argument("--workers", type=int, default=cores(), help="processes (default: one per core)")
    parser.add_argument(
        "--check", action="store_true", help="only verify the prepared files; exit code 1 if anything is wrong"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prepare or check."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from mmseg_tfovss.datasets.facts import PREPARED

        keys = list(PREPARED) if "all" in arguments.dataset else list(dict.fromkeys(arguments.dataset))
        _check_arguments(keys, PREPARED, arguments)
        if arguments.check:
            problems = [key for key in keys if not _report(key, arguments.root, arguments.workers)]
            sys.exit(1 if problems else 0)
        failed = [key for key in keys if not _make(key, arguments)]
        sys.exit(1 if failed else 0)


def _check_arguments(keys: list[str], known: tuple[str, ...], arguments: argparse.Namespace) -> None:
    import difflib

    for key in keys:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"Unknown dataset {key!r}.{hint} Valid: {', '.join(known)}, all.")
    if arguments.workers < 1:
        raise ValueError(f"--workers must be a positive number, but got {arguments.workers}.")
    if arguments.check and (arguments.download or arguments.archives):
        idle = "--download" if arguments.download else "--archives"
        raise ValueError(f"--check reads only what is prepared, and makes nothing: leave {idle}.")
    if arguments.archives and arguments.archives.is_file():
        raise ValueError(f"--archives {arguments.archives} is a file: name the folder that holds it.")


def _make(key: str, arguments: argparse.Namespace) -> bool:
    """Prepare one dataset; whether that worked. A mistake in one does not keep the others from being made."""
    from mmseg_tfovss.cli import say, sentence
    from mmseg_tfovss.plain import printable
    from mmseg_tfovss.prepare.build import prepare

    archives = arguments.archives or arguments.root / "archives"
    try:
        done = prepare(key, arguments.root, archives, fetch=arguments.download, workers=arguments.workers)
    except (ValueError, OSError) as error:
        if arguments.dataset == [key]:
            raise
        sys.stderr.write(f"error: {key}: {printable(sentence(error))}\n")
        return False
    say(f"{key}: {done.images} images with annotations in {done.folder} ({_what_was_done(key, done, arguments.root)})")
    if done.images != done.expected:
        sys.stderr.write(
            f"warning: {key} has {done.images} images here, but the benchmark has {done.expected}: the archives are not"
            " the complete official ones, or not all of them was unpacked.\n"
        )
    return True


def _what_was_done(key: str, done: "Prepared", root: Path) -> str:
    from mmseg_tfovss.prepare.layout import LAYOUTS

    if done.folder != root / LAYOUTS[key].folder:
        option = f"--cfg-options test_dataloader.dataset.data_root={shlex.quote(str(done.folder))}"
        return f"prepared already, nothing was done; use it with {option}"
    if done.written:
        return f"{done.written} files written"
    return "prepared already, nothing was done"


def _report(key: str, root: Path, workers: int) -> bool:
    """Print what a check finds; whether all is well."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.prepare.check import check

    report = check(key, root, workers, _watch)
    for line in (*_first(report.missing), *_first(report.wrong)):
        say(f"{key}: {line}")
    if report.wrong:
        say(f"{key}: delete the wrong files ({len(report.wrong)}); they are then made again")
    if report.missing or report.wrong:
        say(f"{key}: make missing files with: tfovss prepare {key} --root {shlex.quote(str(root))}")
        return False
    span = f"{report.labels[0]} .. {report.labels[-1]}"
    say(f"{key}: complete: {report.images} images with annotations in {report.folder}, labels {span}")
    return True


def _first(lines: tuple[str, ...]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]


def _watch(items: Iterable[None], total: int) -> Iterable[None]:
    from rich.console import Console
    from rich.progress import track

    return track(
        items, "checking", total, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )
