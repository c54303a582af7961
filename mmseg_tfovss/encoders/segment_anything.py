"""Names of the tensors in the files of facebookresearch/segment-anything, and what their shapes say.

Everything but the mask decoder's number of heads follows from the shapes: heads of the image encoder from the width of
their relative positions, blocks that see the whole image from the length of these. The repository has 8 heads in its
mask decoder, and LayerNorms there that differ from transformers' in their epsilon (1e-5).
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmseg_tfovss.encoders.checkpoint import Layout, count_blocks, rename

_DECODER_HEADS = 8
_BLOCK = "image_encoder.blocks."
_NAMES = (
    (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^image_encoder\.", "vision_encoder."),
    (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", "shared_image_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm([1-4])\.", r".layer_norm\1."),
)


def _size(tensors: Mapping[str, Tensor], name: str, axis: int = 0) -> int:
    if name not in tensors or tensors[name].dim() <= axis:
        raise ValueError(f"{name} is missing")
    return tensors[name].shape[axis]


def _vision(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    width = _size(tensors, "image_encoder.patch_embed.proj.weight")
    patch = _size(tensors, "image_encoder.patch_embed.proj.weight", 3)
    side = _size(tensors, "image_encoder.pos_embed", 1)
    blocks = count_blocks(tensors, _BLOCK)
    spans = [(_size(tensors, f"{_BLOCK}{number}.attn.rel_pos_h") + 1) // 2 for number in range(blocks)]
    windows = {span for span in spans if span != side}
    if len(windows) > 1:
        raise ValueError(f"its blocks have windows of {sorted(windows)} patches, but they must all be the same")
    channels = max(_size(tensors, f"{_BLOCK}0.attn.rel_pos_h", 1), 1)
    if width % channels:
        raise ValueError(f"its width {width} is no multiple of the {channels} channels of its relative positions")
    return {
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": width // channels,
        "image_size": side * patch,
        "patch_size": patch,
        "window_size": windows.pop() if windows else side,
        "global_attn_indexes": [number for number, span in enumerate(spans) if span == side],
        "mlp_dim": _size(tensors, f"{_BLOCK}0.mlp.lin1.weight"),
        "output_channels": _size(tensors, "image_encoder.neck.0.weight"),
        "num_pos_feats": _size(tensors, "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 1),
    }


def _decoder(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    start = "mask_decoder.transformer.layers."
    width = _size(tensors, "mask_decoder.iou_token.weight", 1)
    inner = _size(tensors, f"{start}0.cross_attn_token_to_image.q_proj.weight")
    return {
        "hidden_size": width,
        "num_attention_heads": _DECODER_HEADS,
        "num_hidden_layers": count_blocks(tensors, start),
        "mlp_dim": _size(tensors, f"{start}0.mlp.lin1.weight"),
        "attention_downsample_rate": width // max(inner, 1),
        "num_multimask_outputs": _size(tensors, "mask_decoder.mask_tokens.weight") - 1,
        "iou_head_depth": count_blocks(tensors, "mask_decoder.iou_prediction_head.layers."),
        "iou_head_hidden_dim": _size(tensors, "mask_decoder.iou_prediction_head.layers.0.weight"),
        "layer_norm_eps": 1e-5,
    }


def _heads_of_three_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Small networks of the decoder: their first and last layers have names of their own at transformers."""
    numbered = re.compile(
        r"^(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.)(\d+)\.(.*)$"
    )
    found = {}
    for name, tensor in tensors.items():
        if match := numbered.match(name):
            start, number, kind = match[1], int(match[2]), match[3]
            owner = start.removesuffix("layers.")
            last = count_blocks(tensors, start) - 1
            name = f"{owner}proj_in.{kind}" if number == 0 else f"{owner}layers.{number - 1}.{kind}"
            name = f"{owner}proj_out.{kind}" if number == last else name
        found[name] = tensor
    return found


def _convert(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    vision, decoder = _vision(tensors), _decoder(tensors)
    config = {
        "vision_config": vision,
        "prompt_encoder_config": {
            "hidden_size": _size(tensors, "prompt_encoder.no_mask_embed.weight", 1),
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "mask_input_channels": _size(tensors, "prompt_encoder.mask_downscaling.3.weight"),
            "num_point_embeddings": count_blocks(tensors, "prompt_encoder.point_embeddings."),
        },
        "mask_decoder_config": decoder,
    }
    state = rename(_heads_of_three_names(tensors), _NAMES)
    state["prompt_encoder.shared_embedding.positional_embedding"] = state["shared_image_embedding.positional_embedding"]
    return config, state


SAM_LAYOUT = Layout("facebookresearch/segment-anything", "image_encoder.patch_embed.proj.weight", _convert)
