"""The config of a method on a dataset of the user's own, from one of this package's configs of that method."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmseg_tfovss.catalogue import config_folder, find_method, method_names, squeezed
from mmseg_tfovss.config import load_config

BACKBONES = ("vit-b16", "vit-l14", "vit-h14", "vit-pocket")
ALL = "all"
_POCKET = "vit-pocket"
_DATASETS = ("_voc20", "_pocket_all")  # whose leaves stand for any words
_DATASETS_OWN = ("vocabulary", "prob_threshold")  # of the head
_UNIFIED = "_base_.unified.model"
_DELETE = "_delete_"
_WIDTH = 100  # characters of a line


class Leaf(NamedTuple):
    """A config to be written.

    Attributes:
        name: of its file.
        text: of its file.
    """

    name: str
    text: str


def base_text(name: str) -> str:
    """The text of one of the files that all configs of this package share, e.g. ``runtime.py``."""
    return (config_folder() / "_base_" / name).read_text(encoding="utf-8")


def make_leaves(dataset: str, methods: Sequence[str], backbones: Sequence[str]) -> list[Leaf]:
    """The configs of some methods on some backbones.

    Args:
        dataset: its name.
        methods: names as :func:`mmseg_tfovss.list_methods` has them, or ``all``: whatever each backbone has.
        backbones: of :data:`BACKBONES`.

    Raises:
        ValueError: no such method, or one without settings for a backbone.
    """
    leaves: dict[str, Leaf] = {}
    for backbone in backbones:
        for method in method_names() if ALL in methods else methods:
            try:
                leaf = _leaf(_source(method, backbone), dataset)
            except ValueError:
                if ALL not in methods:
                    raise
                continue
            leaves[leaf.name] = leaf
    return list(leaves.values())


def _source(method: str, backbone: str) -> Path:
    """The config of this package from which one's own is made."""
    known = {squeezed(name): name for name in method_names()}.get(squeezed(method))
    if known is None:
        close = difflib.get_close_matches(method.lower(), method_names(), n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"unknown method {method!r}.{hint} Valid: {', '.join(method_names())}, {ALL}.")
    leaf = _source_on(known, backbone)
    if leaf is None:
        ready = {name: found for name in BACKBONES if (found := _source_on(known, name))}
        raise ValueError(
            f"The method {known} has no settings for {backbone}: set --backbones {' '.join(ready)}, or write a config"
            f" for it first, such as {_wanted(next(iter(ready.values())), backbone)}."
        )
    return leaf


def _source_on(method: str, backbone: str) -> Path | None:
    with suppress(ValueError):
        path = find_method(method, backbone, pocket=backbone == _POCKET)
        if re.search(rf"_{backbone}[-_]", path.stem):
            return path
    return None


def _wanted(path: Path, backbone: str) -> Path:
    """Where a method's settings for a backbone are looked for, beside those for another one."""
    dataset = _DATASETS[backbone == _POCKET]
    stem = next(path.stem.removesuffix(end) for end in _DATASETS if path.stem.endswith(end))
    return path.with_name(f"{re.sub('_vit-[a-z0-9]+', f'_{backbone}', stem)}{dataset}.py")


def _leaf(path: Path, dataset: str) -> Leaf:
    stem = next(path.stem.removesuffix(end) for end in _DATASETS if path.stem.endswith(end))
    unified = Config.fromfile(config_folder() / "_base_/datasets/_loader.py").unified.model.to_dict()
    raw, ready = Config.fromfile(path), load_config(path, {"protocol": "unified"})
    own = _without_words(raw.unified.model.to_dict())
    changed = _changed(own, unified)
    model = {"type": ready.model.type, **_without_words(ready.model.to_dict())}
    text = [f"# {model['type']} on {dataset}, under the unified protocol: the settings that {path.stem} has there."]
    text += ['_base_ = "./dataset.py"', 'protocol = "unified"']
    text += [f"setting = {written(ready.setting)}"] if ready.get("setting") else []
    text.append(f"model = {_call(_UNIFIED, *_arguments(model, unified, _UNIFIED))}")
    if changed:
        text += ["# What the unified protocol is for this method.", f"unified = {written({'model': changed})}"]
    return Leaf(f"{stem}_{dataset}.py", "\n".join([*text, ""]))


def _without_words(model: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a model without what belongs to the dataset."""
    head = {name: value for name, value in (model.get("decode_head") or {}).items() if name not in _DATASETS_OWN}
    return {**model, "decode_head": head}


def _changed(own: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """What must be merged into the usual settings to get a method's own."""
    found = {}
    for name, value in own.items():
        before = usual.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            lost = before.keys() - value.keys() - {*_DATASETS_OWN}
            value = {_DELETE: True, **value} if lost else _changed(value, before)
            if value:
                found[name] = value
        elif name not in usual or value != before:
            found[name] = value
    return found


def _arguments(own: Mapping[str, Any], usual: Mapping[str, Any], where: str) -> Iterator[str]:
    """What ``dict(where, ...)`` needs to be a method's own settings, where that has the usual ones."""
    for name, value in own.items():
        before = usual.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            rest = [*_arguments(value, before, f"{where}.{name}")]
            if before.keys() - value.keys() - {*_DATASETS_OWN}:
                yield f"{name}={written(value)}"
            elif rest:
                yield f"{name}={_call(f'{where}.{name}', *rest)}"
        elif name not in usual or value != before:
            yield f"{name}={written(value)}"


def _call(*parts: str) -> str:
    line = f"dict({', '.join(parts)})"
    if len(line) < _WIDTH and "\n" not in line:
        return line
    return "dict(\n" + "".join(f"{_indented(part)},\n" for part in parts) + ")"


def written(value: object) -> str:
    """A value as configs have it: ``dict(type="SCLIP")``."""
    if isinstance(value, Mapping):
        return _call(*(f"{name}={written(item)}" for name, item in value.items()))
    return f'"{value}"' if isinstance(value, str) and '"' not in value and "\\" not in value else repr(value)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
