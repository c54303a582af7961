"""What a run is: if any of it changes, its counts cannot be added to earlier ones."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import is_model_wrapper

from mmseg_tfovss.config import deciding_settings, input_files
from mmseg_tfovss.engine.code import PACKAGE, code_hash
from mmseg_tfovss.engine.contents import fingerprints
from mmseg_tfovss.engine.dataset_files import list_hashes
from mmseg_tfovss.engine.provenance import package_versions

_OTHER = "the "  # begins the names of what is no setting
_NAMED = 5  # differences in a message
_LONG = 60  # characters of a value in a message
_PLACES = ("data_root", "data_prefix", "ann_file", "metainfo")  # of a dataset: its own files, and names


def run_identity(config: Config, dataset: BaseDataset, model: Any) -> dict[str, str]:  # noqa: ANN401
    """What must stay the same while a run is interrupted and resumed, by name.

    Args:
        config: of the run; every setting that can change a number enters under its dotted name, and so do the contents
            of the files that it names.
        dataset: its number of images enters, and the file that lists them; for their own files, see
            :mod:`mmseg_tfovss.engine.dataset_files`.
        model: a method or a wrapper around one; its weights, words and ``input_files`` enter.
    """
    networks = networks_of(model)
    head = getattr(unwrapped(model), "decode_head", None)
    return {
        **settings_of(config),
        "the dataset's images": str(len(dataset)),
        **{f"the dataset's list{number or ''}": found for number, found in enumerate(list_hashes(dataset))},
        "the weights": weights_hash([network.weights_hash for network in networks]) if networks else "none",
        "the vocabulary": head.vocabulary.hash if head is not None else "none",
        **_contents(files_read(model)),
        **{f"the content of {path}": found for path, found in fingerprints(named_files(config)).items()},
        "the code": code_hash(config),
        **{f"the version of {name}": version for name, version in package_versions().items()},
    }


def settings_of(config: Config) -> dict[str, str]:
    """Every setting that can change a number, as JSON, by its dotted name."""
    return dict(_flat(deciding_settings(config)))


def settings_in(identity: Mapping[str, str]) -> dict[str, str]:
    """The settings among what a run is: their names are those of Python, the others are for people."""
    return {name: value for name, value in identity.items() if not name.startswith(_OTHER)}


def differences(one: Mapping[str, str], other: Mapping[str, str], form: str = "{name} was {one} and is {other}") -> str:
    """What differs between two identities, for people; empty if nothing does.

    Args:
        one: an identity, or part of one.
        other: another one.
        form: how each difference is said.
    """
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    told = [form.format(name=n, one=_short(one.get(n)), other=_short(other.get(n))) for n in names[:_NAMED]]
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return "; ".join([*told, *more])


def unwrapped(model: Any) -> Any:  # noqa: ANN401
    """The method itself."""
    return model.module if is_model_wrapper(model) else model


def named_files(config: Config) -> list[Path]:
    """Existing files and folders that a config names for its model, its transforms and its metric.

    A folder that a dataset of the user's own is given holds its images, which are looked at one by one.
    """
    dataset = config.get("test_dataloader", {}).get("dataset", {})
    around = {
        "dataset": {name: value for name, value in dataset.items() if name not in _PLACES},
        "evaluator": config.get("test_evaluator", {}),
    }
    model, rest = (input_files(Config({"model": part})) for part in (config.get("model", {}), around))
    around = {"pipeline": dataset.get("pipeline", ()), "evaluator": config.get("test_evaluator", {})}
    folders = [path for path in input_files(Config({"model": around})) if path.is_dir()]
    return [*model, *(path for path in rest if path.is_file()), *folders]


def networks_of(model: Any) -> list[Any]:  # noqa: ANN401
    """The frozen networks that a model declares, the image tower first."""
    networks = getattr(unwrapped(model), "networks", dict)
    return list(networks().values())


def files_read(model: Any) -> list[Path]:  # noqa: ANN401
    """What a method and those inside it have read besides weights and words; what comes with the package is code."""
    found = {path for part in unwrapped(model).modules() for path in getattr(part, "input_files", ())}
    return sorted(path for path in found if not path.is_relative_to(PACKAGE))


def weights_hash(hashes: list[str]) -> str:
    """CLIP's alone, or one of all networks' hashes; likewise of other things."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested settings under dotted names."""
    if isinstance(value, Mapping) and value:
        pairs = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        pairs = list(enumerate(value))
    else:
        yield name, json.dumps(value, default=str)
        return
    for key, item in pairs:
        yield from _flat(item, f"{name}.{key}".lstrip("."))


def _contents(paths: Sequence[Path]) -> dict[str, str]:
    paths = [path for path in paths if path.is_file()]  # some were only looked for
    if not paths:
        return {}
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return {f"the content of {', '.join(path.name for path in paths)}": weights_hash(hashes)}


def _short(value: str | None) -> str:
    if value is None:
        return "absent"
    return value if len(value) <= _LONG else f"{value[:_LONG]}..."
