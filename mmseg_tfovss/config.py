"""Load a config file, apply overrides, resolve it and refuse what cannot work, in one sentence each."""

import copy
import difflib
import hashlib
import inspect
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmseg_tfovss.acting import check_acting
from mmseg_tfovss.catalogue import resolve
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.evaluation.result import PROTOCOLS
from mmseg_tfovss.registry import TRANSFORMS

RUNNER_FOLDER = "work_dirs/runner"  # where MMEngine's Runner writes by itself: configs/_base_/runtime.py
_REQUIRED = ("model", "protocol", "work_dir", "launcher")
# What can change a number, or is said of it, and therefore enters the hash. All else is how a run is made, or a name
# that a file gives to something for its own use.
_HASHED = (
    "model",
    "test_dataloader",
    "test_evaluator",
    "protocol",
    "dataset",
    "setting",
    "randomness",
    "force_vocabulary",
    "custom_imports",
    "default_hooks",
    "custom_hooks",
)
# What the command line may set at the top, and what it is told of the rest.
_SETTABLE = (
    "model",
    "test_dataloader",
    "test_evaluator",
    "protocol",
    "randomness",
    "force_vocabulary",
    "work_dir",
    "log_level",
    "env_cfg",
    "test_cfg",
    "default_hooks",
    "custom_hooks",
)
_SET_ELSEWHERE = {
    "launcher": "use --launcher of tfovss test",
    "dataset": "it only names the benchmark in results: take a config of the other one",
    "setting": "it only says which of the authors' settings a config has: take the config with the other one",
    "unified": "options come after the protocol: set model.... itself, with protocol=unified",
    "test_pipeline": "set test_dataloader.dataset.pipeline, which it follows",
    "custom_imports": "imports are made when the file is read: put it into a config file",
    "run_name": "choose the folder with --work-dir",
    "load_from": "the weights are model.backbone.pretrained",
    "resume": "use --resume",
    "test_cfg.resume": "use --resume of tfovss test",
    "test_cfg.restart_changed": "use --restart-changed of tfovss test",
}
_NO_EFFECT_IN_FILES = {
    "paper": "write its settings into the file itself: they are what it says",
    "relabel": "set test_evaluator=dict(type='CLIPtraseMetric', relabel=...)",
}
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Settings of the loader that the test loop makes itself.
_LOOPS_OWN = ("sampler", "batch_sampler", "shuffle", "drop_last")
_LABEL_STEPS = ("LoadAnnotations", "LoadLabels", "Relabel")
# Transforms that change an image's size, ours of earlier versions included.
_RESIZING = {"ResizeShortSide", "CentreSquare", "Resize", "RandomResize", "ResizeToMultiple", "ResizeShortestEdge"}
# Overrides that leave the protocol as it is: where things are, how they run, and what a result records by itself.
_NO_OVERRIDE = (
    "protocol",
    "work_dir",
    "log_level",
    "env_cfg",
    "test_cfg",
    "test_dataloader.num_workers",
    "test_dataloader.persistent_workers",
    "test_dataloader.batch_size",
    "test_dataloader.dataset.data_root",
    "test_dataloader.dataset.subset",
    "model.backbone.pretrained",
    "model.backbone.arch",
    "model.precision",
    "model.window_batch",
    "model.cache_dir",
    "model.decode_head.cache_dir",
)
_NOT_HASHED_BELOW = {
    "test_dataloader": {"num_workers", "persistent_workers", "pin_memory", "prefetch_factor"},
    "test_dataloader.dataset": {"data_root"},
    "model": {"cache_dir"},
    "model.decode_head": {"cache_dir"},
}


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and apply overrides.

    What the file says is what runs, here as by MMEngine itself. ``protocol=unified`` among the options puts the
    settings in the config's ``unified`` in the place of its own; other options come after them. ``short_side`` is short
    for ``model.short_side``, in a file and among the options.

    Args:
        path: a config file; or the name of one of this package's configs or methods, as
            :func:`~mmseg_tfovss.catalogue.resolve` has it.
        options: dotted names and their values (``{'model.precision': 'bf16'}``).

    Returns:
        The resolved config; its ``run_name`` is the file's name, with the protocol appended if that was switched, and
        ``_50-of-200`` for a subset of a dataset's images.

    Raises:
        FileNotFoundError: no such file (near matches are offered).
        ValueError: the name means nothing here, the file cannot be read as a config, an override names something that
            does not exist, or the file has no settings for the protocol.
    """
    path, options = resolve(path, options)
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
    options = _in_full(options)
    _check_file(config, path)
    unified = _set_protocol(config, options, path)
    before = copy.deepcopy(config.get("model")) if options else None
    _apply(config, options, path)
    _check_parts(config, path)
    _check_acting(config, options, before)
    config.overrides = {**_deviations(config, unified, options), **config.overrides}
    config.run_name += _subset_of(config)
    if config.work_dir == RUNNER_FOLDER:
        config.work_dir = f"work_dirs/{config.run_name}"
    return config


def _adopt_size(config: Config, path: Path) -> None:
    """Move a ``short_side`` that stands at the top of a config into its model, which it is short for."""
    if "short_side" not in config:
        return
    text = path.read_text(encoding="utf-8")
    own = re.search(r"^short_side\s*=", text, re.MULTILINE)
    if not own or len(re.findall(r"\bshort_side\b", text)) > 1:  # in a base, or twice
        raise ValueError(
            f"short_side is set twice in config {path} and its bases, because it is short for model.short_side: write"
            " model = dict(short_side=...) in each of them."
        )
    side = config.pop("short_side")
    if isinstance(config.get("model"), Mapping):
        config.model.short_side = side


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
    # Another package's scope may be the current one, as after MMSegInferencer: ours has our types first.
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
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
    whole = config.to_dict()
    content = {key: whole[key] for key in _HASHED if key in whole}
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


def _in_full(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options under their full names."""
    if "short_side" in options and "model.short_side" in options:
        raise ValueError("short_side and model.short_side are one option: give one of them.")
    return {"model.short_side" if key == "short_side" else key: value for key, value in options.items()}


