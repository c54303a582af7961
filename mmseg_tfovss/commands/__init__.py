"""The command line: ``tfovss COMMAND ...``, or ``python -m mmseg_tfovss COMMAND ...``.

One module per command. Each reads its options before it imports anything slow, and so does this one.
"""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence

from mmseg_tfovss._version import __version__
from mmseg_tfovss.cli import user_errors

NAME = "tfovss"
COMMANDS = {
    "test": "evaluate a config on its dataset",
    "demo": "segment one image with any words",
    "compare": "several methods on your images, side by side",
    "app": "a page in the browser to play with",
    "benchmark": "time configs, stage by stage",
    "benchmark-pocket": "run every method on the bundled benchmark",
    "leaderboard": "collect results into tables and a page",
    "prepare": "make the benchmarks' validation sets from their archives",
    "dataset": "make configs for a dataset of your own",
    "download": "fetch what configs need on a machine without network",
    "reproduce": "repeat a published number: fetch, run, compare",
    "sweep": "evaluate every combination of some options' values",
    "analyze": "pictures and tables of what methods do",
    "array": "evaluate many configs, on slurm or on this machine",
}
MODULES = {"benchmark-pocket": "pocket"}  # the others have their commands' names


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command and its arguments; default: those of this process.

    Returns:
        The exit code; a command may also leave by ``SystemExit``.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0].startswith("-"):
        _parser().parse_args(words)  # leaves, for --help and --version
        _parser().print_help(sys.stderr)
        return 2
    name, *rest = words
    with user_errors():
        if name not in COMMANDS:
            close = difflib.get_close_matches(name, COMMANDS, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise ValueError(f"unknown command {name!r}.{hint} Valid: {', '.join(COMMANDS)}.")
    command = importlib.import_module(f"{__name__}.{MODULES.get(name, name)}")
    return command.main(rest, f"{NAME} {name}") or 0


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=NAME,
        usage=f"{NAME} COMMAND ...",
        description="Training-free open-vocabulary semantic segmentation.",
        epilog=f"commands:\n{listed}\n\nThe options of a command: {NAME} COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    return parser
