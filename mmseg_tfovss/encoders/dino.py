"""The frozen DINO and DINOv2, through transformers: an image -> tokens, or the graph of its patches.

DINO: Caron et al., ICCV 2021, arXiv:2104.14294. DINOv2: Oquab et al., TMLR 2024, arXiv:2304.07193; with registers:
Darcet et al., ICLR 2024, arXiv:2309.16588.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.encoders.clip import PRECISIONS
from mmseg_tfovss.encoders.clip_graph import choose_layers
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.pretrained import Network, check_config, config_place, load_frozen
from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.graph import GraphMean, mean_attention
from mmseg_tfovss.registry import MODELS

# ImageNet's; RGB, in grey levels.
DINO_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
DINO_STD = tuple(255 * std for std in (0.229, 0.224, 0.225))
_ATTENTION = "mmseg_tfovss_graph"  # name of `_attend` in transformers' attention interface
_take: ContextVar[Callable[[Tensor, Tensor], None] | None] = ContextVar("take", default=None)


class _LastLayerTaken(Exception):  # noqa: N818 - a signal, not an error
    """Ends the network's pass: nothing that follows is needed."""


class FrozenViT(Companion):
    """A ViT of transformers: its tokens, their features, or the graph of its patches.

    Args:
        pretrained: a hub id, or a folder with the config.json and model.safetensors of such a network; ``None``: the
            class's ``network.default``.
        layers: of the graph, numbers from 1; ``None``: all of them, which is how DSLO's "layer-wise averaged
            self-attention" reads ([open]: the paper does not list the layers of ViTs).
        precision: ``fp32``, ``bf16`` or ``fp16``, of the network; softmax and averages are float32.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder holds another network, or an option is out of range.
    """

    network: ClassVar[Network]
    model_options: ClassVar[dict[str, Any]] = {}  # of the model's forward

    def __init__(
        self, pretrained: str | None = None, layers: Sequence[int] | None = None, precision: str = "fp32"
    ) -> None:
        super().__init__()
        if precision not in PRECISIONS:
            place = config_place(self.network.place)
            raise ValueError(f"{place}.precision must be one of {list(PRECISIONS)}, but got {precision!r}.")
        self.name = pretrained or self.network.default
        self.model = load_frozen(self.name, self.network)
        self.weights_hash = hash_tensors(self.model.state_dict())
        config = self.model.config
        square = config.patch_size if isinstance(config.patch_size, int) else "one whole number"
        check_config(
            self.name, self.network, num_channels=(config.num_channels, 3), patch_size=(config.patch_size, square)
        )
        self.patch_size: int = config.patch_size
        self.layers = choose_layers(layers, config.num_hidden_layers)
        self.skip = 1 + getattr(config, "num_register_tokens", 0)  # tokens in front of the patches
        self.register_buffer("mean", torch.tensor(DINO_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(DINO_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(requires_grad=False).eval()
        self.model.to(PRECISIONS[precision])
        _register_attention()
        self.model.set_attn_implementation(_ATTENTION)

    def tokens(self, images: Tensor, grid: Size) -> Tensor:
        """Last tokens (B, 1 + hw, D), class token first, after the network's final LayerNorm, float32."""
        found = self._run(images, grid).last_hidden_state
        return torch.cat([found[:, :1], found[:, self.skip :]], dim=1).float()

    def features(self, images: Tensor, grid: Size) -> Tensor:
        """The patches of :meth:`tokens`, (B, D, h, w).

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted; the images are resized (bicubic, antialiased) to as many.
        """
        return self.tokens(images, grid)[:, 1:].transpose(1, 2).unflatten(2, grid)

    def graph(self, images: Tensor, grid: Size) -> Tensor:
        """Self-attention between patches, averaged over heads and layers: (B, N, N), float32; rows sum to 1.

        One head's map at a time is added up, while the network runs, as far as the last layer that is wanted. Class
        token and registers take no part, neither as queries nor as keys.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted, N = h w; the images are resized (bicubic, antialiased) to as many.
        """
        graph, passed = GraphMean(grid), 0

        def take(query: Tensor, key: Tensor) -> None:
            nonlocal passed
            passed += 1
            if passed in self.layers:
                graph.add(mean_attention(query, key, self.skip), grid)
            if passed == max(self.layers):
                raise _LastLayerTaken

        with _taking(take), suppress(_LastLayerTaken):
            self._run(images, grid)
        return graph.result()

    def pixels(self, images: Tensor, grid: Size) -> Tensor:
        """Images (B, 3, H, W) in grey levels, normalised and resized to (B, 3, p h, p w): ``grid`` patches of p."""
        size = (grid[0] * self.patch_size, grid[1] * self.patch_size)
        resized = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        return (resized - self.mean) / self.std

    def _run(self, images: Tensor, grid: Size) -> Any:  # noqa: ANN401 - transformers' output
        return self.model(pixel_values=self.pixels(images, grid).to(self.model.dtype), **self.model_options)


@MODELS.register_module()
class DINO(FrozenViT):
    """The frozen DINO; ``facebook/dino-vitb8``, ``-vitb16``, ``-vits8``, ``-vits16``.

    Args and Raises: see :class:`FrozenViT`.
    """

    # The published weights have no pooling layer.
    network = Network("DINO", "model.graph", "facebook/dino-vitb8", "vit", "ViTModel", {"add_pooling_layer": False})
    model_options: ClassVar[dict[str, Any]] = {"interpolate_pos_encoding": True}


@MODELS.register_module()
class DINOv2(FrozenViT):
    """The frozen DINOv2; ``facebook/dinov2-small``, ``-base``, ``-large``, ``-giant``.

    Args and Raises: see :class:`FrozenViT`.
    """

    network = Network("DINOv2", "model.graph", "facebook/dinov2-base", "dinov2", "Dinov2Model")


@MODELS.register_module()
class DINOv2Registers(FrozenViT):
    """The frozen DINOv2 with registers; ``facebook/dinov2-with-registers-base`` and its other sizes.

    Args and Raises: see :class:`FrozenViT`.
    """

    network = Network(
        "DINOv2 with registers",
        "model.graph",
        "facebook/dinov2-with-registers-base",
        "dinov2_with_registers",
        "Dinov2WithRegistersModel",
    )


def _register_attention() -> None:
    import transformers

    transformers.AttentionInterface.register(_ATTENTION, _attend)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Attention as transformers wants it, (B, L, heads, d) from (B, heads, L, d); query and key are shown around."""
    take = _take.get()
    if take is not None:
        take(query, key)
    heads = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    return heads.transpose(1, 2), None


@contextmanager
def _taking(take: Callable[[Tensor, Tensor], None]) -> Iterator[None]:
    """Show queries and keys of every layer that runs in this block to ``take``."""
    token = _take.set(take)
    try:
        yield
    finally:
        _take.reset(token)
