"""Planted logits and graphs: as good as asked for, the same for a seed, and with something to gain."""

from itertools import islice

import pytest
import torch

from mmseg_tfovss.pocket.scenes import draw_validation
from mmseg_tfovss.studies.headroom.cells import find_truth
from mmseg_tfovss.studies.headroom.planted import (
    CLOSE,
    PLANTABLE,
    PlantedAttention,
    PlantedLogits,
    graph_auc,
    plant_graph,
    plant_logits,
)

SIDE, CLASSES = 16, 14


@pytest.fixture(scope="module")
def truths():
    return [find_truth(scene, SIDE) for scene in islice(draw_validation(), 2)]


@pytest.mark.parametrize("auc", [PLANTABLE[0], 0.86, 0.96, PLANTABLE[1]])
def test_a_planted_graph_has_the_auc_that_was_asked_for(truths, auc):
    for seed, (number, truth) in enumerate(enumerate(truths), start=5):
        found = plant_graph(truth, SIDE, CLASSES, seed, number, auc)
        assert found.auc == pytest.approx(auc, abs=CLOSE)
        assert graph_auc(found.graph, truth) == found.auc


def test_auc_of_a_graph_by_hand():
    truth = torch.tensor([0, 0, 1])
    best = torch.tensor([[0.0, 1.0, 0.2], [0.9, 0.0, 0.1], [0.3, 0.3, 0.0]])
    assert graph_auc(best, truth) == 1
    assert graph_auc(-best, truth) == 0
    assert graph_auc(torch.ones(3, 3), truth) == 0.5
    mixed = torch.tensor([[0.0, 0.25, 0.2], [0.9, 0.0, 0.1], [0.3, 0.3, 0.0]])
    assert graph_auc(mixed, truth) == 6 / 8


def test_a_planted_graph_is_attention(truths):
    graph = plant_graph(truths[0], SIDE, CLASSES, 0, 0, 0.86).graph
    torch.testing.assert_close(graph.sum(dim=1), torch.ones(SIDE**2))
    assert bool((graph > 0).all())
    assert torch.equal(graph.argmax(dim=1), torch.arange(SIDE**2))  # a patch attends to itself the most
    rows = graph.masked_fill(torch.eye(SIDE**2, dtype=torch.bool), 0).sort(dim=1, descending=True).values
    assert float(rows[:, :26].sum(dim=1).mean()) > 3 * 26 / 255  # a tenth of the others has a third of it
    near = graph.diagonal(offset=1).mean()
    assert near > 2 * graph.diagonal(offset=SIDE // 2).mean()


def test_a_better_graph_has_less_of_the_same_noise(truths):
    levels = [plant_graph(truths[1], SIDE, CLASSES, 0, 1, auc).level for auc in (0.75, 0.86, 0.96)]
    assert levels == sorted(levels, reverse=True)


def test_what_cannot_be_planted_is_one_sentence(truths):
    scene = r"can be planted in scene 0 with the seed 0, where noise gives 0\.\d+ to 0\.\d+: choose"
    for auc in (0.4, 1.0):
        with pytest.raises(ValueError, match=rf"No graph of AUC {auc:g} {scene}"):
            plant_graph(truths[0], SIDE, CLASSES, 0, 0, auc, PlantedAttention(sharpness=2))


def test_seeds_and_scenes_decide_all_draws(truths):
    like, truth = PlantedLogits(), truths[0]
    logits = plant_logits(truth, SIDE, CLASSES, 3, 0, like)
    assert torch.equal(logits, plant_logits(truth, SIDE, CLASSES, 3, 0, like))
    assert not torch.equal(logits, plant_logits(truth, SIDE, CLASSES, 4, 0, like))
    other = plant_logits(truth, SIDE, CLASSES, 3, 1, like)
    assert not torch.equal(logits, other)
    graph = plant_graph(truth, SIDE, CLASSES, 3, 0, 0.9).graph
    assert torch.equal(graph, plant_graph(truth, SIDE, CLASSES, 3, 0, 0.9).graph)
    assert not torch.equal(graph, plant_graph(truth, SIDE, CLASSES, 4, 0, 0.9).graph)


def test_logits_are_what_they_are_said_to_be(truths):
    like = PlantedLogits(noise=0.01, signal=0.5, base=0.1, bias=0)
    for number, truth in enumerate(truths):
        logits = plant_logits(truth, SIDE, CLASSES, 0, number, like)
        assert torch.equal(logits.argmax(dim=1), truth)
        own = logits.gather(1, truth[:, None])
        assert float(own.mean()) == pytest.approx(0.6, abs=0.005)
        noise = logits - like.base - like.signal * torch.nn.functional.one_hot(truth, CLASSES)
        assert float(noise.std()) == pytest.approx(0.01, rel=0.1)
        grid = noise.unflatten(0, (SIDE, SIDE))
        neighbours = torch.corrcoef(torch.stack([grid[1:].flatten(), grid[:-1].flatten()]))[0, 1]
        assert 0.2 < float(neighbours) < 0.6  # they err together, but not all
    biased = PlantedLogits(noise=1e-6, bias=0.1)
    one, other = (plant_logits(truth, SIDE, CLASSES, 0, n, biased) for n, truth in enumerate(truths[:2]))
    wrong = next(c for c in range(CLASSES) if c not in {*truths[0].tolist(), *truths[1].tolist()})
    assert float(one[0, wrong]) == pytest.approx(float(other[0, wrong]), abs=1e-4)  # the bias is that of all images
