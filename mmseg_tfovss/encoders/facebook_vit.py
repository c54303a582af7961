"""Names of the tensors in the files of facebookresearch's DINO, DINOv2 and MAE, and what their shapes say.

    cls_token, pos_embed, patch_embed.proj, blocks.0.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}, ..., norm

DINOv2 adds mask_token, blocks.0.ls1.gamma and ls2.gamma; with registers, register_tokens; its largest network has
mlp.w12 and mlp.w3 in place of fc1 and fc2. Everything but the number of heads follows from the shapes: the published
networks have heads of 64 channels.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from mmseg_tfovss.encoders.checkpoint import Layout, check_shapes, count_blocks, rename

HEAD_WIDTH = 64
_MARKER = "patch_embed.proj.weight"
_FEWEST_HEADS = 2  # a network narrower than 128 channels is nobody's published one
_SHARED = (
    (r"^(cls_token|mask_token|register_tokens)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.(query|key|value)\.", r".attention.attention.\1."),
)
_VIT = (
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
_DINOV2 = (
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.mlp\.w12\.", ".mlp.weights_in."),
    (r"\.mlp\.w3\.", ".mlp.weights_out."),
)


def choose_heads(width: int, heads: int | None) -> int:
    """Number of heads of a network whose file does not say it.

    Args:
        width: channels of its tokens.
        heads: ``None``: width / 64, but two at least.

    Raises:
        ValueError: the width is no multiple of it.
    """
    chosen = max(width // HEAD_WIDTH, _FEWEST_HEADS) if heads is None else heads
    if not isinstance(chosen, int) or isinstance(chosen, bool) or chosen < 1 or width % chosen:
        raise ValueError(f"its width {width} cannot be shared by {chosen!r} heads; set the option heads")
    return chosen


def _shared(tensors: Mapping[str, Tensor], heads: int | None) -> dict[str, Any]:
    """Settings that a config of any of them has."""
    for name, axes in (("cls_token", 3), ("pos_embed", 3), ("patch_embed.proj.weight", 4)):
        if name not in tensors or tensors[name].dim() != axes:
            raise ValueError(f"{name} of {axes} axes is missing")
    width, patch = tensors["cls_token"].shape[-1], tensors["patch_embed.proj.weight"].shape[-1]
    side = math.isqrt(max(tensors["pos_embed"].shape[1] - 1, 0))
    return {
        "hidden_size": width,
        "num_hidden_layers": count_blocks(tensors, "blocks."),
        "num_attention_heads": choose_heads(width, heads),
        "image_size": side * patch,
        "patch_size": patch,
        "layer_norm_eps": 1e-6,
        "hidden_act": "gelu",
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
    }


def _feed_forward(tensors: Mapping[str, Tensor], name: str = "blocks.0.mlp.fc1.weight") -> int:
    if name not in tensors or tensors[name].dim() == 0:
        raise ValueError(f"{name} is missing")
    return len(tensors[name])


def _shapes(config: Mapping[str, Any], block: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of all tensors; ``block``: what a block has beside attention and LayerNorms."""
    width, patch = config["hidden_size"], config["patch_size"]
    positions = (config["image_size"] // patch) ** 2 if patch else 0
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + positions, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    each: dict[str, tuple[int, ...]] = {
        "attn.qkv.weight": (3 * width, width),
        "attn.proj.weight": (width, width),
        **{f"{name}.{kind}": (width,) for name in ("norm1", "norm2") for kind in ("weight", "bias")},
        "attn.proj.bias": (width,),
        **block,
    }
    if config["qkv_bias"]:
        each["attn.qkv.bias"] = (3 * width,)
    for number in range(max(config["num_hidden_layers"], 1)):
        shapes |= {f"blocks.{number}.{name}": shape for name, shape in each.items()}
    return shapes


def _mlp(width: int, inner: int, first: str = "fc1", last: str = "fc2", gates: int = 1) -> dict[str, tuple[int, ...]]:
    return {
        f"mlp.{first}.weight": (gates * inner, width),
        f"mlp.{first}.bias": (gates * inner,),
        f"mlp.{last}.weight": (width, inner),
        f"mlp.{last}.bias": (width,),
    }


def _split(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value each on their own."""
    parts = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." not in name:
            parts[name] = tensor
            continue
        for part, chunk in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            parts[name.replace(".qkv.", f".{part}.")] = chunk.clone()
    return parts


def _convert_vit(tensors: Mapping[str, Tensor], heads: int | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """DINO's and MAE's: a plain ViT."""
    config = _shared(tensors, heads)
    config["intermediate_size"] = _feed_forward(tensors)
    check_shapes(tensors, _shapes(config, _mlp(config["hidden_size"], config["intermediate_size"])))
    return config, rename(_split(tensors), _SHARED + _VIT)


def _convert_dinov2(
    tensors: Mapping[str, Tensor], registers: bool, heads: int | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """DINOv2's: layers are scaled, a mask token is there though nothing is masked, and perhaps registers."""
    config, width = _shared(tensors, heads), tensors["cls_token"].shape[-1]
    gated = "blocks.0.mlp.w12.weight" in tensors
    if gated:
        inner = (int(4 * width * 2 / 3) + 7) // 8 * 8
        block = _mlp(width, inner, "w12", "w3", gates=2)
    else:
        block = _mlp(width, 4 * width)
    scales = {f"{name}.gamma": (width,) for name in ("ls1", "ls2")}
    shapes = _shapes(config, {**block, **scales}) | {"mask_token": (1, width)}
    config |= {"mlp_ratio": 4, "use_swiglu_ffn": gated}
    if registers:
        found = tensors.get("register_tokens")
        if found is None or found.dim() != 3:
            raise ValueError("register_tokens are missing")
        config["num_register_tokens"] = found.shape[1]
        shapes["register_tokens"] = (1, found.shape[1], width)
    check_shapes(tensors, shapes)
    return config, rename(_split(tensors), _SHARED + _DINOV2)


DINO_LAYOUT = Layout("facebookresearch/dino", _MARKER, _convert_vit, extras=r"head\.")
# Beside the encoder, a whole checkpoint holds what rebuilds the masked patches.
MAE_LAYOUT = Layout("facebookresearch/mae", _MARKER, _convert_vit, extras=r"decoder_|mask_token$|head\.")
DINOV2_LAYOUT = Layout("facebookresearch/dinov2", _MARKER, partial(_convert_dinov2, registers=False))
REGISTERS_LAYOUT = Layout("facebookresearch/dinov2 with registers", _MARKER, partial(_convert_dinov2, registers=True))
