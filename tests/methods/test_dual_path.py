"""A second path beside CLIP's own: what it adds, what it leaves alone, and where it begins."""

import pytest
import torch
from torch import Tensor

from mmseg_tfovss.encoders.stream import Keep
from mmseg_tfovss.methods.dual_path import DualPath, read_dual_blocks
from mmseg_tfovss.registry import MODELS
from tests.mini import BLOCKS


class Values(DualPath):
    """The plainest second path: values, without attention."""

    def self_self(self, block, tokens, projections):
        return block.merge_heads(projections[2])


@pytest.fixture
def build(build_method):
    MODELS.register_module(name="Values", module=Values)
    yield lambda **options: build_method("Values", **options)
    MODELS.module_dict.pop("Values")
    MODELS.parent.module_dict.pop("Values")


def images() -> Tensor:
    return torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def paths_by_hand(model, blocks, *, chained):
    """CLIP's tokens behind every block, and the second path behind the last one."""
    tokens, second, found = model.backbone.embed(images()), None, []
    for number, block in enumerate(model.backbone.blocks, start=1):
        added = block.merge_heads(block.qkv(tokens)[2])
        if number > BLOCKS - blocks:
            second = (tokens if second is None else second) + added if chained else added
        tokens = block(tokens)
        found.append(tokens)
    return found, second


@pytest.mark.parametrize("chained", [True, False])
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_second_path_reads_clips_and_does_not_change_it(blocks, chained, build):
    model = build()
    model.dual_blocks, model.chained = blocks, chained
    model.keep = Keep(tokens=(1, 2), projections=(2,))
    with torch.inference_mode():
        stream = model.run_blocks(images())
    tokens, second = paths_by_hand(model, blocks, chained=chained)
    torch.testing.assert_close(stream.tokens, second, atol=1e-5, rtol=0)
    for number in (1, 2):
        torch.testing.assert_close(stream.kept_tokens[number], tokens[number - 1], atol=1e-5, rtol=0)


def test_a_plug_in_of_early_blocks_changes_what_the_second_path_reads(build):
    class Halved:
        def run_block(self, number, block, stream, projections):
            return None

        def after_block(self, number, stream):
            return 0.5 * stream.tokens if number == BLOCKS - 1 else stream.tokens

    model = build()
    model.dual_blocks = 1
    with torch.inference_mode():
        before = model.run_blocks(images()).tokens
        model.plugins.append(Halved())
        after = model.run_blocks(images()).tokens
        expected = model.backbone.embed(images())
        for block in model.backbone.blocks[:-1]:
            expected = block(expected)
        expected = 0.5 * expected
        last = model.backbone.blocks[-1]
        expected = expected + last.merge_heads(last.qkv(expected)[2])
    torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)
    assert (after - before).abs().max() > 0.1


@pytest.mark.parametrize("option", ["residual", "feed_forward"])
def test_options_of_the_last_block_do_not_act_and_are_refused(option, build):
    with pytest.raises(
        ValueError, match=r"model\.residual and model\.feed_forward have no effect: Values runs its last"
    ):
        build(**{option: True})


def test_without_a_number_there_are_the_usual_blocks_or_all():
    assert read_dual_blocks("x", None, 12, usual=6) == 6
    assert read_dual_blocks("x", None, 3, usual=6) == 3
    assert read_dual_blocks("x", 12, 12, usual=6) == 12
    assert read_dual_blocks("x", 4, 3, usual=6, beside=1) == 3


@pytest.mark.parametrize("value", [0, 13, 2.0, True, "six"])
def test_other_numbers_are_refused(value):
    with pytest.raises(
        ValueError, match=r"model\.depth must be None or from 1 to 12, for a tower of 12 blocks, but got"
    ):
        read_dual_blocks("depth", value, 12, usual=6)
