"""Files of weights: read without running any code that they may contain, and told apart by their content."""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor

_OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a weight file as float32 tensors, without running any code it may contain.

    Accepts safetensors, ``torch.save`` files (``weights_only=True``; bare or under ``state_dict``, with or without
    the ``module.`` prefix) and the TorchScript archives that OpenAI distributes.

    Args:
        path: .pt, .pth, .bin or .safetensors file.

    Returns:
        Parameter name -> tensor.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"Weights file {path} not found: set model.backbone.pretrained to an existing .pt or .safetensors file"
            " or to an open_clip tag."
        )
    try:
        state = {str(key).removeprefix("module."): value for key, value in _read_any(path).items()}
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable weights file: it is damaged, incomplete, or pickled with other objects than"
            f" tensors ({type(error).__name__}). Download it again, or save its state_dict alone."
        ) from error
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor) and key not in _OPENAI_EXTRAS}
    return {key: value.detach().float() for key, value in tensors.items()}


def _read_any(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        if "TorchScript" not in str(error):
            raise
        state = torch.jit.load(path, map_location="cpu").state_dict()
    if not isinstance(state, dict):
        raise TypeError(f"it holds a {type(state).__name__}, not a dictionary of tensors")
    return state.get("state_dict", state)


def hash_tensors(state: dict[str, Tensor]) -> str:
    """sha256 of tensors' names, shapes and float32 values, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().float().contiguous()
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
