"""The "global patch" of CLIP, and what CLIPtrase does about it, in numbers. Shao et al., ECCV 2024, Figures 2, 4, 5.

A block's attention is a = mean over heads of softmax(q k' / sqrt d), (1 + N) x (1 + N) with the class token first, in
CLIP as it was trained: nothing upstream is recovered. The paper shows a[1:, 1:] (a global patch is a bright column),
a[0, 1:] as a map, and a[1 + i, 1:] of one patch i as a map. Recovered is w_i of CLIPtrase's correlation layer.

The network sees the whole resized image at once, also where the config cuts windows: only the final labels know those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder, Grid
from mmseg_tfovss.methods.cliptrase import FEATURES, LOCAL, ROWS, CLIPtrase
from mmseg_tfovss.ops.correlation import denoise


@dataclass(frozen=True)
class PatchMaps:
    """What the picture shows of the network.

    Attributes:
        grid: h and w, with N = h w.
        patch: row and column of the chosen patch.
        attention: per block number, (1 + N, 1 + N).
        correlation: w of the patches, (N, N).
        raw_clusters: ids (h, w) without denoising, -1 for noise.
        clusters: ids (h, w) under the model's own rule.
    """

    grid: Grid
    patch: tuple[int, int]
    attention: dict[int, Tensor]
    correlation: Tensor
    raw_clusters: Tensor
    clusters: Tensor

    @property
    def index(self) -> int:
        """The chosen patch among the N."""
        return self.patch[0] * self.grid[1] + self.patch[1]


def attention_weights(query: Tensor, key: Tensor) -> Tensor:
    """Mean over heads of softmax(q k' / sqrt d): two (B, heads, L, d) -> (B, L, L) float32."""
    scores = query.float() @ key.float().transpose(-1, -2) / query.shape[-1] ** 0.5
    return scores.softmax(dim=-1).mean(dim=1)


def layer_attention(backbone: CLIPImageEncoder, inputs: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
    """Attention (B, 1 + N, 1 + N) in the chosen blocks, numbered from 1, of the network as trained."""
    tokens = backbone.embed(inputs)
    found = {}
    for number, block in enumerate(islice(backbone.blocks, max(layers)), start=1):
        if number in layers:
            assert isinstance(block, CLIPBlock)
            query, key, _ = block.qkv(tokens)
            found[number] = attention_weights(query, key)
        tokens = block(tokens)
    return found


def default_layers(blocks: int) -> list[int]:
    """The paper's 3, 6, 9, 11 and 12 of 12: the quarters, and the last two."""
    return sorted({max(1, round(blocks * quarter / 4)) for quarter in (1, 2, 3)} | {max(1, blocks - 1), blocks})


def central_patch(grid: Grid) -> tuple[int, int]:
    """The patch in the middle, above and left of the centre of an even grid: the paper's 90th of 14 x 14."""
    return (grid[0] - 1) // 2, (grid[1] - 1) // 2


def cluster_patches(model: CLIPtrase, tokens: Tensor, correlation: Tensor, grid: Grid, rule: str) -> Tensor:
    """Cluster ids (h, w), -1 for noise, of one image's :meth:`CLIPtrase.tokens_and_correlation`, denoised by a rule."""
    rows, local = denoise(correlation, rule)
    maps = {ROWS: rows[0], LOCAL: local[0], FEATURES: tokens[0, 1:].T}
    return model.clusters(maps).view(grid)


@torch.inference_mode()
def find_patch_maps(
    model: CLIPtrase, image: Tensor, layers: Sequence[int] | None = None, patch: tuple[int, int] | None = None
) -> PatchMaps:
    """Run the network on one image.

    Args:
        model: any CLIPtrase.
        image: normalised, (3, H, W).
        layers: block numbers from 1; ``None``: :func:`default_layers`.
        patch: row and column on the patch grid, from 0; ``None``: :func:`central_patch`.

    Returns:
        Attention, correlation and clusters, on the CPU.

    Raises:
        ValueError: a layer or patch that does not exist.
    """
    blocks, grid = len(model.backbone.blocks), model.backbone.grid(image[None])
    layers = sorted(set(layers or default_layers(blocks)))
    patch = patch or central_patch(grid)
    if not 1 <= layers[0] <= layers[-1] <= blocks:
        raise ValueError(f"--layers takes block numbers from 1 to {blocks}, but got {' '.join(map(str, layers))}.")
    if not (0 <= patch[0] < grid[0] and 0 <= patch[1] < grid[1]):
        raise ValueError(
            f"--patch {patch[0]} {patch[1]} lies outside of the grid: this image has {grid[0]} x {grid[1]} patches"
            f" (rows x columns), so rows are 0 .. {grid[0] - 1} and columns 0 .. {grid[1] - 1}."
        )
    tokens, correlation = model.tokens_and_correlation(image[None])
    return PatchMaps(
        grid=grid,
        patch=patch,
        attention={layer: a[0].cpu() for layer, a in layer_attention(model.backbone, image[None], layers).items()},
        correlation=correlation[0, 1:, 1:].cpu(),
        raw_clusters=cluster_patches(model, tokens, correlation, grid, "none").cpu(),
        clusters=cluster_patches(model, tokens, correlation, grid, model.denoising).cpu(),
    )
