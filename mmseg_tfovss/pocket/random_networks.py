"""Networks of random but fixed numbers, in the key layouts of DINO and of segment_anything, for the pocket benchmark.

They were never trained: methods that need such companions run with them, and no number that they give means anything.
Every number follows from raw PCG64 output by integer arithmetic, and is exact in float16, so that a seed gives the same
file everywhere.

``python -m mmseg_tfovss.pocket.random_networks --out mmseg_tfovss/pocket`` writes those that ship.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

SEED = 17
_HALF = 2 * 65535  # mean of the sum of four uniform 16-bit integers
_STD = math.sqrt((65536.0**2 - 1) / 3)  # and its standard deviation
_LARGEST = _HALF / _STD

# Image encoder: 256 x 256 pixels as 16 x 16 patches; one block with windows, one that sees the whole image.
_SAM_WIDTH, _SAM_HEADS, _SAM_SIDE, _SAM_PATCH, _SAM_WINDOWS = 32, 2, 16, 16, (7, None)
_SAM_CHANNELS, _SAM_INNER, _SAM_MASKS = 64, 128, 4
_SAM_QUALITY = 0.95  # mean of the IoU that it predicts


class Numbers:
    """Bell-shaped random numbers, from nothing but PCG64's raw output, which NumPy keeps fixed.

    Args:
        seed: of PCG64.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)
        self.drawn: dict[str, Tensor] = {}

    def add(self, name: str, shape: Sequence[int], spread: float, mean: float = 0.0) -> None:
        """Draw a tensor, on a grid of numbers that are exact in float16."""
        raw = self._bits.random_raw(math.prod(shape))
        total = sum(((raw >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.int64) for part in range(4))
        step = 2.0 ** math.ceil(math.log2((abs(mean) + _LARGEST * spread) / 1023))
        values = np.rint((mean + (total - _HALF) / _STD * spread) / step) * step
        self.drawn[name] = torch.from_numpy(values.astype(np.float16).reshape(shape))

    def layer(self, name: str, shape: Sequence[int], gain: float = 1.0, bias: float | None = 0.0) -> None:
        """A linear layer or convolution that keeps the size of its input, times ``gain``; ``bias``: its mean."""
        inputs = math.prod(shape[1:])
        self.add(f"{name}.weight", shape, gain * inputs**-0.5)
        if bias is not None:
            self.add(f"{name}.bias", shape[:1], 0.05, bias)

    def norm(self, name: str, width: int) -> None:
        """A LayerNorm."""
        self.add(f"{name}.weight", (width,), 0.1, 1.0)
        self.add(f"{name}.bias", (width,), 0.05)


def build_random_sam(seed: int = SEED) -> dict[str, Tensor]:
    """A SAM of 256 x 256 pixels: float16 tensors under segment_anything's names."""
    numbers = Numbers(seed)
    _add_image_encoder(numbers)
    _add_prompt_encoder(numbers)
    _add_mask_decoder(numbers)
    _add_heads(numbers)
    return numbers.drawn


def _add_image_encoder(numbers: Numbers) -> None:
    width, start = _SAM_WIDTH, "image_encoder"
    numbers.add(f"{start}.pos_embed", (1, _SAM_SIDE, _SAM_SIDE, width), 0.1)
    numbers.layer(f"{start}.patch_embed.proj", (width, 3, _SAM_PATCH, _SAM_PATCH))
    for number, window in enumerate(_SAM_WINDOWS):
        block = f"{start}.blocks.{number}"
        for norm in ("norm1", "norm2"):
            numbers.norm(f"{block}.{norm}", width)
        for axis in "hw":
            numbers.add(f"{block}.attn.rel_pos_{axis}", (2 * (window or _SAM_SIDE) - 1, width // _SAM_HEADS), 0.1)
        numbers.layer(f"{block}.attn.qkv", (3 * width, width))
        numbers.layer(f"{block}.attn.proj", (width, width))
        numbers.layer(f"{block}.mlp.lin1", (4 * width, width))
        numbers.layer(f"{block}.mlp.lin2", (width, 4 * width), gain=0.5)
    for number, shape in ((0, (_SAM_CHANNELS, width, 1, 1)), (2, (_SAM_CHANNELS, _SAM_CHANNELS, 3, 3))):
        numbers.layer(f"{start}.neck.{number}", shape, bias=None)
        numbers.norm(f"{start}.neck.{number + 1}", _SAM_CHANNELS)


def _add_prompt_encoder(numbers: Numbers) -> None:
    channels, start = _SAM_CHANNELS, "prompt_encoder"
    numbers.add(f"{start}.pe_layer.positional_encoding_gaussian_matrix", (2, channels // 2), 1.0)
    for name in (*(f"point_embeddings.{number}" for number in range(4)), "not_a_point_embed", "no_mask_embed"):
        numbers.add(f"{start}.{name}.weight", (1, channels), 0.5)
    for number, shape in ((0, (4, 1, 2, 2)), (3, (16, 4, 2, 2)), (6, (channels, 16, 1, 1))):
        numbers.layer(f"{start}.mask_downscaling.{number}", shape)
        if number < 6:
            numbers.norm(f"{start}.mask_downscaling.{number + 1}", shape[0])


def _add_mask_decoder(numbers: Numbers) -> None:
    channels, start = _SAM_CHANNELS, "mask_decoder"
    attentions = {"final_attn_token_to_image": channels // 2}
    for number in range(2):
        layer = f"layers.{number}"
        attentions[f"{layer}.self_attn"] = channels
        attentions[f"{layer}.cross_attn_token_to_image"] = channels // 2
        attentions[f"{layer}.cross_attn_image_to_token"] = channels // 2
        for norm in (1, 2, 3, 4):
            numbers.norm(f"{start}.transformer.{layer}.norm{norm}", channels)
        numbers.layer(f"{start}.transformer.{layer}.mlp.lin1", (_SAM_INNER, channels))
        numbers.layer(f"{start}.transformer.{layer}.mlp.lin2", (channels, _SAM_INNER))
    numbers.norm(f"{start}.transformer.norm_final_attn", channels)
    for name, inner in attentions.items():
        for part in "qkv":
            numbers.layer(f"{start}.transformer.{name}.{part}_proj", (inner, channels))
        numbers.layer(f"{start}.transformer.{name}.out_proj", (channels, inner))


def _add_heads(numbers: Numbers) -> None:
    channels, start = _SAM_CHANNELS, "mask_decoder"
    numbers.add(f"{start}.iou_token.weight", (1, channels), 0.5)
    numbers.add(f"{start}.mask_tokens.weight", (_SAM_MASKS, channels), 0.5)
    for number, (inputs, outputs) in ((0, (channels, channels // 4)), (3, (channels // 4, channels // 8))):
        numbers.add(f"{start}.output_upscaling.{number}.weight", (inputs, outputs, 2, 2), inputs**-0.5)
        numbers.add(f"{start}.output_upscaling.{number}.bias", (outputs,), 0.05)
    numbers.norm(f"{start}.output_upscaling.1", channels // 4)
    for mask in range(_SAM_MASKS):
        for number, outputs in enumerate((channels, channels, channels // 8)):
            numbers.layer(f"{start}.output_hypernetworks_mlps.{mask}.layers.{number}", (outputs, channels), gain=1.4)
    for number, outputs in enumerate((channels, channels, _SAM_MASKS)):
        last = number == 2
        numbers.layer(
            f"{start}.iou_prediction_head.layers.{number}",
            (outputs, channels),
            gain=0.05 if last else 1.4,
            bias=_SAM_QUALITY if last else 0.0,
        )


DINO_SIZES = {"width": 64, "depth": 4, "patch": 8, "side": 12}


def build_random_dino(seed: int = SEED) -> dict[str, Tensor]:
    """A ViT of 4 blocks, width 64, patch 8, 96 x 96 pixels: float16 tensors under DINO's names.

    Its blocks change tokens little, so that features are mostly random projections of a patch's pixels, which is enough
    here: patches of one class mostly have higher cosines than patches of two. Distilling this ViT patch by patch, by a
    script that is not kept, made that worse, so it was left random.
    """
    numbers, width, patch = Numbers(seed), DINO_SIZES["width"], DINO_SIZES["patch"]
    numbers.add("cls_token", (1, 1, width), 0.3)
    numbers.add("pos_embed", (1, 1 + DINO_SIZES["side"] ** 2, width), 0.02)
    numbers.layer("patch_embed.proj", (width, 3, patch, patch))
    for number in range(DINO_SIZES["depth"]):
        block = f"blocks.{number}"
        for norm in ("norm1", "norm2"):
            numbers.norm(f"{block}.{norm}", width)
        numbers.layer(f"{block}.attn.qkv", (3 * width, width))
        numbers.layer(f"{block}.attn.proj", (width, width), gain=0.5)
        numbers.layer(f"{block}.mlp.fc1", (4 * width, width))
        numbers.layer(f"{block}.mlp.fc2", (width, 4 * width), gain=0.5)
    numbers.norm("norm", width)
    return numbers.drawn


FILES = {"pocket_dino.safetensors": build_random_dino, "pocket_sam.safetensors": build_random_sam}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the random networks of the pocket benchmark.")
    parser.add_argument("--out", type=Path, required=True, help="an existing folder")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    for name, build in FILES.items():
        save_file(build(options.seed), options.out / name)
        (options.out / name).chmod(0o644)  # safetensors files are written for their owner alone


if __name__ == "__main__":
    main()
