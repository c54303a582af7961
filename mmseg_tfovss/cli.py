"""What the command lines share: user mistakes become one sentence and a non-zero exit code."""

import argparse
import ast
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmseg_tfovss.plain import printable

_USER_ERRORS = (ValueError, OSError)  # FileNotFoundError, PermissionError and a full disk are OSErrors
_NAME = 200  # characters of a name in a message
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
TRACEBACK_VARIABLE = "MMSEG_TFOVSS_TRACEBACK"


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a user's mistake into ``error: <sentence>`` on stderr and exit code 1.

    With ``MMSEG_TFOVSS_TRACEBACK=1`` in the environment the traceback is shown as well. Other exceptions are bugs, and
    pass.
    """
    _show_everything()
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        raise SystemExit(_INTERRUPTED) from None
    except _USER_ERRORS as error:
        if os.environ.get(TRACEBACK_VARIABLE) == "1":
            raise
        sys.stderr.write(f"error: {printable(sentence(error))}\n")
        raise SystemExit(1) from error
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; its import is not worth seconds here
            raise
        sys.stderr.write("error: the GPU is out of memory: lower model.window_batch or set model.precision=fp16.\n")
        raise SystemExit(1) from error


def _show_everything() -> None:
    """Let no message fail, or steer the terminal, for the characters in it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:  # what shows warnings
        logging.lastResort.setFormatter(_PrintableFormatter())


def say(*lines: object) -> None:
    """Print lines on stdout, each as :func:`printable` makes it; square brackets are no markup."""
    for line in lines:
        sys.stdout.write(f"{printable(line)}\n")
    sys.stdout.flush()


def named_path(text: str) -> Path:
    """An argument's path. An empty one, as of a variable that is not set, would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("got an empty name: name a file or folder, or leave the option out")
    return Path(text)


def add_cfg_options(parser: argparse.ArgumentParser, about: str = "") -> None:
    """Add ``--cfg-options KEY=VALUE ...``; given several times, all of them count.

    Args:
        parser: of a command that reads configs.
        about: what the help says of them here, instead of two examples.
    """
    parser.add_argument(
        "--cfg-options",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help=about or "settings of the config, e.g. model.precision=bf16 protocol=unified",
    )


class _PrintableFormatter(logging.Formatter):
    """Messages whose lines are :func:`printable`."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))


def sentence(error: BaseException) -> str:
    """The message of an error in one line, also when a data loading process has wrapped a traceback around it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: check the folder that the run writes to."
    if isinstance(error, UnicodeEncodeError):
        return f"The name {error.object[:_NAME]!r} has bytes that are no UTF-8 text: rename the file or folder."
    text = str(error)
    if text.startswith("Caught "):
        text = text.rsplit(f"\n{type(error).__name__}: ", maxsplit=1)[-1]
    # Not all white space: names may have several spaces in a row.
    return " ".join(filter(None, map(str.strip, text.splitlines()))) or type(error).__name__


def parse_options(pairs: list[str], option: str = "--cfg-options") -> dict[str, object]:
    """Read ``KEY=VALUE`` pairs; later ones win.

    Values are Python literals (``0.1``, ``None``, ``(224, 224)``, ``224,224``, ``[8, 16]``), ``dict(type='SCLIP')`` as
    configs have it, ``true`` / ``false``, and otherwise strings as they stand, so that paths need no quotes.

    Args:
        pairs: from the command line.
        option: that they were given to, for messages.

    Raises:
        ValueError: a pair without ``=``, or a ``dict(...)`` that is none.
    """
    options: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"{option} takes KEY=VALUE pairs, but got {pair!r}.")
        options[key] = _parse_value(value, f"{option} {pair}")
    return options


def add_short_side(options: dict[str, object], short_side: int | None) -> None:
    """Take ``--short-side`` among the options.

    Raises:
        ValueError: it is among them already.
    """
    if short_side is None:
        return
    for name in ("short_side", "model.short_side"):
        if name in options:
            raise ValueError(f"--short-side and --cfg-options {name} are one option: give one of them.")
    options["model.short_side"] = short_side


def _parse_value(text: str, given: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(_DictCalls().visit(ast.parse(text.strip(), mode="eval")))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        if text.strip().startswith("dict("):
            raise ValueError(
                f"{given} cannot be read: put it in double quotes, and the names inside in single ones, as"
                " in \"model.base=dict(type='SCLIP')\"."
            ) from None
        return text


class _DictCalls(ast.NodeTransformer):
    """``dict(a=1)`` -> ``{'a': 1}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Read the arguments first: they may hold more of them."""
        self.generic_visit(node)
        names = [argument.arg for argument in node.keywords]
        if not (isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args and all(names)):
            return node
        return ast.Dict([ast.Constant(name) for name in names], [argument.value for argument in node.keywords])
