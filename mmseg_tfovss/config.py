"""Load a config file, apply overrides, resolve it and refuse what cannot work, in one sentence each."""

import difflib
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmseg_tfovss.evaluation.result import PROTOCOLS

_REQUIRED = ("model", "protocol", "short_side", "work_dir", "launcher")
# What cannot change a number and therefore does not enter the hash.
_NOT_HASHED = {
    "overrides",
    "run_name",
    "work_dir",
    "launcher",
    "resume",
    "log_level",
    "default_hooks",
    "custom_hooks",
    "env_cfg",
    "test_cfg",  # of the loop: how often it saves
}
# Overrides that leave the protocol as it is: where things are, how they run, and what a result records by itself.
_NO_OVERRIDE = (
    "protocol",
    "work_dir",
    "launcher",
    "log_level",
    "env_cfg",
    "test_cfg",
    "test_dataloader.num_workers",
    "test_dataloader.persistent_workers",
    "test_dataloader.batch_size",
    "test_dataloader.dataset.data_root",
    "model.backbone.pretrained",
    "model.backbone.arch",
    "model.precision",
    "model.window_batch",
    "model.decode_head.cache_dir",
)
_NOT_HASHED_BELOW = {
    "test_dataloader": {"num_workers", "persistent_workers", "pin_memory", "prefetch_factor"},
    "test_dataloader.dataset": {"data_root"},
    "model.decode_head": {"cache_dir"},
}


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and apply overrides.

    Under ``protocol = "unified"``, of the file or among the options, the settings in the config's ``unified`` take the
    place of the method's own, as those in its ``paper`` do otherwise; other options come after them. The top-level key
    ``short_side`` is written into the test pipeline's transforms of that option, and ``relabel`` into its ``Relabel``.

    Args:
        path: a config file.
        options: dotted names and their values (``{'model.precision': 'bf16'}``).

    Returns:
        The resolved config; its ``run_name`` is the file's name, with the protocol appended if that was switched.

    Raises:
        FileNotFoundError: no such file (near matches are offered).
        ValueError: the file cannot be read as a config, an override names something that does not exist, or the file
            has no settings for the protocol.
    """
    path = Path(path)
    if not path.is_file():
        problem = (
            "is a folder: name its files, as in a shell's *.py."
            if path.is_dir()
            else f"not found.{_near_configs(path)}"
        )
        raise FileNotFoundError(f"Config {path} {problem}")
    try:
        config = Config.fromfile(path)
    # A config is Python code: it fails in as many ways as code does.
    except Exception as error:
        raise ValueError(f"Config {path} cannot be read: {type(error).__name__}: {error}") from error
    _set_protocol(config, options or {}, path)
    _apply(config, options or {}, path)
    _check_parts(config, path)
    _fill_pipeline(config)
    return config


def build(settings: Mapping[str, Any], registry: Registry, where: str) -> Any:  # noqa: ANN401
    """Build from a registry, with a clear sentence for an unknown type or option.

    Args:
        settings: ``dict(type=..., **options)``; nested components are checked too.
        registry: where the type is looked up.
        where: dotted name of the settings, for messages.

    Returns:
        The component.

    Raises:
        ValueError: unknown type or option, with near matches.
    """
    check_settings(settings, registry, where)
    return registry.build(dict(settings))


def check_settings(settings: Mapping[str, Any], registry: Registry, where: str) -> None:
    """Raise ValueError when a component's type or one of its options is unknown; see :func:`build`."""
    name = settings.get("type")
    if name is None:
        raise ValueError(f"{where} has no 'type'.")
    component = registry.get(name) if isinstance(name, str) else name
    if component is None:
        raise ValueError(f"{where}.type: {_unknown(registry.name, name, _registered(registry))}")
    valid = _options(component)
    for key, value in settings.items():
        if key != "type" and valid is not None and key not in valid:
            if inspect.isclass(component) and any(key in (_options(base) or ()) for base in inspect.getmro(component)):
                raise ValueError(
                    f"{where}.{key} does not reach {component.__name__}: its constructor must take **kwargs and hand"
                    " them on, as in super().__init__(**kwargs)."
                )
            raise ValueError(f"{where}.{key}: {_unknown(f'option of {name}', key, valid)}")
        if isinstance(value, Mapping) and "type" in value:
            check_settings(value, registry, f"{where}.{key}")


def check_names(settings: Mapping[str, Any], valid: Iterable[str], where: str) -> None:
    """Raise ValueError for an option that does not exist, with near matches."""
    for key in settings:
        if key not in set(valid):
            raise ValueError(f"{where}.{key}: {_unknown('option', key, valid)}")


def input_files(config: Config) -> list[Path]:
    """Existing files and folders that a config names anywhere in its ``model``: weights, words, rankings.

    A folder must be named with a separator (``./weights``): one that is called like a tag or a list may be anything.
    """
    return [Path(text).expanduser() for text in _texts(config.model) if _is_input(text)]


