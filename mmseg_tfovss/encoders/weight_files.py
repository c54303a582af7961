"""Files of weights: read without running any code that they may contain, and told apart by their content."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.encoders.torch_archives import ZIP, check_torch_file
from mmseg_tfovss.encoders.torchscript import is_torchscript, read_torchscript

_INDEX_SUFFIX = ".index.json"
_LFS_POINTER = b"version https:/"
_WEB_PAGE = re.compile(rb"\s*<[!?a-zA-Z]")
_SAFETENSORS_HEADER = slice(8, 9)  # after its length: the first character of a JSON object


def read_weights(path: Path, option: str = "model.backbone.pretrained") -> dict[str, Any]:
    """Read a weight file, without running any code it may contain.

    Accepts safetensors, ``torch.save`` files (``weights_only=True``) and the TorchScript archives that OpenAI
    distributes, whose tensors are read as data (:mod:`mmseg_tfovss.encoders.torchscript`).

    Args:
        path: .pt, .pth, .bin, .ckpt or .safetensors file; what it is, its content tells.
        option: that names the file, for messages.

    Returns:
        What it holds: tensors by name, or dictionaries of them, as they are in the file; see
        :func:`mmseg_tfovss.encoders.layouts.find_clip`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is a folder or one part of a sharded model, it is damaged, or holds something else.
    """
    _check_is_whole(path, option)
    try:
        content = _read_any(path)
        if not isinstance(content, Mapping):
            raise TypeError(f"it holds a {type(content).__name__}, not a dictionary of tensors")
    except (MemoryError, PermissionError):
        raise  # which says nothing of the file
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable weights file: it is damaged, incomplete, or pickled with other objects than"
            f" tensors ({_reason(error)}). Download it again, or save its state_dict alone."
        ) from error
    return dict(content)


def _check_is_whole(path: Path, option: str) -> None:
    if path.is_dir():
        inside = sorted(file.name for pattern in ("*.safetensors", "*.pt", "*.bin") for file in path.glob(pattern))
        hint = f", such as {path / inside[0]}" if inside else ""
        raise ValueError(f"{path} is a folder: set {option} to one weights file{hint}.")
    if not path.is_file():
        raise FileNotFoundError(
            f"Weights file {path} not found: set {option} to an existing .pt or .safetensors file"
            " or to an open_clip tag."
        )
    if path.name.endswith(_INDEX_SUFFIX):
        raise ValueError(
            f"{path} is the index of weights in several files, which cannot be read: join them into one .safetensors"
            f" file and set {option} to it."
        )


def _reason(error: Exception) -> str:
    """The readers' own sentences about TorchScript are short; others' messages may have many lines."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return text if type(error) is ValueError and len(text) < 200 else name


def _read_any(path: Path) -> object:
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(_LFS_POINTER):
        raise ValueError("it is a Git LFS pointer, not the file itself")
    if _WEB_PAGE.match(head) and head[_SAFETENSORS_HEADER] != b"{":
        raise ValueError("it is a web page")
    if path.suffix == ".safetensors" or head[_SAFETENSORS_HEADER] == b"{":
        from safetensors.torch import load_file

        return load_file(path)
    if head.startswith(ZIP) and is_torchscript(path):
        return read_torchscript(path)
    check_torch_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def as_float32(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Tensors of a file in float32, in bounded memory.

    Args:
        state: tensors by name.
        path: the file they are from.

    Raises:
        ValueError: a tensor is no plain one of floating-point numbers, repeats numbers that the file holds once, or
            all of them hold many times more numbers than the file can.
    """
    for name, tensor in state.items():
        if not _is_plain(tensor):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(
                f"{path}: {name} is not a plain tensor of floating-point numbers ({kind}): save the network's weights"
                " in float32, float16 or bfloat16."
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"{path}: {name} of shape {tuple(tensor.shape)} has more values than the file holds.")
    if sum(tensor.numel() for tensor in state.values()) > 2 * path.stat().st_size:
        raise ValueError(f"{path}: its tensors have many times more values than the file holds.")
    return {name: tensor.detach().float() for name, tensor in state.items()}


def _is_plain(tensor: Tensor) -> bool:
    ordinary = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
    return ordinary and tensor.device.type == "cpu" and not tensor.is_quantized and tensor.is_floating_point()


def hash_tensors(state: dict[str, Tensor]) -> str:
    """sha256 of tensors' names, shapes and float32 values, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().float().contiguous()
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
