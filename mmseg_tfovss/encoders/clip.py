"""The frozen CLIP image tower, cut into the parts that a paper may touch one at a time.

    images -> embed -> blocks 1 .. L -> to_text_space       (a method runs the blocks: methods/base.py)

Radford et al., ICML 2021, arXiv:2103.00020; networks and weights come through open_clip.

Deviation from the published arithmetic, exact up to rounding: QuickGELU(x) = x * sigmoid(1.702 x) is computed as
silu(1.702 x) / 1.702 with both factors folded into the two linear layers around it (one pass in place of three).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from mmseg_tfovss.encoders.text import CLIPTextEncoder
from mmseg_tfovss.encoders.weights import load_clip
from mmseg_tfovss.ops.linear import linear, speed_up
from mmseg_tfovss.ops.positional import POSITION_MODES, interpolate_positions
from mmseg_tfovss.registry import MODELS

Grid = tuple[int, int]
Projections = tuple[Tensor, Tensor, Tensor]
"""Query, key and value, each (B, heads, L, C / heads)."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_QUICK_GELU_SLOPE = 1.702


class CLIPBlock(nn.Module):
    """One pre-norm transformer block: ``x += out_proj(heads)``, then ``x += feed_forward(x)``.

    Linear layers compute in the dtype of their weights; the residual stream and the LayerNorms keep the dtype of the
    tokens that come in (float32 under every ``precision``), which is what keeps half precision close to float32.

    Args:
        resblock: open_clip's ``ResidualAttentionBlock``, whose parameters are taken over.
    """

    def __init__(self, resblock: ResidualAttentionBlock) -> None:
        super().__init__()
        for scale in (resblock.ls_1, resblock.ls_2):
            if not isinstance(scale, nn.Identity):
                raise ValueError("CLIP towers with LayerScale are not supported: use a plain CLIP ViT.")
        attention: nn.MultiheadAttention = resblock.attn
        self.heads = attention.num_heads
        self.ln_1: nn.LayerNorm = resblock.ln_1
        self.ln_2: nn.LayerNorm = resblock.ln_2
        self.in_proj = nn.Linear(1, 1, device="meta")
        self.in_proj.weight, self.in_proj.bias = attention.in_proj_weight, attention.in_proj_bias
        self.out_proj: nn.Linear = attention.out_proj
        self.c_fc: nn.Linear = resblock.mlp.c_fc
        self.c_proj: nn.Linear = resblock.mlp.c_proj
        self.activation: Callable[[Tensor], Tensor] = F.gelu
        speed_up(self)
        if isinstance(resblock.mlp.gelu, QuickGELU):
            self._fold_quick_gelu()

    @torch.no_grad()
    def _fold_quick_gelu(self) -> None:
        self.c_fc.weight.mul_(_QUICK_GELU_SLOPE)
        self.c_fc.bias.mul_(_QUICK_GELU_SLOPE)
        self.c_proj.weight.div_(_QUICK_GELU_SLOPE)
        self.activation = _silu_in_place

    def qkv(self, tokens: Tensor) -> Projections:
        """Project normalised tokens (B, L, C) to query, key and value, each (B, heads, L, C / heads)."""
        query, key, value = self._project(tokens, slice(0, 3))
        return query, key, value

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The same without the queries, for attention of keys among themselves."""
        key, value = self._project(tokens, slice(1, 3))
        return key, value

    def values(self, tokens: Tensor) -> Tensor:
        """The values alone, for attention that does not come from this block."""
        return self._project(tokens, slice(2, 3))[0]

    def _project(self, tokens: Tensor, parts: slice) -> tuple[Tensor, ...]:
        """Some of query, key and value."""
        weight, bias = (whole.unflatten(0, (3, -1))[parts] for whole in (self.in_proj.weight, self.in_proj.bias))
        projected = linear(_norm(self.ln_1, tokens, weight), weight.flatten(0, 1), bias.flatten())
        return projected.unflatten(2, (len(weight), self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()

    def merge_heads(self, heads: Tensor) -> Tensor:
        """Concatenate head outputs (B, heads, L, C / heads) and apply out_proj: (B, L, C)."""
        return self.out_proj(heads.transpose(1, 2).flatten(2))

    def attention(self, tokens: Tensor) -> Tensor:
        """CLIP's own query-key attention: (B, L, C) -> (B, L, C), residual not added."""
        return self.attend(*self.qkv(tokens))

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The same, for projections (B, heads, L, C / heads) that are there already."""
        return self.merge_heads(self.head_outputs(query, key, value))

    def head_outputs(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """What every head makes of its values, softmax(q k^T / sqrt(d)) v: (B, heads, L, C / heads)."""
        return F.scaled_dot_product_attention(query, key, value)

    def attention_weights(self, query: Tensor, key: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) of every head: (B, heads, L, L), in float32 at least."""
        query = query.to(torch.promote_types(query.dtype, torch.float32))
        scores = query @ key.to(query.dtype).transpose(-1, -2) * query.shape[-1] ** -0.5
        return scores.softmax(dim=-1)

    def head_contribution(self, outputs: Tensor, head: int) -> Tensor:
        """What one head (from 0) adds to the residual stream, (B, L, C), of its outputs (B, L, C / heads).

        The contributions of all heads and the bias of out_proj sum to :meth:`attention`.
        """
        width = outputs.shape[-1]
        weight = self.out_proj.weight[:, head * width : (head + 1) * width]
        return linear(outputs.to(weight.dtype), weight)

    def feed_forward(self, tokens: Tensor) -> Tensor:
        """LayerNorm, linear, activation, linear: (B, L, C) -> (B, L, C), residual not added."""
        hidden = self.c_fc(_norm(self.ln_2, tokens, self.c_fc.weight))
        return self.c_proj(self.activation(hidden))

    def forward(self, tokens: Tensor, projections: Projections | None = None) -> Tensor:
        """The whole block, as trained: (B, L, C) -> (B, L, C); ``projections`` are its ``qkv``, if there already."""
        tokens = tokens + (self.attend(*projections) if projections else self.attention(tokens))
        return tokens + self.feed_forward(tokens)

    def class_token(self, tokens: Tensor, projections: Projections | None = None) -> Tensor:
        """Of the whole block's output the class token alone, at a sixth of the cost: (B, L, C) -> (B, 1, C).

        ``projections`` are the block's ``qkv``, if there already.
        """
        own = tokens[:, :1]
        if projections is None:
            query, (key, value) = self._project(own, slice(0, 1))[0], self.keys_values(tokens)
        else:
            query, key, value = projections[0][:, :, :1], projections[1], projections[2]
        own = own + self.attend(query, key, value)
        return own + self.feed_forward(own)


