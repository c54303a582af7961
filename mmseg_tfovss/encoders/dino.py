"""The frozen DINO, DINOv2 and MAE, through transformers: an image -> tokens, projections, or its patches' graph.

DINO: Caron et al., ICCV 2021, arXiv:2104.14294. DINOv2: Oquab et al., TMLR 2024, arXiv:2304.07193; with registers:
Darcet et al., ICLR 2024, arXiv:2309.16588. MAE: He et al., CVPR 2022, arXiv:2111.06377.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import MethodType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.encoders.clip import PRECISIONS
from mmseg_tfovss.encoders.clip_graph import choose_layers
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.facebook_vit import DINO_LAYOUT, DINOV2_LAYOUT, MAE_LAYOUT, REGISTERS_LAYOUT
from mmseg_tfovss.encoders.pretrained import POCKET, Network, check_config, config_place, load_frozen, shown_name
from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.graph import GraphMean, mean_attention
from mmseg_tfovss.ops.positional import interpolate_positions
from mmseg_tfovss.registry import MODELS

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, RGB, of values in [0, 1]
DINO_MEAN, DINO_STD = (tuple(255 * value for value in values) for values in (_MEAN, _STD))  # in grey levels
# How a table of positions is brought to another grid, as :func:`interpolate_positions` calls it.
POSITIONS = {"scale": "scale", "size": "exact", "antialiased": "antialiased"}
_ATTENTION = "mmseg_tfovss_graph"  # name of `_attend` in transformers' attention interface
_take: ContextVar[Callable[[Tensor, Tensor, Tensor], None] | None] = ContextVar("take", default=None)
_fused: ContextVar[bool] = ContextVar("fused", default=True)


class _LastLayerTaken(Exception):  # noqa: N818 - a signal, not an error
    """Ends the network's pass: nothing that follows is needed."""


