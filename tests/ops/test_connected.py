"""Regions: against a search by hand, corners that touch, areas, and points."""

import torch

from mmseg_tfovss.ops.connected import find_regions


def region_of(where, start):
    """Pixels that can be reached from a pixel, by single steps in eight directions."""
    found, open_pixels = set(), [start]
    while open_pixels:
        pixel = open_pixels.pop()
        if pixel in found or not where[pixel]:
            continue
        found.add(pixel)
        row, column = pixel
        for r in range(max(row - 1, 0), min(row + 2, where.shape[0])):
            open_pixels += [(r, c) for c in range(max(column - 1, 0), min(column + 2, where.shape[1]))]
    return found


def test_equals_a_search_pixel_by_pixel():
    draw = torch.Generator().manual_seed(0)
    where, scores = torch.rand(20, 27, generator=draw) < 0.3, torch.rand(20, 27, generator=draw)
    left = {tuple(pixel) for pixel in where.nonzero().tolist()}
    expected = []
    while left:
        region = region_of(where, min(left))
        left -= region
        expected.append(region)
    found = find_regions(where, scores, 3)
    expected = [region for region in expected if len(region) >= 3]
    assert len(found.masks) == len(expected) > 3
    for mask, box, point, region in zip(*found, expected, strict=True):
        assert {tuple(pixel) for pixel in mask.nonzero().tolist()} == region
        rows, columns = zip(*region, strict=True)
        assert box.tolist() == [min(columns), min(rows), max(columns), max(rows)]
        best = max(region, key=lambda pixel: float(scores[pixel]))
        assert point.tolist() == [best[1], best[0]]


def test_the_first_of_equal_scores_and_of_negative_ones_is_the_point():
    where = torch.zeros(4, 5, dtype=torch.bool)
    where[1:3, 2:4] = True
    assert find_regions(where, torch.zeros(4, 5), 1).points.tolist() == [[2, 1]]
    assert find_regions(where, torch.full((4, 5), -1.0), 1).points.tolist() == [[2, 1]]


def test_no_region():
    found = find_regions(torch.zeros(4, 5, dtype=torch.bool), torch.zeros(4, 5), 1)
    assert [len(part) for part in found] == [0, 0, 0]
    assert len(find_regions(torch.ones(4, 5, dtype=torch.bool), torch.zeros(4, 5), 21).masks) == 0
