"""Companions: frozen networks beside CLIP, known by name and by a hash of their tensors without anyone writing one.

A method takes the config of a network as an option, and declares it: ``self.graph = self.companion("graph", graph)``.
From then on it is in every result, in the leaderboard's kind and backbone, in the count of parameters and in what a
resumed run compares. Any module with parameters can be one; those here also share their interfaces:

    features(images, grid) -> (B, D, h, w)        graph(images, grid) -> (B, N, N)        masks(image, points, labels)
    projections(images, grid) -> query, key and value of the last block, (B, heads, N, d) each
    own_patches(images) -> images and grid with which nothing is resampled

Images are RGB in grey levels 0 .. 255, (B, 3, H, W); ``grid`` is h and w of the N patches that are wanted.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from torch import Tensor, nn

from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.linear import speed_up
from mmseg_tfovss.registry import MODELS


class Companion(nn.Module):
    """A frozen network that says what it can give. Subclasses override what they have.

    Attributes:
        name: as results show it: hub id, folder or kind.
        weights_hash: sha256 of its tensors as they were loaded.
    """

    name: str
    weights_hash: str

    def features(self, images: Tensor, grid: Size) -> Tensor:
        """Features (B, D, h, w), float32, of images (B, 3, H, W) in grey levels 0 .. 255, on a grid of patches."""
        self._lacks("features (B, D, h, w)", "features")

    def projections(self, images: Tensor, grid: Size) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of the last block, of patches alone: (B, heads, N, d), float32."""
        self._lacks("projections of patches (B, heads, N, d)", "projections")

    def graph(self, images: Tensor, grid: Size) -> Tensor:
        """Self-attention between patches, (B, N, N), float32, rows sum to 1; arguments as for :meth:`features`."""
        self._lacks("graph of patches (B, N, N)", "graph")

    def masks(self, image: Tensor, points: Tensor, labels: Tensor, size: Size | None = None) -> Iterator[Tensor]:
        """Mask logits (n, H, W), some prompts at a time; see ``SAM.masks`` in :mod:`mmseg_tfovss.encoders.sam`."""
        self._lacks("masks for prompts", "masks")

    def own_patches(self, images: Tensor) -> tuple[Tensor, Size]:
        """Of images (B, 3, H, W) the part that its patches cover where nothing is resampled, and the grid of these."""
        self._lacks("grid of patches of its own", "own_patches")

    def _lacks(self, what: str, interface: str) -> NoReturn:
        raise ValueError(f"{type(self).__name__} gives no {what}: take one of {', '.join(_having(interface))}.")


def declare(network: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """Freeze a network, and give it a name and a hash if it has none of its own.

    Args:
        network: any module.
        settings: the config that it was built from.

    Returns:
        The network.
    """
    network.requires_grad_(requires_grad=False).eval()
    speed_up(network)
    if not isinstance(getattr(network, "name", None), str):
        kind = settings.get("type")
        network.__dict__["name"] = str(
            settings.get("pretrained") or (kind if isinstance(kind, str) else type(network).__name__)
        )
    if not isinstance(getattr(network, "weights_hash", None), str):
        network.__dict__["weights_hash"] = hash_tensors(
            {**dict(network.named_parameters()), **dict(network.named_buffers())}
        )
    return network


def check_gives(place: str, settings: Mapping[str, Any], interface: str) -> None:
    """Raise ValueError, before anything is loaded, for a network that lacks an interface (empty: anything will do)."""
    kind = settings["type"]
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    if interface and isinstance(kind, type) and not _has(kind, interface):
        raise ValueError(f"{place}: {kind.__name__} gives no {interface}: take one of {', '.join(_having(interface))}.")


def _has(kind: type, interface: str) -> bool:
    return getattr(kind, interface, None) not in (None, getattr(Companion, interface))


def _having(interface: str) -> list[str]:
    kinds = MODELS.module_dict.items()
    return sorted(name for name, kind in kinds if isinstance(kind, type) and _has(kind, interface))