class FrozenViT(Companion):
    """A ViT of transformers: its tokens, their features, or the graph of its patches.

    Args:
        pretrained: a hub id; a folder with the config.json and model.safetensors of such a network; or one file in
            the key layout of its authors, whose config follows from the tensors' shapes. ``None``: the class's
            ``network.default``.
        layers: of the graph, numbers from 1; ``None``: all of them, which is how DSLO's "layer-wise averaged
            self-attention" reads ([open]: the paper does not list the layers of ViTs).
        precision: ``fp32``, ``bf16`` or ``fp16``, of the network; softmax and averages are float32.
        positions: how the table of positions is brought to another grid of patches, always bicubic: ``scale`` by the
            factors (size + 0.1) / native size, which shrinks it slightly, as the code of DINO and DINOv2 does; ``size``
            to the size itself; ``antialiased`` likewise with a filter, as DINOv2 with registers does. ``None``: the
            class's ``native_positions``.
        heads: of the authors' file, which does not say them; ``None``: width / 64, but two at least.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder or file holds another network, or an option is out of range.
    """

    network: ClassVar[Network]
    config_options: ClassVar[dict[str, Any]] = {}  # that hold whatever a file says
    native_positions: ClassVar[str] = "size"
    model_options: ClassVar[dict[str, Any]] = {}  # of the model's forward

    def __init__(
        self,
        pretrained: str | None = None,
        layers: Sequence[int] | None = None,
        precision: str = "fp32",
        positions: str | None = None,
        heads: int | None = None,
    ) -> None:
        super().__init__()
        self.positions = self.native_positions if positions is None else positions
        for option, value, choices in (
            ("precision", precision, list(PRECISIONS)),
            ("positions", self.positions, list(POSITIONS)),
        ):
            if value not in choices:
                place = config_place(self.network.place)
                raise ValueError(f"{place}.{option} must be one of {choices}, but got {value!r}.")
        pretrained = pretrained or self.network.default
        self.name = shown_name(pretrained, type(self))
        self.model = load_frozen(pretrained, self.network, heads=heads)
        self.weights_hash = hash_tensors(self.model.state_dict())
        config = self.model.config
        for option, value in self.config_options.items():
            setattr(config, option, value)
        square = config.patch_size if isinstance(config.patch_size, int) else "one whole number"
        check_config(
            self.name, self.network, num_channels=(config.num_channels, 3), patch_size=(config.patch_size, square)
        )
        self.patch_size: int = config.patch_size
        self.depth: int = config.num_hidden_layers
        self.layers = choose_layers(layers, self.depth)
        self.skip = 1 + getattr(config, "num_register_tokens", 0)  # tokens in front of the patches
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(requires_grad=False).eval()
        self.model.to(PRECISIONS[precision])
        _register_attention()
        self.model.set_attn_implementation(_ATTENTION)
        embeddings = self.model.embeddings
        embeddings.position_mode = POSITIONS[self.positions]
        embeddings.interpolate_pos_encoding = MethodType(_positions_of, embeddings)

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

    def own_patches(self, images: Tensor) -> tuple[Tensor, Size]:
        """Images (B, 3, H, W) without the pixels beyond their last whole patches, and how many these are: h and w.

        Raises:
            ValueError: the images are smaller than one patch.
        """
        side, (height, width) = self.patch_size, images.shape[-2:]
        grid = height // side, width // side
        if not all(grid):
            raise ValueError(
                f"An image of {height}x{width} pixels (height x width, as the network sees it) is smaller than one"
                f" {side}x{side} patch of {self.name}: use a larger image or short side."
            )
        return images[..., : grid[0] * side, : grid[1] * side], grid

    def projections(self, images: Tensor, grid: Size, *, fused: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of the last block, of the patches alone: (B, heads, h w, d) each, float32.

        Neither the query is scaled nor class token and registers are among them.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted; the images are resized (bicubic, antialiased) to as many.
            fused: attention in one kernel; False: step by step, to the last digit as the authors' code computes it,
                for methods in which rounding decides ties.
        """
        found: list[Tensor] = []

        def take(number: int, *projections: Tensor) -> None:
            if number == self.depth:
                found.extend(projection[:, :, self.skip :].float() for projection in projections)

        token = _fused.set(fused)
        try:
            self._show(images, grid, self.depth, take)
        finally:
            _fused.reset(token)
        query, key, value = found
        return query, key, value

    def graph(self, images: Tensor, grid: Size) -> Tensor:
        """Self-attention between patches, averaged over heads and layers: (B, N, N), float32; rows sum to 1.

        One head's map at a time is added up, while the network runs, as far as the last layer that is wanted. Class
        token and registers take no part, neither as queries nor as keys.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted, N = h w; the images are resized (bicubic, antialiased) to as many.
        """
        graph = GraphMean(grid)

        def take(number: int, query: Tensor, key: Tensor, value: Tensor) -> None:
            if number in self.layers:
                graph.add(mean_attention(query, key, self.skip), grid)

        self._show(images, grid, max(self.layers), take)
        return graph.result()

    def pixels(self, images: Tensor, grid: Size) -> Tensor:
        """Images (B, 3, H, W) in grey levels, normalised and resized to (B, 3, p h, p w): ``grid`` patches of p."""
        if min(*grid, *images.shape[-2:]) < 1:
            height, width = images.shape[-2:]
            raise ValueError(
                f"{self.name} cannot see {height} x {width} pixels as {grid[0]} x {grid[1]} patches: the image must be"
                f" larger (its patches have {self.patch_size} pixels)."
            )
        size = (grid[0] * self.patch_size, grid[1] * self.patch_size)
        if tuple(images.shape[-2:]) != size:
            images = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        # In the order of torchvision's ToTensor and Normalize, to the last digit.
        return (images / 255 - self.mean) / self.std

    def _show(self, images: Tensor, grid: Size, last: int, take: Callable[..., None]) -> None:
        """Call ``take(number, query, key, value)`` for every layer up to the last that is wanted, and stop there."""
        passed = 0

        def see(query: Tensor, key: Tensor, value: Tensor) -> None:
            nonlocal passed
            passed += 1
            take(passed, query, key, value)
            if passed == last:
                raise _LastLayerTaken

        with _taking(see), suppress(_LastLayerTaken):
            self._run(images, grid)

    def _run(self, images: Tensor, grid: Size) -> Any:  # noqa: ANN401 - transformers' output
        return self.model(pixel_values=self.pixels(images, grid).to(self.model.dtype), **self.model_options)


@MODELS.register_module()
class DINO(FrozenViT):
    """The frozen DINO; ``facebook/dino-vitb8``, ``-vitb16``, ``-vits8``, ``-vits16``.

    ``pocket`` is a bundled network for the pocket benchmark, a ViT of 4 blocks, width 64 and patch 8. Its numbers are
    random and fixed, not trained; see :mod:`mmseg_tfovss.pocket.random_networks`.

    Args and Raises: see :class:`FrozenViT`.
    """

    # The published weights have no pooling layer.
    network = Network(
        "DINO",
        "model.graph",
        "facebook/dino-vitb8",
        "vit",
        "ViTModel",
        {"add_pooling_layer": False},
        layout=DINO_LAYOUT,
        pocket=POCKET / "pocket_dino.safetensors",
    )
    native_positions = "scale"
    model_options: ClassVar[dict[str, Any]] = {"interpolate_pos_encoding": True}


@MODELS.register_module()
class DINOv2(FrozenViT):
    """The frozen DINOv2; ``facebook/dinov2-small``, ``-base``, ``-large``, ``-giant``.

    Args and Raises: see :class:`FrozenViT`.
    """

    network = Network("DINOv2", "model.graph", "facebook/dinov2-base", "dinov2", "Dinov2Model", layout=DINOV2_LAYOUT)


@MODELS.register_module()
class DINOv2Registers(FrozenViT):
    """The frozen DINOv2 with registers; ``facebook/dinov2-with-registers-base`` and its other sizes.

    Args and Raises: see :class:`FrozenViT`.
    """

    native_positions = "antialiased"
    network = Network(
        "DINOv2 with registers",
        "model.graph",
        "facebook/dinov2-with-registers-base",
        "dinov2_with_registers",
        "Dinov2WithRegistersModel",
        layout=REGISTERS_LAYOUT,
    )


@MODELS.register_module()
class MAE(FrozenViT):
    """The encoder of the frozen MAE, which sees every patch here; ``facebook/vit-mae-base``, ``-large``, ``-huge``.

    Its authors' files (mae_pretrain_vit_base.pth) have the names of DINO's, and cannot be told from these.

    Args and Raises: see :class:`FrozenViT`.
    """

    network = Network(
        "MAE",
        "model.graph",
        "facebook/vit-mae-base",
        "vit_mae",
        "ViTMAEModel",
        layout=MAE_LAYOUT,
    )
    config_options: ClassVar[dict[str, Any]] = {"mask_ratio": 0.0}

    def _run(self, images: Tensor, grid: Size) -> Any:  # noqa: ANN401 - transformers' output
        pixels = self.pixels(images, grid).to(self.model.dtype)
        # Patches are kept in the order of the noise: all of them, in their own order.
        order = torch.arange(grid[0] * grid[1], device=pixels.device, dtype=torch.float32).expand(len(pixels), -1)
        return self.model(pixel_values=pixels, noise=order, interpolate_pos_encoding=True)


def _positions_of(embeddings: Any, tokens: Tensor, height: int, width: int) -> Tensor:  # noqa: ANN401
    """In place of transformers' own method: positions (1, 1 + h w, D) for images of height and width."""
    patch = embeddings.patch_embeddings.patch_size[0]
    table = embeddings.position_embeddings[0]
    found = interpolate_positions(table.float(), (height // patch, width // patch), embeddings.position_mode)
    return found[None].to(table.dtype)


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
    """Attention as transformers wants it, (B, L, heads, d) from (B, heads, L, d); all three are shown around."""
    take = _take.get()
    if take is not None:
        take(query, key, value)
    if _fused.get():
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    else:
        scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        heads = scores.softmax(dim=-1) @ value
    return heads.transpose(1, 2), None


@contextmanager
def _taking(take: Callable[[Tensor, Tensor, Tensor], None]) -> Iterator[None]:
    """Show queries, keys and values of every layer that runs in this block to ``take``."""
    token = _take.set(take)
    try:
        yield
    finally:
        _take.reset(token)