def _check_file(config: Config, path: Path) -> None:
    """Refuse what stands in a file and would not act, and take up what is short for something."""
    for key, remedy in _NO_EFFECT_IN_FILES.items():
        if key in config:
            raise ValueError(f"{key} in config {path} has no effect: {remedy}.")
    _adopt_size(config, path)
    dataset = _dataset(config)
    if "test_pipeline" not in config or "pipeline" not in dataset:
        return
    if _image_steps(config.test_pipeline) != _image_steps(dataset["pipeline"]):
        raise ValueError(
            f"test_pipeline and test_dataloader.dataset.pipeline differ in config {path}, so that MMSegmentation's"
            " functions would see other images than the test: write test_pipeline = [...] and"
            " test_dataloader = dict(dataset=dict(pipeline=test_pipeline))."
        )


def _image_steps(pipeline: object) -> object:
    """What a pipeline does to images, whichever of its two names a loader has; labels are for tests only."""
    steps = pipeline if isinstance(pipeline, list | tuple) else ()
    if not all(isinstance(step, Mapping) and isinstance(step.get("type"), str) for step in steps):
        return pipeline
    plain = [{**step, "type": step["type"].replace("LoadImageFromFile", "LoadImage")} for step in steps]
    return [_without(step, {"meta_keys"}) for step in plain if step["type"] not in _LABEL_STEPS]


def _set_protocol(config: Config, options: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Take the settings of the protocol that is asked for.

    Returns:
        The settings of the unified protocol if the config has that by itself, otherwise none.
    """
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
    config.run_name = path.stem if protocol == own else f"{path.stem}_{protocol}"
    if protocol == "unified" and own != "unified":
        if not isinstance(unified, Mapping):
            raise ValueError(f"Config {path} has no unified protocol: {unified}.")
        config.merge_from_dict(dict(unified))
    return unified if protocol == own == "unified" and isinstance(unified, Mapping) else {}


def _deviations(config: Config, unified: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """Where a file that calls itself unified has other settings than that protocol: a result says so."""
    if not unified:
        return {}
    wanted = copy.deepcopy(config)
    wanted.merge_from_dict(copy.deepcopy(dict(unified)))
    (one, other) = (dict(_leaves(deciding_settings(each), "")) for each in (config, wanted))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name) and not _is_below(name, options)]
    return {name: str(one.get(name, "default")) for name in names}


def _subset_of(config: Config) -> str:
    """``_50-of-200`` where the dataset has settings for a subset of its images: results of both have their places."""
    dataset, facts = _dataset(config), FACTS.get(config.get("dataset", ""))
    subset = dataset.get("subset")
    return "" if subset is None else f"_{subset}-of-{facts.images if facts else 'all'}"


def _leaves(value: object, name: str) -> Iterator[tuple[str, Any]]:
    """What nested settings hold, by dotted name."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{name}.{key}".lstrip("."))


def _apply(config: Config, options: Mapping[str, Any], path: Path) -> None:
    for key in options:
        _check_settable(config, key)
    try:
        config.merge_from_dict(dict(options))
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"The options {', '.join(options)} do not fit {path}: {error}") from error
    for key in options:
        if _has_mixed_keys(config.to_dict(), key.split(".")):
            raise ValueError(f"Option {key!r} cannot be set alone, because the keys around it are numbers: give all.")
    dataset = _dataset(config)
    if "test_pipeline" in config and "pipeline" in dataset:
        config.test_pipeline = dataset["pipeline"]
    config.overrides = {key: str(value) for key, value in options.items() if not _is_below(key, _NO_OVERRIDE)}


def _dataset(config: Config) -> Mapping[str, Any]:
    """Settings of the dataset; empty where there are none, or options have put something else in their place."""
    loader = config.get("test_dataloader")
    dataset = loader.get("dataset") if isinstance(loader, Mapping) else None
    return dataset if isinstance(dataset, Mapping) else {}


