"""Classes of maps: resized, softmax over words, the best word of a class, and what is not sure is class 0."""

import torch

from mmseg_tfovss.profiling.official.whole_image import choose_classes
from tests.profiling.official.conftest import square_side


def test_synonyms_and_thresholds():
    maps = torch.tensor([[[0.0, 0.2]], [[0.5, 0.3]], [[0.4, 0.1]]])  # (Q, 1, 2)
    sure = choose_classes(maps, (2, 4), square_side((0, 1, 1)), scale=100)
    assert sure.tolist() == [[1, 1, 1, 1]] * 2
    assert choose_classes(maps, (1, 2), square_side(), scale=100).tolist() == [[1, 1]]
    unsure = square_side(prob_threshold=0.5)
    assert choose_classes(maps, (1, 2), unsure, scale=1).tolist() == [[0, 0]]
