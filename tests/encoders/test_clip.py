"""The image tower, against open_clip's own forward pass."""

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.registry import MODELS
from tests import mini

NATIVE = mini.SIDE * mini.PATCH


@pytest.fixture
def encoder(mini_clip):
    return CLIPImageEncoder("auto", str(mini_clip))


def random_images(height=NATIVE, width=NATIVE, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def last_tokens(encoder, images):
    tokens = encoder.embed(images)
    for block in encoder.blocks:
        tokens = block(tokens)
    return tokens


def test_class_token_equals_open_clips_image_feature(reference_clip, mini_clip):
    reference, quick_gelu = reference_clip
    ours = CLIPImageEncoder("auto", str(mini_clip), quick_gelu=quick_gelu)
    images = random_images()
    with torch.inference_mode():
        expected = reference.encode_image(images)
        found = ours.ln_post(last_tokens(ours, images)[:, 0]) @ ours.proj
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_activations_differ(mini_clip):
    quick, exact = (CLIPImageEncoder("auto", str(mini_clip), quick_gelu=choice) for choice in (True, False))
    assert (last_tokens(quick, random_images()) - last_tokens(exact, random_images())).abs().max() > 1e-3


def test_blocks_equal_open_clips(reference_clip, mini_clip):
    reference, quick_gelu = reference_clip
    ours = CLIPImageEncoder("auto", str(mini_clip), quick_gelu=quick_gelu)
    tokens = torch.randn(2, 7, mini.WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for block, theirs in zip(ours.blocks, reference.visual.transformer.resblocks, strict=True):
            torch.testing.assert_close(block(tokens), theirs(tokens), atol=1e-5, rtol=0)


def test_block_parts_add_up(encoder):
    block = encoder.blocks[0]
    tokens = torch.randn(2, 5, mini.WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        query, key, value = block.qkv(tokens)
        assert query.shape == key.shape == value.shape == (2, 2, 5, 64)
        weights = (query @ key.transpose(-1, -2) / 8).softmax(-1)
        attended = block.merge_heads(weights @ value)
        torch.testing.assert_close(attended, block.attention(tokens), atol=1e-5, rtol=0)
        expected = tokens + attended
        expected = expected + block.feed_forward(expected)
        torch.testing.assert_close(block(tokens), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_class_token_alone_is_that_of_the_whole_block(encoder):
    tokens = encoder.embed(random_images())
    for block in encoder.blocks:
        alone, tokens = block.class_token(tokens), block(tokens)
        assert alone.shape == (2, 1, mini.WIDTH)
        torch.testing.assert_close(alone, tokens[:, :1], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_keys_and_values_are_those_beside_the_queries(encoder):
    tokens = encoder.embed(random_images())
    for found, expected in zip(encoder.blocks[0].keys_values(tokens), encoder.blocks[0].qkv(tokens)[1:], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_to_text_space_drops_the_class_token_and_keeps_the_order(encoder):
    tokens = torch.randn(2, 1 + 6, mini.WIDTH, generator=torch.Generator().manual_seed(1))
    found = encoder.to_text_space(tokens, (2, 3))
    assert found.shape == (2, mini.EMBED, 2, 3)
    for number in range(6):
        expected = encoder.ln_post(tokens[:, 1 + number]) @ encoder.proj
        torch.testing.assert_close(found[:, :, number // 3, number % 3], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "grid"), [((32, 32), (4, 4)), ((8, 8), (1, 1)), ((47, 40), (5, 5)), ((9, 23), (1, 2))]
)
def test_grid_counts_whole_patches(size, grid, encoder):
    images = random_images(*size)
    assert encoder.grid(images) == grid
    tokens = encoder.embed(images)
    assert tokens.shape == (2, 1 + grid[0] * grid[1], mini.WIDTH)
    whole = images[..., : grid[0] * mini.PATCH, : grid[1] * mini.PATCH]
    torch.testing.assert_close(tokens, encoder.embed(whole), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(7, 40), (40, 7), (1, 1)])
def test_image_smaller_than_a_patch_is_named(size, encoder):
    message = rf"An image of {size[0]}x{size[1]} pixels \(height x width.* is smaller than one 8x8 patch: use a larger"
    with pytest.raises(ValueError, match=message):
        encoder.embed(random_images(*size))


def test_position_mode_decides_on_other_grids(mini_clip):
    field, exact = (CLIPImageEncoder("auto", str(mini_clip), position_mode=mode) for mode in ("field", "exact"))
    assert torch.equal(field.embed(random_images()), exact.embed(random_images()))
    other = random_images(48, 40)
    assert not torch.allclose(field.embed(other), exact.embed(other), atol=1e-4)
    quirk = random_images(16, 64)  # 2x8 patches have as many tokens as the 4x4 table
    assert not torch.allclose(field.embed(quirk), exact.embed(quirk), atol=1e-4)


def test_unknown_position_mode_is_named(mini_clip):
    names = r"\['antialiased', 'bilinear', 'exact', 'field'\]"
    with pytest.raises(ValueError, match=rf"position_mode must be one of {names}, but got 'nearest'"):
        CLIPImageEncoder("auto", str(mini_clip), position_mode="nearest")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_precision_concerns_the_linear_layers(precision, dtype, mini_clip):
    encoder = CLIPImageEncoder("auto", str(mini_clip))
    exact = last_tokens(encoder, random_images())
    encoder.set_precision(precision)
    for block in encoder.blocks:
        for layer in (block.in_proj, block.out_proj, block.c_fc, block.c_proj):
            assert layer.weight.dtype == layer.bias.dtype == dtype
        assert block.ln_1.weight.dtype == block.ln_2.weight.dtype == torch.float32
    for kept in (encoder.conv1.weight, encoder.positional_embedding, encoder.ln_post.weight, encoder.proj):
        assert kept.dtype == torch.float32
    found = last_tokens(encoder, random_images())
    assert found.dtype == torch.float32
    relative = (found - exact).norm() / exact.norm()
    assert relative < {"fp32": 1e-7, "bf16": 2e-2, "fp16": 2e-3}[precision]


def test_unknown_precision_is_named(encoder):
    with pytest.raises(ValueError, match=r"precision must be one of \['fp32', 'bf16', 'fp16'\], but got 'int8'"):
        encoder.set_precision("int8")


def test_everything_is_frozen(encoder):
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_text_tower_is_handed_over_once_and_is_no_part_of_the_image_tower(encoder):
    assert not [name for name, _ in encoder.named_parameters() if "token_embedding" in name]
    text = encoder.pop_text_encoder()
    assert text(["a cat"]).shape == (1, mini.EMBED)
    with pytest.raises(IndexError):
        encoder.pop_text_encoder()


def test_is_registered(mini_clip):
    encoder = MODELS.build({"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)})
    assert encoder.name == "ViT-128x3-8/mini.pt"
    assert len(encoder.weights_hash) == 64


def test_layer_scale_is_refused():
    block = ResidualAttentionBlock(64, 1, ls_init_value=0.1)
    with pytest.raises(ValueError, match="CLIP towers with LayerScale are not supported"):
        CLIPBlock(block)


def test_block_keeps_gelu_as_it_is():
    plain = ResidualAttentionBlock(64, 1, act_layer=nn.GELU)
    before = plain.mlp.c_fc.weight.detach().clone()
    assert torch.equal(CLIPBlock(plain).c_fc.weight, before)


def test_head_contributions_and_the_bias_sum_to_the_attention(mini_clip):
    backbone = CLIPImageEncoder(arch="auto", pretrained=str(mini_clip))
    block, tokens = backbone.blocks[1], torch.randn(2, 7, 128)
    heads = block.head_outputs(*block.qkv(tokens))
    total = sum(block.head_contribution(heads[:, head], head) for head in range(block.heads))
    torch.testing.assert_close(total + block.out_proj.bias, block.attention(tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_attention_weights_are_what_heads_sum_their_values_with(encoder, dtype):
    """In float32 at least, whatever the linear layers compute in."""
    block, tokens = encoder.blocks[1], torch.randn(2, 7, 128, generator=torch.Generator().manual_seed(1))
    query, key, value = (part.to(dtype) for part in block.qkv(tokens))
    found = block.attention_weights(query, key)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    wide = (part.double() for part in (query, key))
    expected = torch.einsum("bhid,bhjd->bhij", *wide).div(query.shape[-1] ** 0.5).softmax(dim=-1)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    if dtype != torch.bfloat16:
        torch.testing.assert_close(found @ value, block.head_outputs(query, key, value), atol=1e-5, rtol=0)
