"""What a run is: if any of it changes, its counts cannot be added to earlier ones."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.model import is_model_wrapper

from mmseg_tfovss.config import deciding_settings
from mmseg_tfovss.engine.provenance import package_versions

_PACKAGE = Path(__file__).parents[1]
_NO_NUMBERS = {"analysis"}  # parts of the package that no test runs through


def run_identity(config: Config, dataset: BaseDataset, model: Any) -> dict[str, str]:  # noqa: ANN401
    """What must stay the same while a run is interrupted and resumed, by name.

    Args:
        config: of the run; every setting that can change a number enters under its dotted name.
        dataset: its file names and sizes enter.
        model: a method or a wrapper around one; its weights and words enter.
    """
    networks = networks_of(model)
    head = getattr(unwrapped(model), "decode_head", None)
    return {
        **dict(_flat(deciding_settings(config))),
        "the dataset's images": str(len(dataset)),
        "the dataset's files": _files_hash(dataset),
        "the weights": weights_hash([network.weights_hash for network in networks]) if networks else "none",
        "the vocabulary": head.vocabulary.hash if head is not None else "none",
        "the code": _code_hash(),
        **{f"the version of {name}": version for name, version in package_versions().items()},
    }


def unwrapped(model: Any) -> Any:  # noqa: ANN401
    """The method itself."""
    return model.module if is_model_wrapper(model) else model


def networks_of(model: Any) -> list[Any]:  # noqa: ANN401
    """The frozen networks of a method, the image tower first."""
    parts = sorted(unwrapped(model).named_children(), key=lambda part: part[0] != "backbone")
    return [part for _, part in parts if hasattr(part, "weights_hash")]


def weights_hash(hashes: list[str]) -> str:
    """CLIP's alone, or one of all networks' hashes."""
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


def _files_hash(dataset: BaseDataset) -> str:
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        for key in ("img_path", "seg_map_path"):
            path = Path(sample[key])
            digest.update(f"{path} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


@cache
def _code_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        if path.relative_to(_PACKAGE).parts[0] not in _NO_NUMBERS:
            digest.update(path.read_bytes())
    return digest.hexdigest()
