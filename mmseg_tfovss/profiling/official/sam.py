"""A random SAM for official code and ours."""

import importlib
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.profiling.official.repository import Repository

_NOISE = 0.02  # added to all tensors: its positions are zero where nobody has trained it


def write_random_sam(repository: Repository, kind: str, path: Path) -> Path:
    """Write random weights in the layout of facebookresearch/segment-anything, every value exact in float16.

    Args:
        repository: a checkout with a copy of segment_anything.
        kind: ``vit_b``, ``vit_l`` or ``vit_h``.
        path: file to write.

    Raises:
        ValueError: its copy has no such network, or cannot be run.
    """
    with repository.running(torch.device("cpu")), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build: Any = importlib.import_module("segment_anything").sam_model_registry[kind]
        tensors = build(checkpoint=None).state_dict()
        noisy = {name: tensor + _NOISE * torch.randn(tensor.shape) for name, tensor in tensors.items()}
    torch.save({name: tensor.half().float() for name, tensor in noisy.items()}, path)
    return path
