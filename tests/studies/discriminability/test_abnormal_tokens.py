"""Hoyer statistics, and similarities by brute force over all pairs."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.tokens import hoyer
from mmseg_tfovss.studies.discriminability.abnormal_tokens import (
    BINS,
    MAP_SIDE,
    sum_hoyer,
    sum_similarity,
    summarise_similarity,
)

LAYERS, PATCHES, WIDTH, TAU = 3, 10, 16, 0.5


@pytest.fixture
def images():
    """Three images with 3, 1 and 0 abnormal tokens behind the last layer."""
    draw = torch.Generator().manual_seed(0)
    found = torch.randn(3, LAYERS, PATCHES, WIDTH, generator=draw)
    for image, count in zip(found, (3, 1, 0), strict=True):
        image[-1, :count, 5] += 50
    return found


def summed(images):
    parts = [{**sum_hoyer(image, (2, 5), TAU), **sum_similarity(image, TAU)} for image in images]
    return {name: sum(part[name].double() for part in parts) for name in parts[0]}


def mean(values):
    return sum(values) / len(values)


def cosine(a, b):
    return F.cosine_similarity(a.double(), b.double(), dim=0).item()


@pytest.mark.parametrize("kind", ["abnormal", "normal"])
def test_similarities_are_those_of_all_pairs(images, kind):
    chosen = []
    for image in images:
        is_abnormal = hoyer(image[-1]) > TAU
        chosen.append(image[:, is_abnormal if kind == "abnormal" else ~is_abnormal])
    assert [part.shape[1] for part in chosen] == ([3, 1, 0] if kind == "abnormal" else [7, 9, 10])
    found = summarise_similarity(summed(images))[kind]
    behind = [part[-1] for part in chosen]
    positions = [mean([cosine(a, b) for a, b in combinations(part, 2)]) for part in behind if len(part) > 1]
    across = [cosine(a, b) for one, two in combinations(behind, 2) for a in one for b in two]
    assert found["tokens"] == sum(map(len, behind))
    assert found["share"] == pytest.approx(found["tokens"] / 30)
    assert found["across_positions"] == pytest.approx(mean(positions), abs=1e-5)
    assert found["across_images"] == pytest.approx(mean(across), abs=1e-5)
    tokens = torch.cat(chosen, dim=1)
    layers = [[mean([cosine(a, b) for a, b in zip(x, y, strict=True)]) for y in tokens] for x in tokens]
    torch.testing.assert_close(torch.tensor(found["across_layers"]), torch.tensor(layers), rtol=0, atol=1e-5)
    profile = tokens[-1].abs().sort(dim=1, descending=True).values.mean(dim=0)
    torch.testing.assert_close(torch.tensor(found["sorted_activation"]), profile, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.tensor(found["mean_activation"]), tokens[-1].abs().mean(dim=0))


def test_the_planted_channel_and_direction_are_found(images):
    found = summarise_similarity(summed(images))
    assert found["abnormal"]["top_channels"][0][0] == 5
    assert found["abnormal"]["top_channels"][0][1] > 40
    assert found["abnormal"]["across_images"] > 0.98
    pairs = [
        [cosine(a, b) for a in image[-1][is_abnormal] for b in image[-1][~is_abnormal]]
        for image, is_abnormal in ((image, hoyer(image[-1]) > TAU) for image in images[:2])
    ]
    assert found["abnormal_to_normal"] == pytest.approx(mean([mean(part) for part in pairs]), abs=1e-5)


def test_without_abnormal_tokens_nothing_is_compared(images):
    found = summarise_similarity(summed(images[2:]))
    assert found["abnormal"] == {
        "tokens": 0,
        "share": 0.0,
        "across_positions": None,
        "across_images": None,
        "across_layers": None,
        "mean_activation": None,
        "sorted_activation": None,
        "top_channels": None,
    }
    assert found["abnormal_to_normal"] is None
    assert found["normal"]["across_images"] is None  # there is one image


def test_hoyer_statistics(images):
    image = images[0]
    scores = hoyer(image)
    found = sum_hoyer(image, (2, 5), TAU)
    torch.testing.assert_close(found["hoyer"], scores.double().sum(dim=1))
    assert found["hoyer_above"].tolist() == (scores > TAU).sum(dim=1).tolist()
    for layer in range(LAYERS):
        counts = torch.histc(scores[layer], BINS, 0, 1)
        assert found["hoyer_histogram"][layer].tolist() == counts.tolist()
    assert found["hoyer_map"].shape == (LAYERS, MAP_SIDE, MAP_SIDE)
    torch.testing.assert_close(found["hoyer_map"][:, 0, 0], scores[:, 0])
    torch.testing.assert_close(found["hoyer_map"][:, -1, -1], scores[:, -1])
    one_hot = sum_hoyer(F.one_hot(torch.zeros(1, 4, dtype=torch.long), 8).float(), (2, 2), TAU)
    assert one_hot["hoyer_histogram"][0, -1] == 4  # a score of 1 is in the last bin
