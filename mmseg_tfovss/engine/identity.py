"""What a run is: if any of it changes, its counts cannot be added to earlier ones."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import is_model_wrapper

from mmseg_tfovss.config import deciding_settings
from mmseg_tfovss.engine.code import PACKAGE, code_hash
from mmseg_tfovss.engine.provenance import package_versions

_NAMED = 5  # differences in a message
_LONG = 60  # characters of a value in a message


def run_identity(config: Config, dataset: BaseDataset, model: Any) -> dict[str, str]:  # noqa: ANN401
    """What must stay the same while a run is interrupted and resumed, by name.

    Args:
        config: of the run; every setting that can change a number enters under its dotted name.
        dataset: its number of images enters; for their files, see :func:`batch_hashes`.
        model: a method or a wrapper around one; its weights, words and ``input_files`` enter.
    """
    networks = networks_of(model)
    head = getattr(unwrapped(model), "decode_head", None)
    return {
        **settings_of(config),
        "the dataset's images": str(len(dataset)),
        "the weights": weights_hash([network.weights_hash for network in networks]) if networks else "none",
        "the vocabulary": head.vocabulary.hash if head is not None else "none",
        **_contents(files_read(model)),
        "the code": code_hash(config),
        **{f"the version of {name}": version for name, version in package_versions().items()},
    }


def settings_of(config: Config) -> dict[str, str]:
    """Every setting that can change a number, as JSON, by its dotted name."""
    return dict(_flat(deciding_settings(config)))


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


def networks_of(model: Any) -> list[Any]:  # noqa: ANN401
    """The frozen networks that a model declares, the image tower first."""
    networks = getattr(unwrapped(model), "networks", dict)
    return list(networks().values())


def files_read(model: Any) -> list[Path]:  # noqa: ANN401
    """What a method and those inside it have read besides weights and words; what comes with the package is code."""
    found = {path for part in unwrapped(model).modules() for path in getattr(part, "input_files", ())}
    return sorted(path for path in found if not path.is_relative_to(PACKAGE))


def weights_hash(hashes: list[str]) -> str:
    """CLIP's alone, or one of all networks' hashes."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def dataset_hash(dataset: BaseDataset) -> str:
    """sha256 of the names and sizes of images and annotations, wherever the dataset lies."""
    return files_hash(dataset_files(dataset))


def files_hash(files: Sequence[str]) -> str:
    """sha256 of what :func:`dataset_files` has found."""
    return hashlib.sha256(_bytes("".join(files))).hexdigest()


def batch_hashes(files: Sequence[str], batch_size: int) -> np.ndarray:
    """The same of each batch of successive images, cut to 8 bytes: (batches,) uint64."""
    batches = ("".join(files[start : start + batch_size]) for start in range(0, len(files), batch_size))
    return np.array([int(hashlib.sha256(_bytes(batch)).hexdigest()[:16], 16) for batch in batches], np.uint64)


def dataset_files(dataset: BaseDataset) -> list[str]:
    """Names and sizes of each image's files, in the order of the images."""
    root = dataset.data_root or ""
    found = []
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        paths = [Path(sample[key]) for key in ("img_path", "seg_map_path")]
        names = [os.path.relpath(path, root) if root else str(path) for path in paths]
        found.append("".join(f"{name} {path.stat().st_size}\n" for name, path in zip(names, paths, strict=True)))
    return found


def fingerprints(paths: Iterable[str | Path]) -> dict[str, str]:
    """What tells that a file, or any file of a folder, has changed: names, sizes and times; by path."""
    return {str(path): _fingerprint(Path(path)) for path in sorted({str(path) for path in paths})}


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
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return {f"the content of {', '.join(path.name for path in paths)}": digest.hexdigest()}


def _fingerprint(path: Path) -> str:
    """Of weights of some gigabytes, which nobody wants to read just to see that they are the same."""
    if not path.exists():
        return "absent"
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    lines = [f"{os.path.relpath(file, path)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256(_bytes("\n".join(lines))).hexdigest()


def _bytes(text: str) -> bytes:
    """Names of files as they are on the disk, which need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _short(value: str | None) -> str:
    if value is None:
        return "absent"
    return value if len(value) <= _LONG else f"{value[:_LONG]}..."
