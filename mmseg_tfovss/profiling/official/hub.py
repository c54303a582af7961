"""The same random DINO for official code and ours."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_tfovss.profiling.official.repository import Repository
from mmseg_tfovss.profiling.random_weights.dino import take_random_dino

_DINO = "https://github.com/facebookresearch/dino"
HUB_REMEDY = f"Clone {_DINO}, and name the folder by --hub."


def share_dino(config: Config, folder: Path) -> Path | None:
    """Let a config of ours read a random DINO, if it has such a network.

    Args:
        config: ours; changed.
        folder: for the file.

    Returns:
        The file, or ``None``: the method has no second network.

    Raises:
        ValueError: its second network is another one.
    """
    network = config.model.get("vfm")
    if network is None:
        return None
    if network["type"] != "DINO":
        raise ValueError(f"--against compares methods with DINO, but model.vfm is {network['type']}.")
    return take_random_dino(network, "model.vfm", folder)


@contextmanager
def instead_of_downloads(dino: Path | None, hub: Path | None) -> Iterator[None]:
    """While this lasts, what official code downloads by ``torch.hub`` is the random DINO.

    Args:
        dino: its file.
        hub: a checkout of facebookresearch/dino, for code that asks for a network by name.
    """
    if dino is None:
        yield
        return
    tensors = torch.load(dino, weights_only=True)

    def load(repository: str, name: str, **_: object) -> nn.Module:
        if hub is None:
            raise ValueError(f"--against: this method takes {name} of {repository} from torch.hub. {HUB_REMEDY}")
        return _named(open_hub(hub), name, tensors)

    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.hub, "load", load))
        stack.enter_context(patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: tensors))
        yield


def open_hub(folder: Path) -> Repository:
    """A checkout of facebookresearch/dino.

    Raises:
        FileNotFoundError: no such folder, or another one.
    """
    repository = Repository(folder, "--hub", _DINO)
    if not (repository.folder / "hubconf.py").is_file():
        raise FileNotFoundError(f"--hub {repository.folder}: no hubconf.py. Name a checkout of facebookresearch/dino.")
    return repository


def _named(repository: Repository, name: str, tensors: Mapping[str, Tensor]) -> nn.Module:
    with repository.modules():
        network: nn.Module = getattr(importlib.import_module("hubconf"), name)(pretrained=False)
    network.load_state_dict(tensors)
    return network.eval()
