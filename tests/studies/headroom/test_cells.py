"""Labels on patches, and on finer cells that scores are upsampled to."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.jbu import joint_bilateral_upsample
from mmseg_tfovss.pocket.scenes import draw_validation
from mmseg_tfovss.studies.headroom.cells import Cells, find_truth, make_cells


@pytest.fixture(scope="module")
def scene():
    return next(draw_validation())


def test_the_truth_is_the_majority_of_pixels(scene):
    for side in (16, 64):
        truth = find_truth(scene, side).unflatten(0, (side, side))
        pixels = 256 // side
        for row, column in ((0, 0), (3, 7), (side - 1, side // 2)):
            part = scene.labels[row * pixels : (row + 1) * pixels, column * pixels : (column + 1) * pixels]
            counts = torch.from_numpy(part.astype(int)).flatten().bincount()
            assert counts[truth[row, column]] == counts.max()


def test_without_upsampling_cells_are_patches(scene):
    cells = make_cells(scene, "none")
    assert (cells.side, cells.matrix) == (16, None)
    assert torch.equal(cells.truth, find_truth(scene, 16))
    scores = torch.tensor([[0.1, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert Cells(1, torch.zeros(2), None).labels(scores, torch.tensor([4, 6, 9])).tolist() == [6, 4]


@pytest.mark.parametrize("upsampling", ["bilinear", "jbu"])
def test_upsampled_labels_are_those_of_upsampled_scores(scene, upsampling):
    cells = make_cells(scene, upsampling)
    assert (cells.side, tuple(cells.matrix.shape)) == (64, (64 * 64, 16 * 16))
    torch.testing.assert_close(cells.matrix.sum(dim=1), torch.ones(64 * 64))
    scores = torch.rand(256, 5, generator=torch.Generator().manual_seed(0))
    maps = scores.T.unflatten(1, (16, 16))[None]
    if upsampling == "jbu":
        image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].float() / 255
        fine = joint_bilateral_upsample(maps, F.avg_pool2d(image, 4))
    else:
        fine = F.interpolate(maps, size=(64, 64), mode="bilinear", align_corners=False)
    expected = fine[0].flatten(1).T
    torch.testing.assert_close(cells.matrix @ scores, expected, atol=1e-5, rtol=1e-4)
    classes = torch.tensor([3, 1, 0, 7, 2])
    same = cells.labels(scores, classes) == classes[expected.argmax(dim=1)]
    assert float(same.float().mean()) > 0.999  # a tie may fall to either side
