"""Attention within the ground truth, by hand."""

import torch

from mmseg_tfovss.ops.oracle import keep_within_labels


def test_patches_attend_within_their_label_and_the_class_token_to_all():
    scores = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = keep_within_labels(scores, torch.tensor([[7, 3, 7], [255, 255, 255]]))
    allowed = torch.tensor(
        [
            [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]],
            [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]],
        ]
    ).bool()
    assert torch.equal(found[allowed], scores[allowed])
    assert bool((found[~allowed] == -torch.inf).all())
