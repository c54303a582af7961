"""The one file that a network's authors distribute: its tensors found, and compared with what such a network has."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mmseg_tfovss.encoders.layouts import dictionaries
from mmseg_tfovss.encoders.weight_files import as_float32

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
# What training scripts wrap around a network: a full checkpoint of DINO has {"teacher": {"module.backbone....": }}.
_WRAPPERS = re.compile(r"((module|_orig_mod|model|backbone|encoder|teacher|student|net|network|sam|vit)\.)*")
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """Names of the tensors in the authors' file.

    Attributes:
        repository: whose names they are, e.g. ``facebookresearch/dino``.
        marker: name of a tensor that every such file has.
        convert: tensors, and options that a file does not say -> settings of transformers' config, and the tensors
            under the names of the hub's folders; raises ValueError with a reason.
        extras: names that a file may have beside the network's.
    """

    repository: str
    marker: str
    convert: Callable[..., tuple[dict[str, Any], dict[str, Tensor]]]
    extras: str = "$^"


def names_a_file(pretrained: str) -> bool:
    """Whether a name is that of a file, there or not, rather than of a folder or on the hub."""
    path = Path(pretrained).expanduser()
    return path.is_file() or (path.suffix in SUFFIXES and not path.is_dir())


def find_network(content: Mapping[str, Any], layout: Layout, path: Path) -> dict[str, Tensor]:
    """The tensors of the network in a file's content, float32, under the authors' names.

    Where a file holds a teacher and a student, as DINO's full checkpoints do, the teacher is the network.

    Args:
        content: of :func:`mmseg_tfovss.encoders.weight_files.read_weights`.
        layout: the names.
        path: the file.

    Raises:
        ValueError: it holds no such network, or several; the message is the reason.
    """
    found = []
    for place, tensors in dictionaries(content):
        for name in tensors:
            prefix = name.removesuffix(layout.marker)
            if prefix + layout.marker == name and _WRAPPERS.fullmatch(prefix):
                found.append((f"{place}.{prefix}", prefix, tensors))
    teachers = [one for one in found if "teacher" in one[0].split(".")]
    found = teachers or found
    if not found:
        names = sorted(name for _, tensors in dictionaries(content) for name in tensors)
        raise ValueError(f"{layout.marker} is missing; its first keys are {', '.join(names[:3]) or 'none'}")
    if len(found) > 1:
        raise ValueError(f"it holds {len(found)} of them, {' and '.join(place.strip('.') for place, *_ in found)}")
    ((_, prefix, tensors),) = found
    extra = re.compile(layout.extras)
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return as_float32({name: tensor for name, tensor in named.items() if not extra.match(name)}, path)


def check_shapes(tensors: Mapping[str, Tensor], expected: Shapes) -> None:
    """Raise ValueError with a reason unless these are the tensors, of these shapes, and no others."""
    for name, shape in expected.items():
        if name not in tensors:
            raise ValueError(f"{name} is missing")
        if tuple(tensors[name].shape) != tuple(shape):
            raise ValueError(f"{name} is of shape {tuple(tensors[name].shape)}, but it must be {tuple(shape)}")
    for name in tensors:
        if name not in expected:
            raise ValueError(f"it has {name}, which such a network does not have")


def count_blocks(tensors: Mapping[str, Tensor], start: str) -> int:
    """Number of blocks whose tensors are called start + 0, start + 1 and so on."""
    numbers = re.compile(re.escape(start) + r"(\d+)\.")
    return 1 + max((int(match[1]) for name in tensors if (match := numbers.match(name))), default=-1)


def rename(tensors: Mapping[str, Tensor], names: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Tensors under other names: regular expressions and replacements, one after the other."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed
