"""CLIP's own query-key attention as a graph of patches: DSLO without a second network."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.preprocessor import CLIP_MEAN, CLIP_STD, in_grey_levels
from mmseg_tfovss.encoders.pretrained import config_place
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.graph import GraphMean, mean_attention
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class CLIPGraph(Companion):
    """Query-key attention between patches, averaged over heads and blocks of the image tower as it was trained.

    The class token takes no part, neither as query nor as key. Plug-ins of a method that shares the tower do not act:
    the graph is CLIP's.

    Args:
        layers: block numbers from 1; ``None``: all of them, which is how DSLO's "layer-wise averaged self-attention"
            reads ([open]: the paper does not list the blocks of ViTs).
        backbone: config of an image tower of its own, e.g. ``dict(type='CLIPImageEncoder', arch='ViT-B-16')``;
            ``None``: the method's, handed over with :meth:`attach`.

    Raises:
        ValueError: block numbers that the tower does not have.
    """

    def __init__(self, layers: Sequence[int] | None = None, backbone: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._wanted = layers
        self.register_buffer("mean", torch.zeros(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self._shared: list[CLIPImageEncoder] = []  # a list keeps the method's tower out of the module tree
        self.own: CLIPImageEncoder | None = None
        if backbone is not None:
            self.own = MODELS.build(backbone)
            self.own.pop_text_encoder()
            self._describe(self.own, *in_grey_levels(self.own.mean, self.own.std))

    def attach(
        self,
        backbone: CLIPImageEncoder,
        mean: Sequence[float] | Tensor = CLIP_MEAN,
        std: Sequence[float] | Tensor = CLIP_STD,
    ) -> None:
        """Use the method's image tower, unless there is an own one.

        Args:
            backbone: it is shared, not copied, and moves with the method.
            mean: per channel, RGB, in grey levels: of the method's preprocessor.
            std: likewise.
        """
        if self.own is None:
            self._shared = [backbone]
            self._describe(backbone, mean, std)

    def graph(self, images: Tensor, grid: Size) -> Tensor:
        """The graph (B, N, N), float32; rows sum to 1.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the patches wanted, N = h w. Images that have another number of whole patches are resized
                (bicubic, antialiased).
        """
        if self.own is None and not self._shared:
            raise ValueError("CLIPGraph has no image tower: use it as a method's graph, or set model.graph.backbone.")
        tower = self.own or self._shared[0]
        if (images.shape[-2] // tower.patch_size, images.shape[-1] // tower.patch_size) != tuple(grid):
            size = (grid[0] * tower.patch_size, grid[1] * tower.patch_size)
            images = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        tokens = tower.embed((images - self.mean) / self.std)
        graph = GraphMean(grid)
        blocks: list[CLIPBlock] = list(tower.blocks)  # type: ignore[arg-type]
        for number, block in enumerate(blocks[: max(self.layers)], start=1):
            projections = block.qkv(tokens)
            if number in self.layers:
                graph.add(mean_attention(projections[0], projections[1], skip=1), grid)
            if number < max(self.layers):
                tokens = block(tokens, projections)
        return graph.result()

    def _describe(self, tower: CLIPImageEncoder, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> None:
        self.layers = choose_layers(self._wanted, len(tower.blocks))
        self.name, self.weights_hash = f"CLIPGraph({tower.name})", tower.weights_hash
        for buffer, values in ((self.mean, mean), (self.std, std)):
            buffer.copy_(torch.as_tensor(values).view(3, 1, 1))


def choose_layers(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Numbers from 1 of the layers whose attention a graph averages.

    Args:
        layers: what was asked for; ``None``: all.
        count: how many there are.

    Raises:
        ValueError: none, one twice, or one that does not exist.
    """
    if layers is None:
        return tuple(range(1, count + 1))
    chosen = tuple(layers) if isinstance(layers, Sequence) else ()
    valid = all(is_number(layer, whole=True) and 1 <= layer <= count for layer in chosen)
    if not (chosen and valid and len(set(chosen)) == len(chosen)):
        raise ValueError(
            f"{config_place('model.graph')}.layers must be None (all) or a list of different numbers from 1 to {count},"
            f" but got {layers}."
        )
    return chosen
