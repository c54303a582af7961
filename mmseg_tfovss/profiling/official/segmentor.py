"""The class that an official repository registers at MMSegmentation, read from its source without running it."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REGISTRY = "MODELS"
# Our names of the methods behind official classes.
_METHODS = {
    "NACLIP": ("NACLIP",),
    "ClearCLIPSegmentation": ("ClearCLIP", "GEM", "MaskCLIP", "SCLIP", "CLIP"),
    "ResCLIPSegmentation": ("ResCLIP",),
    "SCCLIPForSegmentation": ("SCCLIP",),
    "ProxyCLIPSegmentation": ("ProxyCLIP",),
    "CASS_segmentor": ("CASS",),
    "Trident": ("Trident",),
}


@dataclass(frozen=True)
class Segmentor:
    """An official segmentor.

    Attributes:
        file: that registers it.
        name: of its class.
        options: of its ``__init__``, with their defaults; ``None`` where there is none, or none that can be read.
        asks_hub: it asks torch.hub for a network by name.
    """

    file: Path
    name: str
    options: Mapping[str, Any]
    asks_hub: bool

    @property
    def methods(self) -> frozenset[str]:
        """Our names of the methods that it has; none for a class that is not known."""
        if self.name == "CLIPForSegmentation":  # two repositories call it so
            return frozenset({"LaVG" if "maskpred_root" in self.options else "SCLIP"})
        if self.name == "CorrCLIPSegmentation":  # two folders of one repository
            return frozenset({"CorrCLIP" if "dino_type" in self.options else "CorrCLIPv2"})
        return frozenset(_METHODS.get(self.name, ()))


def find_segmentor(folder: Path) -> Segmentor | None:
    """The first segmentor that a file at the top of a folder registers, or ``None``."""
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if _REGISTRY in text:
            for found in _registered(text):
                return Segmentor(path, found.name, dict(_options(found)), _asks_hub(found))
    return None


def _registered(text: str) -> Iterator[ast.ClassDef]:
    try:
        tree = ast.parse(text)
    except SyntaxError:  # another program's file
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any(_REGISTRY in ast.unparse(mark) for mark in node.decorator_list):
            yield node


def _asks_hub(kind: ast.ClassDef) -> bool:
    calls = (node for node in ast.walk(kind) if isinstance(node, ast.Call))
    return any(ast.unparse(call.func) == "torch.hub.load" for call in calls)


def _options(kind: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for node in kind.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [argument.arg for argument in node.args.args[1:]]
            defaults = [None] * (len(names) - len(node.args.defaults)) + list(map(_value, node.args.defaults))
            yield from zip(names, defaults, strict=True)


def _value(node: ast.expr) -> Any:  # noqa: ANN401 - whatever the default is
    try:
        return ast.literal_eval(node)
    except ValueError:  # a call, such as torch.device("cuda")
        return None
