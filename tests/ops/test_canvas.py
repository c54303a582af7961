"""Canvases: blocks are given out as often as they are asked for, and nobody writes into them."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import canvas
from mmseg_tfovss.ops.canvas import Canvas, ChannelCanvas, ComputedCanvas, PatchCanvas, PixelCanvas
from mmseg_tfovss.ops.labels import NotNumbersError, label_pixels
from mmseg_tfovss.ops.windows import interpolation_matrix
from tests.ops.test_labels import label_by_hand

GRID, SIZE = (4, 5), (9, 7)
QUERY_CLASS = (0, 0, 1, 2, 2, 3)


def patch_maps(seed=0):
    """Cosine-like logits (C, h, w) in which some classes are rare."""
    draw = torch.Generator().manual_seed(seed)
    rarity = 0.15 * torch.rand(len(QUERY_CLASS), 1, 1, generator=draw)
    return 0.1 * torch.randn(len(QUERY_CLASS), *GRID, generator=draw) - rarity


def on_patches(maps):
    rows, columns = (interpolation_matrix(GRID[axis], SIZE[axis]).float() for axis in (0, 1))
    return PatchCanvas(maps, rows, columns, even=True), (maps, rows, columns)


def on_pixels(maps):
    pixels = on_patches(maps)[0].dense()
    return PixelCanvas(pixels), (pixels,)


def computed(maps):
    """Blocks of queries that are always the same tensors, and parts of one that belongs to somebody else."""
    pixels = on_patches(maps)[0].dense()
    slices = (slice(2, len(maps)), slice(0, 2))
    blocks = [(slice(0, SIZE[0]), some, pixels[some].transpose(0, 1)) for some in slices]
    return ComputedCanvas(SIZE, len(maps), maps.device, lambda: iter(blocks)), (pixels,)


KINDS = pytest.mark.parametrize("kind", [on_patches, on_pixels, computed], ids=["patches", "pixels", "computed"])


@KINDS
@pytest.mark.parametrize("area_threshold", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("prob_threshold", [0.0, 0.3, 0.6])
def test_labelling_leaves_the_blocks_as_they_were(kind, prob_threshold, area_threshold, monkeypatch):
    """Whoever holds the tensors, or asks for the blocks again, finds what was there."""
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", 4 * SIZE[1] * len(QUERY_CLASS))
    rule = {"logit_scale": 40.0, "prob_threshold": prob_threshold, "area_threshold": area_threshold}
    for seed in range(8):
        logits, owned = kind(patch_maps(seed))
        values, before = logits.dense().clone(), [tensor.clone() for tensor in owned]
        given = [(rows, queries, block, block.clone()) for rows, queries, block in logits.blocks()]
        assert len(given) > 1
        expected = label_by_hand(values, QUERY_CLASS, 40.0, prob_threshold, area_threshold).tolist()
        for _ in range(2):
            assert label_pixels(logits, torch.tensor(QUERY_CLASS), **rule).tolist() == expected
            assert all(torch.equal(tensor, old) for tensor, old in zip(owned, before, strict=True))
        for (rows, queries, block, old), again in zip(given, logits.blocks(), strict=True):
            assert torch.equal(block, old)
            assert again[:2] == (rows, queries)
            assert torch.equal(again[2], old)


def test_the_random_cases_exercise_both_thresholds():
    changed = {"area": False, "probability": False}
    for seed in range(8):
        values = on_patches(patch_maps(seed))[0].dense()
        plain = label_by_hand(values, QUERY_CLASS, 40.0, 0, 0)
        changed["area"] |= bool((plain != label_by_hand(values, QUERY_CLASS, 40.0, 0, 0.3)).any())
        changed["probability"] |= bool((plain != label_by_hand(values, QUERY_CLASS, 40.0, 0.6, 0)).any())
    assert all(changed.values())


@KINDS
@pytest.mark.parametrize("elements", [1, 4 * SIZE[1] * len(QUERY_CLASS), 10**9])
def test_blocks_hold_every_value_once(kind, elements, monkeypatch):
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", elements)
    maps = patch_maps()
    logits, _ = kind(maps)
    expected = F.interpolate(maps[None], size=SIZE, mode="bilinear", align_corners=False)[0]
    assert (logits.size, logits.channels, logits.device) == (SIZE, len(QUERY_CLASS), maps.device)
    seen = torch.zeros(len(QUERY_CLASS), *SIZE)
    for rows, channels, block in logits.blocks():
        assert block.shape == (rows.stop - rows.start, channels.stop - channels.start, SIZE[1])
        torch.testing.assert_close(block.transpose(0, 1), expected[channels, rows], atol=1e-6, rtol=0)
        seen[channels, rows] += 1
    assert torch.equal(seen, torch.ones_like(seen))
    torch.testing.assert_close(logits.dense(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.some(slice(1, 4)), expected[1:4], atol=1e-6, rtol=0)


def cell_means(values, grid):
    """Means of the pixels of each cell; cells share a pixel where the sides are no multiples."""
    height, width = values.shape[1:]
    means = torch.zeros(len(values), *grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            top, bottom = row * height // grid[0], -(-(row + 1) * height // grid[0])
            left, right = column * width // grid[1], -(-(column + 1) * width // grid[1])
            means[:, row, column] = values[:, top:bottom, left:right].mean(dim=(1, 2))
    return means


@KINDS
@pytest.mark.parametrize("grid", [(3, 7), (9, 1), (2, 3), (5, 4), SIZE, (1, 1)])
def test_on_another_grid_every_cell_has_the_mean_of_its_pixels(kind, grid):
    logits, _ = kind(patch_maps())
    torch.testing.assert_close(logits.on_grid(grid), cell_means(logits.dense(), grid), atol=1e-6, rtol=0)


def test_on_their_own_grid_patches_are_given_as_they_are():
    """If they share the image evenly; those of overlapping windows do not, though there are as many."""
    even, _ = on_patches(patch_maps())
    assert even.on_grid(GRID) is even.patches
    assert even.on_grid(list(GRID)) is even.patches
    uneven = PatchCanvas(even.patches, even.rows, even.columns)
    assert not uneven.even
    torch.testing.assert_close(uneven.on_grid(GRID), cell_means(even.dense(), GRID), atol=1e-6, rtol=0)
    assert (uneven.on_grid(GRID) - even.patches).abs().max() > 1e-3


@KINDS
def test_pixels_and_computed_values_have_no_patches_of_their_own(kind):
    logits, _ = kind(patch_maps())
    means = cell_means(logits.dense(), GRID)
    expected = patch_maps() if kind is on_patches else means
    torch.testing.assert_close(logits.on_grid(GRID), expected, atol=1e-6, rtol=0)


def test_a_function_that_gives_the_same_iterator_twice_is_refused():
    """The first pass has all values, the second none: with an area threshold labels would silently be wrong."""
    pixels = on_pixels(patch_maps())[1][0]
    message = (
        r"^A refined canvas gave 0 values in place of 6 x 9 x 7 = 378: its function must give every value once, and"
        r" begin anew whenever it is called\.$"
    )

    def once():
        blocks = iter([(slice(0, SIZE[0]), slice(0, len(pixels)), pixels.transpose(0, 1))])
        return ComputedCanvas(SIZE, len(pixels), pixels.device, lambda: blocks)

    refined = once()
    assert torch.equal(refined.dense(), pixels)
    for ask in (refined.dense, lambda: list(refined.blocks()), lambda: refined.on_grid(GRID)):
        with pytest.raises(ValueError, match=message):
            ask()
    label_pixels(once(), torch.tensor(QUERY_CLASS), logit_scale=40.0, prob_threshold=0.3)  # one pass is enough
    with pytest.raises(ValueError, match=message):
        label_pixels(once(), torch.tensor(QUERY_CLASS), logit_scale=40.0, area_threshold=0.3)


@pytest.mark.parametrize(("parts", "count"), [((0,), 2 * 9 * 7), ((0, 1, 1), 10 * 9 * 7), ((), 0)])
def test_a_function_that_leaves_values_out_or_gives_some_twice_is_refused(parts, count):
    pixels = on_pixels(patch_maps())[1][0]
    blocks = [(slice(0, 9), some, pixels[some].transpose(0, 1)) for some in (slice(0, 2), slice(2, 6))]
    refined = ComputedCanvas(SIZE, len(pixels), pixels.device, lambda: [blocks[part] for part in parts])
    with pytest.raises(ValueError, match=rf"^A refined canvas gave {count} values in place of 6 x 9 x 7 = 378: "):
        label_pixels(refined, torch.tensor(QUERY_CLASS), logit_scale=40.0)


@KINDS
@pytest.mark.parametrize("query", [0, 3, 5])
@pytest.mark.parametrize(("prob_threshold", "area_threshold"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.3)])
def test_values_that_are_not_numbers_are_told(kind, query, prob_threshold, area_threshold):
    maps = patch_maps()
    maps[query, 1, 2] = torch.nan
    logits, _ = kind(maps)
    rule = {"logit_scale": 40.0, "prob_threshold": prob_threshold, "area_threshold": area_threshold}
    with pytest.raises(NotNumbersError, match=r"^Some refined logits are not numbers \(NaN\)"):
        label_pixels(logits, torch.tensor(QUERY_CLASS), **rule)


@KINDS
def test_extremes_are_those_of_every_channel(kind, monkeypatch):
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", 4 * SIZE[1] * len(QUERY_CLASS))
    logits, _ = kind(patch_maps())
    low, high = logits.extremes()
    values = logits.dense().flatten(1)
    torch.testing.assert_close(low, values.amin(dim=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(high, values.amax(dim=1), atol=1e-6, rtol=0)


def of_channels(maps):
    """A canvas that computes maps, at most two at a time, and notes which."""
    pixels, asked = on_patches(maps)[0].dense(), []

    def compute(channels):
        asked.extend(range(channels.start, channels.stop))
        assert channels.stop - channels.start <= 2
        return pixels[channels]

    return ChannelCanvas(SIZE, len(maps), maps.device, compute, at_once=2), asked


def test_maps_are_computed_without_the_others():
    logits, asked = of_channels(patch_maps())
    expected = logits.dense()
    assert asked == list(range(len(QUERY_CLASS)))
    asked.clear()
    assert torch.equal(logits.some(slice(1, 3)), expected[1:3])
    assert asked == [1, 2]
    asked.clear()
    assert torch.equal(logits.only(torch.tensor([0, 3, 4])).dense(), expected[[0, 3, 4]])
    assert asked == [0, 3, 4]


@KINDS
def test_some_maps_only(kind, monkeypatch):
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", 4 * SIZE[1] * len(QUERY_CLASS))
    logits, _ = kind(patch_maps())
    chosen = torch.tensor([0, 2, len(QUERY_CLASS) - 1])
    torch.testing.assert_close(logits.only(chosen).dense(), logits.dense()[chosen], atol=1e-6, rtol=0)


@pytest.mark.parametrize("across", [1, 2 * GRID[0] * SIZE[1], 10**9])
def test_many_channels_come_some_at_a_time(across, monkeypatch):
    monkeypatch.setattr(canvas, "ACROSS_ELEMENTS", across)
    logits, _ = on_patches(patch_maps())
    blocks = list(logits.blocks())
    assert {block[1].stop - block[1].start for block in blocks} <= {
        max(1, across // (GRID[0] * SIZE[1])),
        1,
        len(QUERY_CLASS),
    }
    expected = F.interpolate(patch_maps()[None], size=SIZE, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(Canvas.dense(logits), expected, atol=1e-6, rtol=0)


@KINDS
@pytest.mark.parametrize("grid", [(3, 7), (9, 1), (1, 1)])
def test_means_are_the_same_when_not_all_values_may_be_kept(kind, grid, monkeypatch):
    logits, _ = kind(patch_maps())
    expected = logits.on_grid(grid)
    monkeypatch.setattr(canvas, "HELD_ELEMENTS", 1)
    monkeypatch.setattr(canvas, "BLOCK_ELEMENTS", 4 * SIZE[1] * len(QUERY_CLASS))
    torch.testing.assert_close(logits.on_grid(grid), expected, atol=1e-6, rtol=0)


def test_rows_of_patches_that_do_not_reach_a_strip_are_left_out_of_its_product():
    left, right = torch.zeros(5, 40), torch.full((40, 30), torch.nan)
    used = [3, 17]
    left[:, used], right[used] = torch.rand(5, 2), torch.rand(2, 30)
    torch.testing.assert_close(canvas._product(left, right), left[:, used] @ right[used])


def test_a_gpu_takes_more_values_at_a_time_than_a_cpu():
    assert canvas.elements_for(8, torch.device("cpu")) == 8
    assert canvas.elements_for(8, torch.device("meta")) > 8
