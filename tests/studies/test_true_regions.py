"""True regions: what hangs together, and its majority."""

import torch

from mmseg_tfovss.studies.true_regions import label_true_regions


def test_regions_hang_together_and_take_their_majority():
    truth = torch.tensor([[0, 0, 1], [1, 1, 0], [1, 1, 0]])
    labels = torch.tensor([[5, 5, 7], [2, 2, 4], [3, 3, 9]], dtype=torch.uint8)
    found = label_true_regions(labels, truth)
    # The two patches to the right are a region of class 0 of their own; so is the corner of class 1. 2 and 3 tie.
    assert found.tolist() == [[5, 5, 7], [2, 2, 4], [2, 2, 4]]
