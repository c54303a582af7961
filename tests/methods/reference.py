"""Blocks of the mini CLIP written out from its raw weights, in float64, head by head."""

import torch
import torch.nn.functional as F

from mmseg_tfovss.encoders.stream import Stream
from tests.mini import BLOCKS, WIDTH

_HEADS = WIDTH // 64


def block_weights(state, number):
    """Tensors of a block (from 1), float64, under their names without prefix."""
    prefix = f"visual.transformer.resblocks.{number - 1}."
    return {key.removeprefix(prefix): value.double() for key, value in state.items() if key.startswith(prefix)}


def last_block_weights(state):
    """The last block's tensors."""
    return block_weights(state, BLOCKS)


def random_tokens(batch, grid, seed=0):
    """(B, 1 + hw, C) float64."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 1 + grid[0] * grid[1], WIDTH, generator=draw, dtype=torch.float64)


def qkv(weights, tokens):
    """Query, key and value: three lists with one (B, L, 64) per head."""
    normalised = F.layer_norm(tokens, (WIDTH,), weights["ln_1.weight"], weights["ln_1.bias"])
    projected = normalised @ weights["attn.in_proj_weight"].T + weights["attn.in_proj_bias"]
    return [part.split(64, dim=-1) for part in projected.split(WIDTH, dim=-1)]


def attend(left, right, value, bias=0.0):
    """softmax(left right^T / 8 + bias) value, per head."""
    scores = [one @ two.transpose(1, 2) / 8 + bias for one, two in zip(left, right, strict=True)]
    return [score.softmax(dim=-1) @ head for score, head in zip(scores, value, strict=True)]


def merge(weights, heads):
    """Concatenate the heads and apply out_proj."""
    assert len(heads) == _HEADS
    return torch.cat(tuple(heads), dim=-1) @ weights["attn.out_proj.weight"].T + weights["attn.out_proj.bias"]


def feed_forward(weights, tokens):
    """LayerNorm, linear, QuickGELU, linear."""
    normalised = F.layer_norm(tokens, (WIDTH,), weights["ln_2.weight"], weights["ln_2.bias"])
    hidden = normalised @ weights["mlp.c_fc.weight"].T + weights["mlp.c_fc.bias"]
    hidden = hidden * torch.sigmoid(1.702 * hidden)
    return hidden @ weights["mlp.c_proj.weight"].T + weights["mlp.c_proj.bias"]


def run_last_block(model, tokens, grid, **given):
    """The method's last block, in float64; ``given`` is what ``attend`` finds in its stream."""
    model = model.double()
    stream = Stream(images=torch.empty(len(tokens), 3, 0, 0), grid=grid, tokens=tokens, given=given)
    with torch.inference_mode():
        return model.last_block(model.backbone.blocks[-1], tokens, stream)