def deciding_settings(config: Config) -> dict[str, Any]:
    """Everything in a config that can change a number, but where the dataset lies: its files are compared instead."""
    content = _without(config.to_dict(), _NOT_HASHED)
    for path, names in _NOT_HASHED_BELOW.items():
        parent = content
        *above, last = path.split(".")
        for key in above:
            parent = parent.get(key) or {}
        if isinstance(parent.get(last), Mapping):
            parent[last] = _without(parent[last], names)
    return content


def config_hash(config: Config) -> str:
    """sha256 of everything in a config that can change a number."""
    return hashlib.sha256(json.dumps(deciding_settings(config), sort_keys=True, default=str).encode()).hexdigest()


def _set_protocol(config: Config, options: Mapping[str, Any], path: Path) -> None:
    own = config.get("protocol")
    protocol = options.get("protocol", own)
    if protocol is not None and protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {list(PROTOCOLS)}, but {path} has {protocol!r}.")
    if protocol != own and protocol == "paper":
        raise ValueError(
            f"Config {path} has no paper protocol: the authors of the method state no settings for this dataset. Leave"
            " protocol=unified."
        )
    # Settings; or why there are none.
    unified = config.pop("unified", "its _base_ names no dataset of configs/_base_/datasets")
    paper = config.pop("paper", {})
    config.run_name = path.stem if protocol == own else f"{path.stem}_{protocol}"
    if protocol == "paper":
        config.merge_from_dict(dict(paper))
    elif protocol == "unified" and isinstance(unified, Mapping):
        config.merge_from_dict(dict(unified))
    elif protocol == "unified" and own != "unified":
        raise ValueError(f"Config {path} has no unified protocol: {unified}.")


def _apply(config: Config, options: Mapping[str, Any], path: Path) -> None:
    for key in options:
        if key.split(".")[0] not in config:
            raise ValueError(f"Option {key!r}: {_unknown('config key', key.split('.')[0], config.keys())}")
    try:
        config.merge_from_dict(dict(options))
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"The options {', '.join(options)} do not fit {path}: {error}") from error
    config.overrides = {key: str(value) for key, value in options.items() if not key.startswith(_NO_OVERRIDE)}


def _check_parts(config: Config, path: Path) -> None:
    for key in _REQUIRED:
        if key not in config:
            raise ValueError(f"Config {path} has no {key!r}: start from a file below configs/.")
    if "test_dataloader" in config and not isinstance(config.test_dataloader.get("dataset"), Mapping):
        raise ValueError(f"Config {path} with its options has no settings test_dataloader.dataset=dict(...).")
    for part in ("backbone", "decode_head", "test_cfg"):
        if not isinstance(config.model, Mapping) or not isinstance(config.model.get(part), Mapping):
            raise ValueError(f"Config {path} with its options has no settings model.{part}=dict(...).")
    if "vocabulary" not in config.model.decode_head:
        raise ValueError(f"Config {path} has no model.decode_head.vocabulary: name a list or a file.")


def _fill_pipeline(config: Config) -> None:
    relabel = config.pop("relabel", {})
    if "test_dataloader" not in config:
        return
    for transform in config.test_dataloader.dataset.pipeline:
        if "short_side" in transform:
            transform["short_side"] = config.short_side
        if transform.get("type") == "Relabel":
            transform.update(relabel)


def _options(component: Callable[..., Any]) -> set[str] | None:
    """Names that a component's constructor accepts, or None when it accepts any.

    ``**kwargs`` stands for the options of the base classes.
    """
    names: set[str] = set()
    for owner in inspect.getmro(component) if inspect.isclass(component) else (component,):
        constructor = owner.__dict__.get("__init__") if inspect.isclass(owner) else owner
        if constructor is None:
            continue
        for record in owner.__dict__.get("option_records", {}).values():
            names |= {option.name for option in fields(record)}
        parameters = inspect.signature(constructor).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {"self"}
    return None


def _registered(registry: Registry) -> list[str]:
    registry.import_from_location()
    return sorted(registry.module_dict)


def _texts(settings: object) -> Iterator[str]:
    """Strings anywhere in settings."""
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _texts(value)
    elif isinstance(settings, Mapping):
        yield from _texts(list(_without(settings, {"type", "cache_dir"}).values()))


def _without(settings: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in keys}


def _is_input(text: str) -> bool:
    try:
        path = Path(text).expanduser()
        return bool(text) and (path.is_file() or (os.sep in text and path.is_dir()))
    except (OSError, ValueError, RuntimeError):  # too long for a path, or of no user
        return False


def _unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names)}."


def _near_configs(path: Path) -> str:
    folder = next((parent for parent in path.parents if parent.is_dir() and parent != Path()), None)
    if folder is None:
        return " Give the path of a file such as configs/sclip/sclip_vit-pocket_pocket_all.py."
    files = [file for file in folder.rglob("*.py") if "_base_" not in file.parts]
    names = {file.name: file for file in files}
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(str(names[name]) for name in close)}?" if close else ""