def _check_settable(config: Config, key: str) -> None:
    """Raise ValueError for an option that the command line cannot set."""
    for name, remedy in _SET_ELSEWHERE.items():
        if _is_below(key, [name]):
            raise ValueError(f"Option {key!r} has no effect: {remedy}.")
    first, *below = key.split(".")
    if first not in _SETTABLE and first in config:
        raise ValueError(f"Option {key!r} is for config files only. For the command line: {', '.join(_SETTABLE)}.")
    if first not in _SETTABLE or (below and first not in config):
        raise ValueError(f"Option {key!r}: {_unknown('config key', first, _SETTABLE)}")


def _check_acting(config: Config, options: Mapping[str, Any], before: Any) -> None:  # noqa: ANN401
    """Raise ValueError for options that do not act beside the model's other settings."""
    given = {name: value for key, item in options.items() for name, value in _leaves(item, key)}
    if any(_is_below(name, ["model"]) for name in given):
        check_acting(config.model, given, before)


def _has_mixed_keys(settings: Any, names: Sequence[str]) -> bool:  # noqa: ANN401
    """Whether the last of nested settings' names is a text among numbers."""
    for name in names[:-1]:
        settings = settings[int(name)] if isinstance(settings, list | tuple) else settings[name]
    return isinstance(settings, Mapping) and len({type(key) for key in settings}) > 1


def _is_below(key: str, names: Iterable[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _check_parts(config: Config, path: Path) -> None:
    for key in _REQUIRED:
        if key not in config:
            raise ValueError(f"Config {path} has no {key!r}: start from a file below configs/.")
    if "test_dataloader" in config and not _dataset(config):
        raise ValueError(f"Config {path} with its options has no settings test_dataloader.dataset=dict(...).")
    for part in ("backbone", "decode_head", "test_cfg"):
        if not isinstance(config.model, Mapping) or not isinstance(config.model.get(part), Mapping):
            raise ValueError(f"Config {path} with its options has no settings model.{part}=dict(...).")
    _check_model_parts(config, path)


def _check_model_parts(config: Config, path: Path) -> None:
    if config.get("log_level", "INFO") not in _LOG_LEVELS:
        raise ValueError(f"log_level must be one of {list(_LOG_LEVELS)}, but got {config.log_level!r}.")
    if "vocabulary" not in config.model.decode_head:
        remedy = (
            "write model = dict(_base_.unified.model, ...), which has all that the protocol sets"
            if config.protocol == "unified"
            else "name a list or a file"
        )
        raise ValueError(f"Config {path} has no model.decode_head.vocabulary: {remedy}.")
    if "short_side" not in config.model:
        raise ValueError(f"Config {path} has no model.short_side: give the pixels that images are resized to, or None.")


def check_loader(config: Config) -> None:
    """Refuse settings of ``test_dataloader`` that would not act, and transforms that are not for a pipeline here.

    Raises:
        ValueError: the option and the one that acts are named.
    """
    usual = {"type": "DefaultSampler", "shuffle": False, "round_up": False}
    for name in _LOOPS_OWN:
        value = config.test_dataloader.get(name)
        if value is not None and not (name == "sampler" and dict(value) == usual):
            raise ValueError(
                f"test_dataloader.{name} has no effect: every image is tested once, in fixed batches. Leave it out; for"
                " a part of the images set test_dataloader.dataset.indices."
            )
    for number, transform in enumerate(config.test_dataloader.dataset.get("pipeline", ())):
        where = f"test_dataloader.dataset.pipeline.{number}"
        kind = transform.get("type") if isinstance(transform, Mapping) else None
        if kind in _RESIZING or "short_side" in (transform or ()):
            raise ValueError(
                f"{where} ({kind}) sets the size of images, which is a setting of the model: leave it out, and set"
                " model.short_side."
            )
        check_settings(transform, TRANSFORMS, where)


def _options(component: Callable[..., Any]) -> set[str] | None:
    """Names that a component's constructor accepts, or None when it accepts any.

    ``**kwargs`` stands for the options of the base classes.
    """
    names: set[str] = set()
    if inspect.isclass(component) and component.__init__ is object.__init__:
        return names
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


def _unused(valid: Collection[str]) -> set[str]:
    """Options that a model has for MMSegmentation's functions only, and refuses: they are not offered."""
    return {"init_cfg", "train_cfg", "pretrained"} if "train_cfg" in valid else {"init_cfg"}


def _unknown(kind: str, name: str, valid: Iterable[str]) -> str:
    found = set(valid)
    names = sorted(found - _unused(found))
    close = difflib.get_close_matches(name, names, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"unknown {kind} {name!r}.{hint} Valid: {', '.join(names) or 'none'}."


def _near_configs(path: Path) -> str:
    folder = next((parent for parent in path.parents if parent.is_dir() and parent != Path()), None)
    if folder is None:
        return " Give the path of a file such as configs/sclip/sclip_vit-pocket_pocket_all.py."
    files = [file for file in folder.rglob("*.py") if "_base_" not in file.parts]
    names = {file.name: file for file in files}
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(str(names[name]) for name in close)}?" if close else ""
