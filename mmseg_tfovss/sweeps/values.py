"""What a sweep runs over: options and their values, read from the command line and written into tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_tfovss.cli import parse_options

_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "'\""


def split_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Tell configs from ``KEY=VALUE,VALUE,...``: those have an equals sign, and are no file."""
    configs = [argument for argument in arguments if "=" not in argument or Path(argument).is_file()]
    return [Path(config) for config in configs], [argument for argument in arguments if argument not in configs]


def parse_swept(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """Read ``KEY=VALUE,VALUE,...``; values as those of ``--cfg-options``, in brackets or quotes where they have commas.

    Raises:
        ValueError: no or an empty value, a value or an option given twice.
    """
    swept: dict[str, list[Any]] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        parts = split_values(text)
        if not (key and equals and all(parts)):
            raise ValueError(f"A sweep takes KEY=VALUE,VALUE,... without empty values, but got {pair!r}.")
        values = [parse_options([f"{key}={part}"])[key] for part in parts]
        if key in swept or len({repr(value) for value in values}) < len(values):
            raise ValueError(f"{pair}: every option, and every value of it, can be given once.")
        swept[key] = values
    return swept


def split_values(text: str) -> list[str]:
    """Cut at the commas that stand outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if not quote and not depth and letter == ",":
            parts.append("")
            continue
        quote = _quote_after(letter, quote, opens=bool(depth) or not parts[-1].strip())
        if not quote:
            depth += (letter in _OPEN) - (letter in _CLOSE)
        parts[-1] += letter
    return [part.strip() for part in parts]


def value_label(value: object) -> str:
    """A value as tables and pictures show it: of settings with a type, the type and what else is set."""
    if isinstance(value, Mapping) and "type" in value:
        rest = {key: item for key, item in value.items() if key not in ("type", "_delete_")}
        inside = ", ".join(f"{key}={value_label(item)}" for key, item in rest.items())
        return f"{value['type']}({inside})" if inside else str(value["type"])
    return str(value)


def option_label(option: str) -> str:
    """An option without what they all begin with."""
    return option.removeprefix("model.")


def _quote_after(letter: str, quote: str, *, opens: bool) -> str:
    """The quotation mark that is open behind a letter; one inside a word (it's) opens nothing."""
    if letter not in _QUOTES:
        return quote
    if quote:
        return "" if letter == quote else quote
    return letter if opens else ""
