"""This package's own configs: where they are, and which one a name means."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_PRETRAINED, _POCKET = "model.backbone.pretrained", "pocket"
# Configs that stand for a method, whatever the words are: their datasets have no background.
_ANY_WORDS, _ANY_WORDS_ON_POCKET = "{}_vit-b16_voc20", "{}_vit-pocket_pocket_all"


def configs_folder() -> Path | None:
    """The folder of the configs: inside an installed wheel, or beside the package in a checkout.

    Returns:
        None: there is neither.
    """
    inside, beside = _PACKAGE / "configs", _PACKAGE.parent / "configs"
    if inside.is_dir():
        return inside
    return beside if (_PACKAGE.parent / "setup.cfg").is_file() and beside.is_dir() else None


@cache
def config_files() -> dict[str, Path]:
    """Files of the configs by name: ``sclip_vit-b16_voc21`` is ``configs/sclip/sclip_vit-b16_voc21.py``."""
    folder = configs_folder()
    files = sorted(folder.rglob("*.py")) if folder else []
    return {path.stem: path for path in files if "_base_" not in path.parts}


def method_names() -> list[str]:
    """Names of the methods that have a config for any words."""
    return sorted({path.parent.name for path in config_files().values()} & set(map(_method_of, config_files())))


def find_config(name: str | Path, options: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """What a name means: a file, else a config of this package, else a method of it.

    A method's name means its settings for any words under the unified protocol, on ViT-B/16, or on the pocket CLIP if
    the options ask for that one.

    Args:
        name: a path, a config's name (``sclip_vit-b16_voc21``), or a method's (``sclip``).
        options: dotted names and their values.

    Returns:
        The file, which is the name itself if that means nothing here, and the options.
    """
    path, given = Path(name), dict(options)
    text = os.fspath(name)
    if path.is_file() or os.sep in text or path.suffix == ".py":
        return path, given
    if text in config_files():
        return config_files()[text], given
    leaf = _ANY_WORDS_ON_POCKET if given.get(_PRETRAINED) == _POCKET else _ANY_WORDS
    found = config_files().get(leaf.format(text))
    return (found, {"protocol": "unified", **given}) if found else (path, given)


def _method_of(config: str) -> str:
    before, _, after = _ANY_WORDS.partition("{}")
    return config.removeprefix(before).removesuffix(after)
