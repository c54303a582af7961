"""Windows and stitching, against MMSeg's slide inference written as a loop."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import canvas as canvas_module
from mmseg_tfovss.ops.canvas import PatchCanvas
from mmseg_tfovss.ops.windows import WindowPlan, interpolation_matrix, resample, stitching_matrix, window_starts

PATCH, QUERIES = 8, 5
BILINEAR = {"mode": "bilinear", "align_corners": False}


def encode(windows):
    """Patch logits (n, Q, h, w) of windows (n, 3, H, W): pixels beyond the last whole patch are dropped, as in CLIP."""
    weight = torch.randn(QUERIES, 3, PATCH, PATCH, generator=torch.Generator().manual_seed(3))
    return F.conv2d(windows, weight.to(windows.dtype), stride=PATCH) / 10


def random_image(size):
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(sum(size)))


def slide_as_mmseg(image, crop, stride, target, pad_to=None):
    """MMSeg's slide_inference (ClearCLIP's padding included), then F.interpolate to the original size."""
    image = image.double()[None]
    height, width = image.shape[-2:]
    canvas = torch.zeros(1, QUERIES, height, width, dtype=torch.float64)
    count = torch.zeros(1, 1, height, width, dtype=torch.float64)
    for i in range(max(height - crop[0] + stride[0] - 1, 0) // stride[0] + 1):
        for j in range(max(width - crop[1] + stride[1] - 1, 0) // stride[1] + 1):
            bottom, right = min(i * stride[0] + crop[0], height), min(j * stride[1] + crop[1], width)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            window = image[:, :, top:bottom, left:right]
            missing = [-size % pad_to if pad_to else 0 for size in window.shape[-2:]]
            above, before = missing[0] // 2, missing[1] // 2
            padded = F.pad(window, (before, missing[1] - before, above, missing[0] - above))
            logits = F.interpolate(encode(padded), size=padded.shape[-2:], **BILINEAR)
            logits = logits[:, :, above : above + window.shape[2], before : before + window.shape[3]]
            canvas += F.pad(logits, (left, width - right, top, height - bottom))
            count[:, :, top:bottom, left:right] += 1
    assert count.min() >= 1
    return F.interpolate(canvas / count, size=target, **BILINEAR)[0]


def stitched(plan, image, target, *, direct=False):
    return plan.stitch(encode(torch.stack(plan.cut(image))), target, direct=direct)


@pytest.mark.parametrize(
    ("size", "crop", "stride", "target", "pad_to"),
    [
        pytest.param((64, 96), (32, 32), (16, 16), (64, 96), None, id="all multiples"),
        pytest.param((61, 83), (32, 32), (16, 16), (61, 83), None, id="last windows shifted"),
        pytest.param((61, 83), (32, 32), (16, 16), (97, 50), None, id="resampled"),
        pytest.param((50, 47), (29, 29), (13, 13), (33, 90), None, id="crop no multiple of the patch"),
        pytest.param((61, 83), (40, 24), (24, 8), (70, 70), None, id="oblong windows"),
        pytest.param((61, 83), (32, 32), (32, 32), (61, 83), None, id="no overlap"),
        pytest.param((32, 32), (32, 32), (16, 16), (45, 45), None, id="one window"),
        pytest.param((20, 27), (32, 32), (16, 16), (45, 31), None, id="image smaller than the crop"),
        pytest.param((20, 70), (32, 32), (16, 16), (45, 131), None, id="image lower than the crop"),
        pytest.param((20, 27), (32, 32), (16, 16), (45, 31), 16, id="padded small image"),
        pytest.param((61, 83), (29, 35), (13, 21), (97, 50), 8, id="padded windows"),
        pytest.param((48, 48), (32, 32), (16, 16), (48, 48), 16, id="padding not needed"),
        pytest.param((61, 83), (29, 35), (13, 21), (1, 1), 24, id="one pixel"),
    ],
)
def test_stitching_equals_slide_inference(size, crop, stride, target, pad_to):
    image = random_image(size)
    plan = WindowPlan.slide(size, crop, stride, pad_to)
    found = stitched(plan, image, target)
    assert found.size == target
    assert found.channels == QUERIES
    torch.testing.assert_close(
        found.dense().double(), slide_as_mmseg(image, crop, stride, target, pad_to), atol=5e-6, rtol=0
    )


@pytest.mark.parametrize("size", [(32, 40), (37, 45)])
@pytest.mark.parametrize("target", [(32, 40), (80, 51), (20, 20)])
def test_whole_direct_goes_from_patches_to_the_original(size, target):
    image = random_image(size)
    found = stitched(WindowPlan.whole(size), image, target, direct=True).dense()
    expected = F.interpolate(encode(image[None]), size=target, **BILINEAR)[0]
    torch.testing.assert_close(found, expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("size", [(32, 40), (37, 45)])
def test_whole_two_step_goes_over_the_resized_image(size):
    image = random_image(size)
    found = stitched(WindowPlan.whole(size), image, (80, 51), direct=False).dense()
    resized = F.interpolate(encode(image[None]), size=size, **BILINEAR)
    torch.testing.assert_close(found, F.interpolate(resized, size=(80, 51), **BILINEAR)[0], atol=5e-6, rtol=0)
    one_step = stitched(WindowPlan.whole(size), image, (80, 51), direct=True).dense()
    assert (found - one_step).abs().max() > 1e-3


@pytest.mark.parametrize("elements", [1, 400, 1000, 10**9])
def test_strips_are_the_dense_logits(elements, monkeypatch):
    logits = stitched(WindowPlan.slide((61, 83), (32, 32), (16, 16)), random_image((61, 83)), (37, 50))
    dense = logits.dense()
    next_row = 0
    monkeypatch.setattr(canvas_module, "BLOCK_ELEMENTS", elements)
    for rows, channels, strip in logits.blocks():
        assert channels == slice(0, QUERIES)
        assert rows.start == next_row
        assert strip.shape == (rows.stop - rows.start, QUERIES, 50)
        assert strip.numel() <= max(elements, QUERIES * 50)
        torch.testing.assert_close(strip.transpose(0, 1), dense[:, rows], atol=1e-6, rtol=0)
        next_row = rows.stop
    assert next_row == 37


def test_dense_of_some_queries():
    logits = stitched(WindowPlan.whole((32, 40)), random_image((32, 40)), (37, 50))
    torch.testing.assert_close(logits.some(slice(1, 3)), logits.dense()[1:3], atol=1e-6, rtol=0)


def test_resampling_is_interpolation_of_what_is_there():
    plan = WindowPlan.slide((40, 56), (24, 32), (16, 16))
    maps = torch.randn(plan.count, QUERIES, 3, 4, generator=torch.Generator().manual_seed(0))
    canvas = plan.stitch(maps, plan.size, direct=False)
    found = resample(canvas, (57, 23))
    assert (found.size, found.channels, found.even) == ((57, 23), QUERIES, canvas.even)
    expected = F.interpolate(canvas.dense()[None], size=(57, 23), **BILINEAR)[0]
    torch.testing.assert_close(found.dense(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.dense(), plan.stitch(maps, (57, 23), direct=False).dense(), atol=1e-5, rtol=0)


def test_constant_logits_stay_constant():
    plan = WindowPlan.slide((61, 83), (29, 35), (13, 21), 8)
    ones = torch.ones(plan.count, 2, 4, 5)
    dense = plan.stitch(ones, (97, 50), direct=False).dense()
    torch.testing.assert_close(dense, torch.ones(2, 97, 50), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "crop", "stride", "starts"),
    [
        (336, 224, 112, [0, 112]),
        (448, 224, 112, [0, 112, 224]),
        (300, 224, 112, [0, 76]),
        (225, 224, 112, [0, 1]),
        (224, 224, 112, [0]),
        (100, 224, 112, [0]),
        (448, 224, 224, [0, 224]),
        (505, 224, 112, [0, 112, 224, 281]),
        (10, 3, 5, [0, 5, 7]),
    ],
)
def test_window_starts_by_hand(size, crop, stride, starts):
    assert window_starts(size, crop, stride) == starts


@pytest.mark.parametrize(("source", "target"), [(3, 7), (7, 3), (4, 4), (1, 5), (5, 1)])
def test_interpolation_matrix_resamples(source, target):
    signal = torch.randn(1, 1, source, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = F.interpolate(signal, size=target, mode="linear", align_corners=False)[0, 0]
    torch.testing.assert_close(interpolation_matrix(source, target) @ signal[0, 0], expected)


def test_interpolation_matrix_by_hand():
    expected = torch.tensor([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]], dtype=torch.float64)
    torch.testing.assert_close(interpolation_matrix(2, 4), expected)


def test_stitching_matrix_averages_the_overlap():
    """Two windows of 2 pixels and 2 patches on 3 pixels: the middle pixel is the mean of both."""
    found = stitching_matrix(3, (0, 1), 2, (0, 0), 2, 3, direct=False)
    torch.testing.assert_close(found, torch.tensor([[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]]))


def test_windows_are_cut_row_after_row():
    image = torch.arange(4 * 5).view(1, 4, 5).float()
    windows = WindowPlan.slide((4, 5), (2, 3), (2, 2)).cut(image)
    assert [int(window[0, 0, 0]) for window in windows] == [0, 2, 10, 12]
    assert {window.shape for window in windows} == {(1, 2, 3)}


@pytest.mark.parametrize(
    ("crop", "pad_to", "padding"),
    [
        ((30, 20), 16, (6, 6, 1, 1)),
        ((31, 29), 16, (1, 2, 0, 1)),
        ((32, 16), 16, (0, 0, 0, 0)),
        ((31, 29), None, (0, 0, 0, 0)),
        ((31, 29), 0, (0, 0, 0, 0)),
    ],
)
def test_padding_is_symmetric_with_the_odd_pixel_last(crop, pad_to, padding):
    assert WindowPlan.slide((64, 64), crop, (8, 8), pad_to).padding == padding


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (33, 0), (0, 33)])
def test_window_outside_the_image_is_refused(corner):
    plan = WindowPlan.slide((64, 64), (32, 32), (16, 16))
    with pytest.raises(ValueError, match=rf"window of 32x32 pixels at \({corner[0]}, {corner[1]}\) does not lie in"):
        plan.cut_at(torch.zeros(3, 64, 64), *corner)


def test_window_at_a_free_corner():
    image = random_image((64, 64))
    plan = WindowPlan.slide((64, 64), (32, 32), (16, 16))
    assert torch.equal(plan.cut_at(image, 5, 31), image[:, 5:37, 31:63])


def test_half_precision_patch_logits_are_stitched_in_float32():
    plan = WindowPlan.slide((64, 64), (32, 32), (16, 16))
    patches = encode(torch.stack(plan.cut(random_image((64, 64)))))
    half = plan.stitch(patches.half(), (64, 64), direct=False)
    assert isinstance(half, PatchCanvas)
    assert half.dense().dtype == torch.float32


@pytest.mark.parametrize(
    ("plan", "count"),
    [
        (WindowPlan.whole((61, 83)), 1),
        (WindowPlan.slide((61, 83), (32, 32), (16, 16)), 3 * 5),
        (WindowPlan.slide((20, 83), (32, 40), (16, 40)), 1 * 3),
    ],
)
def test_windows_are_counted(plan, count):
    assert plan.count == len(plan.cut(torch.zeros(3, *plan.size))) == count


@pytest.mark.parametrize(
    ("plan", "even"),
    [
        (WindowPlan.whole((61, 83)), True),
        (WindowPlan.slide((20, 27), (32, 32), (16, 16)), True),
        (WindowPlan.slide((20, 27), (32, 32), (16, 16), 16), False),
        (WindowPlan.slide((61, 83), (32, 32), (16, 16)), False),
    ],
    ids=["whole", "one window", "padded", "windows"],
)
def test_patches_are_even_where_one_window_without_padding_is_the_image(plan, even):
    found = stitched(plan, random_image(plan.size), (50, 40))
    assert found.even is even
    grid = found.grid
    expected = found.patches if even else F.adaptive_avg_pool2d(found.dense()[None], grid)[0]
    assert torch.equal(found.on_grid(grid), expected)


SPLICED = [
    pytest.param((64, 96), (32, 32), (16, 16), id="all multiples"),
    pytest.param((56, 88), (32, 32), (16, 16), id="last windows shifted"),
    pytest.param((56, 88), (40, 24), (24, 8), id="oblong windows"),
    pytest.param((64, 96), (32, 32), (32, 32), id="no overlap"),
    pytest.param((24, 96), (32, 32), (16, 16), id="image lower than the crop"),
    pytest.param((24, 16), (32, 32), (16, 16), id="one window"),
]


def splice_by_hand(plan, maps):
    """For every patch of the resized image the mean of what the windows say that it lies in, (C, h, w) in float64."""
    height, width = plan.size[0] // PATCH, plan.size[1] // PATCH
    corners = [(top // PATCH, left // PATCH) for top in plan.tops for left in plan.lefts]
    whole = torch.zeros(maps.shape[1], height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            found = [
                window[:, row - top, column - left]
                for window, (top, left) in zip(maps.double(), corners, strict=True)
                if 0 <= row - top < window.shape[1] and 0 <= column - left < window.shape[2]
            ]
            whole[:, row, column] = torch.stack(found).mean(dim=0)
    return whole


@pytest.mark.parametrize(("size", "crop", "stride"), SPLICED)
def test_splicing_averages_on_patches(size, crop, stride):
    plan = WindowPlan.slide(size, crop, stride)
    draw = torch.Generator().manual_seed(sum(size))
    maps = torch.randn(plan.count, QUERIES, plan.crop[0] // PATCH, plan.crop[1] // PATCH, generator=draw)
    before = maps.clone()
    found, expected = plan.splice(maps, (97, 50)), splice_by_hand(plan, maps)
    assert torch.equal(maps, before)
    assert (found.size, found.channels, found.even) == ((97, 50), QUERIES, True)
    torch.testing.assert_close(found.patches.double(), expected, atol=1e-6, rtol=0)
    assert found.on_grid((size[0] // PATCH, size[1] // PATCH)) is found.patches
    one_step = F.interpolate(expected[None], size=(97, 50), **BILINEAR)[0]
    torch.testing.assert_close(found.dense().double(), one_step, atol=5e-6, rtol=0)


@pytest.mark.parametrize(("size", "crop", "stride"), SPLICED)
def test_windows_that_agree_are_spliced_to_the_map_they_were_cut_from(size, crop, stride):
    """The patches of an image do not depend on the window here, so that the whole image has the same ones."""
    image, plan = random_image(size), WindowPlan.slide(size, crop, stride)
    found = plan.splice(encode(torch.stack(plan.cut(image))), size)
    torch.testing.assert_close(found.patches, encode(image[None])[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [(32, 40), (37, 45), (50, 53), (61, 83), (42, 43)])
def test_one_window_is_spliced_as_it_is_stitched_directly(size):
    """Whatever the size of the image: pixels beyond the last whole patch are shared among all."""
    plan, maps = WindowPlan.whole(size), encode(random_image(size)[None])
    found, direct = plan.splice(maps, (80, 51)), plan.stitch(maps, (80, 51), direct=True)
    assert torch.equal(found.patches, direct.patches)
    assert torch.equal(found.dense(), direct.dense())


@pytest.mark.parametrize(
    ("plan", "grid"),
    [
        pytest.param(WindowPlan.slide((61, 64), (32, 32), (16, 16)), (4, 4), id="last window shifted"),
        pytest.param(WindowPlan.slide((64, 61), (32, 32), (16, 16)), (4, 4), id="likewise, columns"),
        pytest.param(WindowPlan.slide((64, 64), (32, 32), (12, 16)), (4, 4), id="step"),
        pytest.param(WindowPlan.slide((64, 64), (32, 30), (16, 16)), (4, 4), id="crop"),
        pytest.param(WindowPlan.slide((64, 64), (28, 28), (14, 14), PATCH), (4, 4), id="padding"),
        pytest.param(WindowPlan.slide((20, 24), (32, 32), (16, 16), PATCH), (3, 3), id="padded window"),
    ],
)
def test_windows_that_do_not_lie_on_patches_are_not_spliced(plan, grid):
    message = (
        rf"Maps of windows of {plan.crop[0]}x{plan.crop[1]} pixels at rows .* and columns .* of an image of"
        rf" {plan.size[0]}x{plan.size[1]} cannot be spliced: sizes and steps must be multiples of the patch of"
        rf" .* pixels, without padding\."
    )
    with pytest.raises(ValueError, match=message):
        plan.splice(torch.zeros(plan.count, 2, *grid), (64, 64))


def test_half_precision_maps_are_spliced_in_float32():
    plan = WindowPlan.slide((64, 64), (32, 32), (8, 8))
    patches = torch.randn(plan.count, QUERIES, 4, 4, generator=torch.Generator().manual_seed(0)).half()
    found = plan.splice(patches, (64, 64))
    assert found.dense().dtype == torch.float32
    torch.testing.assert_close(found.patches.double(), splice_by_hand(plan, patches), atol=1e-6, rtol=0)