def _silu_in_place(hidden: Tensor) -> Tensor:
    return F.silu(hidden, inplace=True)


def _norm(layer: nn.LayerNorm, tokens: Tensor, weight: Tensor) -> Tensor:
    """LayerNorm in the tokens' dtype, handed over in the dtype of the linear layer that follows."""
    normalised = F.layer_norm(tokens, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
    return normalised.to(weight.dtype)


@MODELS.register_module()
class CLIPImageEncoder(nn.Module):
    """Frozen CLIP ViT whose stages can be called one at a time.

    Args:
        arch: an open_clip name (``ViT-B-16``, ``ViT-L-14``), or ``auto`` to infer it from a local file.
        pretrained: an open_clip tag (``openai``, ``laion2b_s34b_b88k``), a local .pt / .safetensors file in the key
            layout of OpenAI, open_clip or transformers, ``pocket`` (bundled), or ``None`` for random weights (timing
            only).
        quick_gelu: activation of the towers; ``None`` follows the tag, or the config beside a local file. Where
            nothing says it, True is assumed (OpenAI's models), with a warning and a note in the result. Set it to
            False for local LAION weights.
        position_mode: ``field`` (default, what SCLIP and its descendants compute, quirks included), ``exact``,
            ``antialiased`` (GEM) or ``bilinear`` (CLIP Surgery); see
            :func:`mmseg_tfovss.ops.positional.interpolate_positions`.
        head_width: of a local file's image tower with ``arch="auto"``, where shapes do not tell it; ``None``: inferred.

    Attributes:
        name: architecture and weights, e.g. ``ViT-B-16/openai``.
        weights_hash: sha256 over all tensors of both towers.
        mean: per channel, RGB, of the images that the weights were trained on, of values in [0, 1]; OpenAI's, with a
            note in the result, where no config beside a local file says it.
        std: likewise.
        assumptions: what a local file does not say and was assumed, each in a few words.
        input_files: configs beside a local file, read or looked for.
        keeps_text_encoder: whether the text tower stays, for words that come later.

    Raises:
        ValueError: unknown architecture, tag or option; weights that do not fit the architecture; an option that would
            not act.
        FileNotFoundError: missing file, or a tag that is neither cached nor downloadable.
    """

    def __init__(
        self,
        arch: str = "ViT-B-16",
        pretrained: str | None = "openai",
        quick_gelu: bool | None = None,
        position_mode: str = "field",
        head_width: int | None = None,
    ) -> None:
        super().__init__()
        if position_mode not in POSITION_MODES:
            raise ValueError(
                f"model.backbone.position_mode must be one of {sorted(POSITION_MODES)}, but got {position_mode!r}."
            )
        loaded = load_clip(arch, pretrained, quick_gelu=quick_gelu, head_width=head_width)
        visual = loaded.model.visual
        self.name, self.weights_hash, self.position_mode = (
            loaded.name,
            loaded.weights_hash,
            position_mode,
        )
        self.mean, self.std = loaded.mean, loaded.std
        self.assumptions, self.input_files = loaded.assumptions, loaded.input_files
        self.conv1, self.ln_pre, self.ln_post = visual.conv1, visual.ln_pre, visual.ln_post
        self.class_embedding, self.positional_embedding = (
            visual.class_embedding,
            visual.positional_embedding,
        )
        self.proj = visual.proj
        self.blocks = nn.ModuleList(CLIPBlock(block) for block in visual.transformer.resblocks)
        self.patch_size: int = self.conv1.kernel_size[0]
        # Kept out of the module tree: needed once for the text features, then dropped with its memory.
        self._text_tower = [loaded.text]
        self.keeps_text_encoder = False
        self.requires_grad_(requires_grad=False).eval()

    def pop_text_encoder(self) -> CLIPTextEncoder:
        """Hand over the text tower that was loaded beside this one; it can be taken once, unless it is kept."""
        return self._text_tower[-1] if self.keeps_text_encoder else self._text_tower.pop()

    def set_precision(self, precision: str) -> None:
        """Choose the dtype of the blocks' linear layers; embedding, LayerNorms and projection stay float32.

        Args:
            precision: ``fp32``, ``bf16`` or ``fp16``.

        Raises:
            ValueError: for any other name.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"model.precision must be one of {list(PRECISIONS)}, but got {precision!r}.")
        for block in self.blocks:
            for layer in (block.in_proj, block.out_proj, block.c_fc, block.c_proj):
                layer.to(PRECISIONS[precision])

    def grid(self, images: Tensor) -> Grid:
        """Rows and columns of whole patches in images (B, 3, H, W).

        Raises:
            ValueError: the images are smaller than one patch.
        """
        height, width = images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size
        if not height or not width:
            raise ValueError(
                f"An image of {images.shape[-2]}x{images.shape[-1]} pixels (height x width, as the network sees it)"
                f" is smaller than one {self.patch_size}x{self.patch_size} patch: use a larger image or short side."
            )
        return height, width

    def embed(self, images: Tensor) -> Tensor:
        """Patch embedding, class token, positions and ln_pre: (B, 3, H, W) -> (B, 1 + hw, C)."""
        grid = self.grid(images)
        # The convolution as a matrix product: stride = kernel, and cuDNN would use TF32 for float32 convolutions.
        pixels = self._patches(images.to(self.conv1.weight.dtype), grid)  # (B, hw, 3 p p)
        patches = linear(pixels, self.conv1.weight.flatten(1))  # (B, hw, C)
        cls = self.class_embedding.expand(len(images), 1, -1)
        positions = interpolate_positions(self.positional_embedding, grid, self.position_mode)
        return self.ln_pre(torch.cat([cls, patches], dim=1) + positions)

    def _patches(self, images: Tensor, grid: Grid) -> Tensor:
        (height, width), side = grid, self.patch_size
        whole = images[..., : height * side, : width * side]  # pixels beyond the last whole patch are dropped
        return whole.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def project(self, tokens: Tensor) -> Tensor:
        """ln_post and projection of any tokens: (B, L, C) -> (B, L, D)."""
        return self.ln_post(tokens.to(self.proj.dtype)) @ self.proj

    def to_text_space(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Drop the class token, then ln_post and projection: (B, 1 + hw, C) -> (B, D, h, w)."""
        return self.project(tokens[:, 1:]).transpose(1, 2).unflatten(2, grid)
