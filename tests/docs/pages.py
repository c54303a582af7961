"""What the pages in docs/methods say, and what the code says of the same things."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.cli import say
from mmseg_tfovss.datasets.facts import BENCHMARKS
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import MODELS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "methods"
INDEX = FOLDER / "index.md"
PAGES = {path.stem: path for path in sorted(FOLDER.glob("*.md")) if path != INDEX}
REQUIRED = "required"
# Set by every config, and said elsewhere on the page: not in its table of settings.
_UNTOLD = (
    "type",
    "backbone",
    "data_preprocessor",
    "vfm",
    "sam",
    "graph",
    "base",
    "masks",
    "vocabulary",
    "test_cfg",
    "decode_head",
)
_WINDOWS, _WHOLE = "windows", "whole images"
_FENCE = re.compile(r"^```(?P<kind>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def rows_under(text: str, heading: str, *columns: str) -> list[list[str]]:
    """Cells of the tables below a heading whose first columns are these, without the header."""
    section = re.search(rf"^## {re.escape(heading)}$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    found = []
    for table in re.findall(r"(?:^\|.*\n?)+", section[1] if section else "", re.MULTILINE):
        header, _, *rows = (
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])] for line in table.splitlines()
        )
        if header[: len(columns)] == list(columns):
            found += rows
    return found


def said_options(text: str, heading: str = "Options") -> dict[str, object]:
    """Options and defaults in the tables below a heading."""
    rows = rows_under(text, heading, "option", "default")
    return {name.strip("`"): _value(default) for name, default, *_ in rows}


def _value(cell: str) -> object:
    return REQUIRED if cell == REQUIRED else ast.literal_eval(cell.strip("`"))


def code(text: str, kind: str) -> list[str]:
    """Lines of code of one kind, continued ones joined; without comments."""
    blocks = (match["code"].replace("\\\n", " ") for match in _FENCE.finditer(text) if match["kind"] == kind)
    return [line.strip() for block in blocks for line in block.splitlines() if line.split("#")[0].strip()]


def page_of(module: str) -> str | None:
    """The page of a method's module: its own, or that of the method that it continues (cliptrase_sam)."""
    return next((page for page in sorted(PAGES, key=len, reverse=True) if f"{module}_".startswith(f"{page}_")), None)


@cache
def methods_on(page: str) -> tuple[type, ...]:
    """The methods that a page describes."""
    importlib.import_module("mmseg_tfovss.methods")
    found = {kind for kind in MODELS.module_dict.values() if issubclass(kind, OpenVocabSegmentor)}
    ours = [kind for kind in found if kind.__module__.startswith("mmseg_tfovss.methods.")]
    return tuple(sorted((kind for kind in ours if page_of(kind.__module__.split(".")[-1]) == page), key=str))


def own_options(kind: type[OpenVocabSegmentor]) -> dict[str, object]:
    """Options that the base class lacks, or for which the method has another default; values of None are no default."""
    found: dict[str, object] = {}
    for ancestor in reversed(kind.mro()[: kind.mro().index(OpenVocabSegmentor)]):
        found |= _parameters(ancestor)
    for record in kind.option_records.values():
        found |= {field.name: REQUIRED if field.default is MISSING else field.default for field in fields(record)}
    common = _parameters(OpenVocabSegmentor)
    return {name: value for name, value in found.items() if name not in common or common[name] != value}


def common_options() -> dict[str, object]:
    """Options of every method that are numbers, words or switches, and not configs."""
    configs = ("backbone", "decode_head", "test_cfg", "data_preprocessor", "init_cfg", "pretrained", "train_cfg")
    return {name: value for name, value in _parameters(OpenVocabSegmentor).items() if name not in configs}


def _parameters(kind: type) -> dict[str, object]:
    if "__init__" not in vars(kind):
        return {}
    _, *given = inspect.signature(kind.__init__).parameters.values()
    named = [one for one in given if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    return {one.name: REQUIRED if one.default is one.empty else one.default for one in named}


def settings_lines(stem: str) -> list[str]:
    """Lines of Markdown: what the configs ``<stem>_<benchmark>.py`` set under the authors' protocol.

    First what is the same for all of them, then a table of what is not.
    """
    rows = dict(_settings(stem))
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    varied = [name for name in names if len({repr(row.get(name)) for row in rows.values()}) > 1]
    shared = {name: next(iter(rows.values()))[name] for name in names if name not in varied}
    same = ", ".join(_windows(value) if name == _WINDOWS else f"`{name}={value}`" for name, value in shared.items())
    gaps = " An empty cell is the default." if any(name not in row for row in rows.values() for name in varied) else ""
    lines = [f"Configs `{stem}_<benchmark>`. The same everywhere: {same}.{gaps}"]
    if varied:
        titles = (name if name == _WINDOWS else f"`{name}`" for name in varied)
        lines += ["", _line(["benchmark", *titles]), _line(["---"] * (len(varied) + 1))]
        lines += [_line([f"`{name}`", *(str(row.get(key, "")) for key in varied)]) for name, row in rows.items()]
    return lines


def _windows(value: object) -> str:
    return str(value) if value == _WHOLE else f"windows of {str(value).replace(' every', ' pixels every')}"


def _settings(stem: str) -> Iterator[tuple[str, dict[str, object]]]:
    folder = ROOT / "configs" / next(page for page in _folders() if stem.startswith(f"{page}_vit"))
    for benchmark in BENCHMARKS:
        path = folder / f"{stem}_{benchmark}.py"
        config = Config.fromfile(path) if path.is_file() else None
        if config is not None and config.protocol == "paper":
            yield benchmark, dict(_flat(config.model))


def _flat(settings: dict) -> Iterator[tuple[str, object]]:
    test_cfg, head = settings["test_cfg"], settings["decode_head"]
    sliding = test_cfg["mode"] == "slide"
    size = {"short_side": settings["short_side"]}
    windows = {_WINDOWS: f"{test_cfg['crop_size']} every {test_cfg['stride']}" if sliding else _WHOLE}
    told = {**size, **windows, **head, **settings}
    return ((name, value) for name, value in told.items() if name not in _UNTOLD)


def _folders() -> Sequence[str]:
    names = (path.name for path in (ROOT / "configs").iterdir() if path.is_dir())
    return sorted(names, key=len, reverse=True)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":  # python -m tests.docs.pages sclip_vit-b16: the settings on a page
    for stem in sys.argv[1:]:
        say(*settings_lines(stem), "")
