"""Images on their way through the blocks: what is kept of it, against the blocks run by hand, and who may change it."""

import pytest
import torch

from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Keep
from tests import mini

GRID, LAST = (3, 4), mini.BLOCKS


@pytest.fixture
def images():
    size = (GRID[0] * mini.PATCH, GRID[1] * mini.PATCH)
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(build_method):
    """CLIP as it was trained."""
    return build_method("CLIP", test_cfg={"mode": "whole"})


@torch.inference_mode()
def run_by_hand(backbone, images):
    """By block: what comes out of it, its query, key and value, and its attention."""
    tokens, kept, projections, attention = backbone.embed(images), {}, {}, {}
    for number, block in enumerate(backbone.blocks, start=1):
        projections[number] = block.qkv(tokens)
        query, key, value = projections[number]
        attention[number] = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1)
        tokens = tokens + block.merge_heads(attention[number] @ value)
        kept[number] = tokens = tokens + block.feed_forward(tokens)
    return kept, projections, attention


def assert_close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "keep",
    [
        Keep(tokens=(1, 3)),
        Keep(tokens=range(1, 4)),
        Keep(projections=(2,)),
        Keep(projections={1, 3}),
        Keep(attention=(1,)),
        Keep(attention=[2, 3]),
        Keep(keys=(1, 3)),
        Keep(tokens=(2,), projections=(1,), attention=(2,)),
        Keep(tokens=(1, 2, 3), projections=(1, 2, 3), attention=(1, 2, 3), keys=(1, 2, 3)),
    ],
    ids=str,
)
def test_what_is_kept_is_that_of_the_chosen_blocks(keep, model, images):
    tokens, projections, attention = run_by_hand(model.backbone, images)
    plain = model.run_blocks(images).tokens
    model.keep = keep
    with torch.inference_mode():
        stream = model.run_blocks(images)
    assert set(stream.kept_tokens) == set(keep.tokens)
    assert set(stream.projections) == set(keep.projections)
    assert set(stream.attention) == set(keep.attention)
    assert set(stream.keys) == set(keep.keys)
    for number, found in stream.kept_tokens.items():
        assert found.shape == (2, 1 + 12, mini.WIDTH)
        assert_close(found, tokens[number])
    for number, found in stream.projections.items():
        assert [part.shape for part in found] == [(2, 2, 1 + 12, mini.WIDTH // 2)] * 3
        for part, expected in zip(found, projections[number], strict=True):
            assert_close(part, expected)
    for number, found in stream.attention.items():
        assert found.shape == (2, 2, 1 + 12, 1 + 12)
        assert_close(found, attention[number])
        assert_close(found.sum(dim=-1), torch.ones(2, 2, 13))
    for number, found in stream.keys.items():
        assert_close(found, projections[number][1])
        assert found.untyped_storage().nbytes() == found.nbytes  # queries and values are let go
    assert_close(stream.tokens, tokens[LAST])
    assert torch.equal(stream.tokens, plain)  # and it changes nothing


def counted(monkeypatch):
    """How often blocks project their tokens and make their attention's weights."""
    calls = {"qkv": 0, "attention_weights": 0}
    for name in calls:
        inner = getattr(CLIPBlock, name)

        def count(self, *args, name=name, inner=inner):
            calls[name] += 1
            return inner(self, *args)

        monkeypatch.setattr(CLIPBlock, name, count)
    return calls


def test_nothing_is_kept_or_computed_where_nothing_is_asked_for(model, images, monkeypatch):
    calls = counted(monkeypatch)
    stream = model.run_blocks(images)
    assert model.keep == Keep()
    kept = (stream.kept_tokens, stream.projections, stream.attention, stream.keys, stream.notes, stream.totals)
    assert kept == ({},) * 6
    assert calls == {"qkv": LAST, "attention_weights": 0}


def test_only_what_is_asked_for_is_computed(model, images, monkeypatch):
    """A block whose projections are kept runs on with these."""
    calls = counted(monkeypatch)
    model.keep = Keep(tokens=(1, 2, 3), projections=(1, 2), attention=(2,))
    model.run_blocks(images)
    assert calls == {"qkv": LAST, "attention_weights": 1}


def test_every_pass_has_its_own(model, images):
    model.keep = Keep(tokens=(1,), attention=(2,))
    first, second = model.run_blocks(images), model.run_blocks(images.flip(0))
    for name in ("kept_tokens", "attention"):
        (one,), (other,) = getattr(first, name).values(), getattr(second, name).values()
        assert one is not other
        assert_close(one, other.flip(0))
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_attention_is_kept_in_float32(precision, build_method, images):
    model = build_method("CLIP", test_cfg={"mode": "whole"}, precision=precision)
    model.keep = Keep(projections=(1,), attention=(1,))
    stream = model.run_blocks(images)
    query, key, _ = stream.projections[1]
    assert query.dtype == model.backbone.blocks[0].in_proj.weight.dtype != torch.float32
    assert stream.attention[1].dtype == torch.float32
    expected = (query.double() @ key.double().transpose(-1, -2) / 8).softmax(dim=-1)
    torch.testing.assert_close(stream.attention[1].double(), expected, atol=1e-6, rtol=0)


def test_the_last_blocks_input_and_output_are_the_methods(build_method, images):
    """Behind the last block, tokens are those of the method; its projections are of what goes in."""
    model = build_method("ClearCLIP", test_cfg={"mode": "whole"}, pad_to=None)
    model.keep = Keep(tokens=(2, 3), projections=(3,), attention=(3,))
    stream = model.run_blocks(images)
    before = stream.kept_tokens[2]
    query, key, value = model.backbone.blocks[2].qkv(before)
    for found, expected in zip(stream.projections[3], (query, key, value), strict=True):
        assert torch.equal(found, expected)
    assert_close(stream.attention[3], (query @ key.transpose(-1, -2) / 8).softmax(dim=-1))
    assert stream.kept_tokens[3] is stream.tokens
    clearclip = (query @ query.transpose(-1, -2) / 8).softmax(dim=-1) @ value
    assert_close(stream.tokens, model.backbone.blocks[2].merge_heads(clearclip))


def test_the_stream_knows_its_images_their_grid_and_what_the_method_gives(model, images):
    seen = []

    def attend(block, tokens, stream):
        seen.append((block, tokens.shape, stream.grid, stream.given["guide"]))
        assert torch.equal(stream.images, images)
        return block.attention(tokens)

    model.attend = attend
    guide = torch.zeros(2, 5)
    stream = model.run_blocks(images, {"guide": guide})
    assert stream.grid == GRID
    assert stream.given == {"guide": guide}
    [(block, shape, grid, given)] = seen
    assert block is model.backbone.blocks[-1]
    assert (shape, grid) == ((2, 13, mini.WIDTH), GRID)
    assert given is guide
    with pytest.raises(KeyError):  # nothing is left behind for the next pass
        model.run_blocks(images)


def test_totals_add_up_and_leave_what_was_added_alone(model, images):
    stream = model.run_blocks(images)
    parts = [torch.full((2,), float(number)) for number in (1, 2, 4)]
    for part in parts:
        stream.add("sum", part)
    assert stream.totals["sum"].tolist() == [7, 7]
    assert parts[0].tolist() == [1, 1]


# -- plug-ins -------------------------------------------------------------------------------------------------------


class Plugin:
    """Notes what it sees; leaves everything as it is unless it is told otherwise."""

    def __init__(self, run=None, after=None):
        self.run, self.after, self.seen = run, after, []

    def run_block(self, number, block, stream, projections):
        self.seen.append(("run", number, block, projections))
        return self.run(number, stream) if self.run else None

    def after_block(self, number, stream):
        self.seen.append(("after", number, tuple(stream.tokens.shape), stream.grid))
        return self.after(number, stream) if self.after else stream.tokens


def test_plugins_see_the_early_blocks_and_what_comes_out_of_them(model, images):
    plain, blocks = model.run_blocks(images).tokens, model.backbone.blocks
    model.plugins.append(Plugin())
    assert torch.equal(model.run_blocks(images).tokens, plain)
    shape = (2, 13, mini.WIDTH)
    assert model.plugins[0].seen == [
        ("run", 1, blocks[0], None),
        ("after", 1, shape, GRID),
        ("run", 2, blocks[1], None),
        ("after", 2, shape, GRID),
    ]


def test_plugins_may_replace_tokens(model, images):
    """What they give goes on to the next block."""
    model.plugins.append(Plugin(after=lambda number, stream: stream.tokens * (number != 1)))
    _, second, third = model.backbone.blocks
    with torch.inference_mode():
        found = model.run_blocks(images).tokens
        zeros = torch.zeros(2, 13, mini.WIDTH)
        torch.testing.assert_close(found, third(second(zeros)))


def test_a_plugin_takes_a_blocks_place(model, images):
    plain, (first, _, third) = model.run_blocks(images).tokens, model.backbone.blocks
    model.plugins.append(Plugin(run=lambda number, stream: stream.tokens if number == 2 else None))
    found = model.run_blocks(images).tokens
    torch.testing.assert_close(found, third(first(model.backbone.embed(images))))
    assert (found - plain).abs().max() > 1e-3


def test_plugins_act_in_order(model, images):
    """All of them behind a block; in its place the first that has something to put there."""
    model.plugins += [
        Plugin(after=lambda number, stream: stream.tokens * 0 + 1),
        Plugin(after=lambda number, stream: stream.tokens + number),
    ]
    model.keep = Keep(tokens=(1, 2))
    stream = model.run_blocks(images)
    for number in (1, 2):
        assert torch.equal(stream.kept_tokens[number], torch.full((2, 13, mini.WIDTH), 1.0 + number))
    model.plugins[:] = [
        Plugin(),
        Plugin(run=lambda number, stream: stream.tokens * 0 + 2),
        Plugin(run=lambda number, stream: stream.tokens * 0 + 3),
    ]
    stream = model.run_blocks(images)
    assert torch.equal(stream.kept_tokens[2], torch.full((2, 13, mini.WIDTH), 2.0))
    assert [plugin.seen[0][:2] for plugin in model.plugins[:2]] == [("run", 1)] * 2


def test_projections_are_of_what_goes_into_a_block_and_shown_to_plugins(model, images):
    doubled = Plugin(after=lambda number, stream: stream.tokens * 2)
    model.plugins.append(doubled)
    model.keep = Keep(tokens=(1,), projections=(2,))
    stream = model.run_blocks(images)
    first, second, _ = model.backbone.blocks
    with torch.inference_mode():
        tokens = 2 * first(model.backbone.embed(images))
        assert_close(stream.kept_tokens[1], tokens)
        for found, expected in zip(stream.projections[2], second.qkv(tokens), strict=True):
            assert_close(found, expected)
    shown = {entry[1]: entry[3] for entry in doubled.seen if entry[0] == "run"}
    assert shown == {1: None, 2: stream.projections[2]}


def test_notes_of_plugins_last_for_one_pass(model, images):
    def note(number, stream):
        assert stream.notes == ({} if number == 1 else {"mine": {1: [1]}})
        stream.notes.setdefault("mine", {})[number] = [number]
        return stream.tokens

    model.plugins.append(Plugin(after=note))
    for _ in range(2):
        assert model.run_blocks(images).notes == {"mine": {1: [1], 2: [2]}}
