"""Label propagation: both graphs against loops over all pairs, and the solution against a direct solve."""

import math

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops import propagation
from mmseg_tfovss.ops.propagation import (
    colour_graph,
    nearest_by_inner_product,
    neighbour_graph,
    propagate,
    propagate_over_pixels,
)


@pytest.fixture
def nodes():
    """Unit vectors (30, 5), some of them opposite, and their places (30, 2)."""
    draw = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(30, 5, generator=draw), dim=1)
    return features, torch.randint(0, 100, (30, 2), generator=draw).float()


@pytest.fixture
def colours():
    return torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(1))


def normalised(weights):
    """S of a matrix W, by its definition."""
    degrees = weights.sum(dim=1)
    scale = torch.tensor([1 / math.sqrt(degree) if degree > 0 else 1.0 for degree in degrees.tolist()])
    return scale[:, None] * weights * scale


def neighbours_by_loops(features, places, count, gamma, sigma, power):
    size = len(features)
    weights = torch.zeros(size, size)
    for i in range(size):
        ranked = sorted(range(size), key=lambda j: -float(features[i] @ features[j]))
        for j in ranked[:count]:
            weight = max(float(features[i] @ features[j]), 0.0) ** gamma
            weight *= math.exp(-sigma * math.dist(places[i].tolist(), places[j].tolist()) ** power)
            weights[i, j] += weight
            weights[j, i] += weight
    return normalised(weights.fill_diagonal_(0))


def colours_by_loops(colours, radius, tau):
    height, width = colours.shape[1:]
    weights = torch.zeros(height, width, height, width)
    for y in range(height):
        for x in range(width):
            for v in range(max(0, y - radius), min(height, y + radius + 1)):
                for u in range(max(0, x - radius), min(width, x + radius + 1)):
                    weights[y, x, v, u] = math.exp(
                        -math.dist(colours[:, y, x].tolist(), colours[:, v, u].tolist()) / tau
                    )
    return normalised(weights.view(height * width, -1).fill_diagonal_(0))


# -- neighbours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", [1, 100, 1 << 20])
def test_neighbours_are_exact_however_many_rows_are_taken_at_a_time(elements, nodes, monkeypatch):
    monkeypatch.setattr(propagation, "_ELEMENTS", elements)
    features, _ = nodes
    similarity, index = nearest_by_inner_product(features, 4)
    expected = (features @ features.T).sort(dim=1, descending=True)
    assert torch.equal(index, expected.indices[:, :4])
    torch.testing.assert_close(similarity, expected.values[:, :4])
    assert torch.equal(index[:, 0], torch.arange(30))


def test_all_are_neighbours_where_there_are_fewer(nodes):
    assert nearest_by_inner_product(nodes[0][:3], 400)[1].shape == (3, 3)


@pytest.mark.parametrize("count", [2, 6, 100])
@pytest.mark.parametrize(("gamma", "sigma", "power"), [(3.0, 0.01, 1.0), (1.0, 0.0, 1.0), (1.5, 0.001, 2.0)])
def test_the_graph_of_neighbours_equals_loops(count, gamma, sigma, power, nodes):
    found = neighbour_graph(*nodes, neighbours=count, gamma=gamma, sigma=sigma, power=power)
    assert found.layout == torch.sparse_csr
    assert found.dtype == torch.float64
    expected = neighbours_by_loops(*nodes, count, gamma, sigma, power)
    torch.testing.assert_close(found.to_dense().float(), expected, atol=1e-6, rtol=0)


def test_a_node_without_neighbours_keeps_its_scores():
    """Opposite to all others, so that the graph falls apart."""
    features = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.0], [1.0, -0.1], [-1.0, 0.0]]), dim=1)
    graph = neighbour_graph(features, torch.zeros(4, 2), neighbours=4, gamma=3.0, sigma=0.0)
    assert (graph.to_dense()[3] == 0).all()
    scores = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    solved = propagate(graph, scores, alpha=0.9, steps=20, tolerance=0.0)
    torch.testing.assert_close(solved[3], scores[3].double(), atol=1e-12, rtol=0)
    assert (solved[:3] - scores[:3]).abs().max() > 0.1


def test_one_node_is_a_graph():
    graph = neighbour_graph(torch.ones(1, 1), torch.zeros(1, 2), neighbours=400, gamma=3.0, sigma=0.01)
    assert propagate(graph, torch.tensor([[2.0]]), alpha=0.9, steps=3, tolerance=0.0).tolist() == [[2.0]]


# -- pixels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", [1, 1 << 20])
@pytest.mark.parametrize("radius", [1, 2, 8])
def test_the_graph_of_colours_equals_loops(radius, elements, colours, monkeypatch):
    """Where the image is smaller than a pixel's surroundings, too."""
    monkeypatch.setattr(propagation, "_ELEMENTS", elements)
    found = colour_graph(colours, radius=radius, tau=0.2).to_dense().float()
    side = (7 + 2 * radius, 9 + 2 * radius)
    found = found.view(*side, *side)
    rows, columns = slice(radius, 7 + radius), slice(radius, 9 + radius)
    inside = found[rows, columns, rows, columns]
    torch.testing.assert_close(inside.reshape(63, 63), colours_by_loops(colours, radius, 0.2), atol=1e-6, rtol=0)
    assert found.sum() == pytest.approx(float(inside.sum()))


def test_the_graph_of_colours_is_symmetric(colours):
    found = colour_graph(colours, radius=2, tau=0.05).to_dense()
    torch.testing.assert_close(found, found.T, atol=1e-7, rtol=0)


# -- solutions --------------------------------------------------------------------------------------------------------


def test_many_steps_are_the_exact_solution(nodes):
    graph = neighbour_graph(*nodes, neighbours=6, gamma=3.0, sigma=0.01)
    scores = torch.randn(30, 4, generator=torch.Generator().manual_seed(2))
    found = propagate(graph, scores, alpha=0.95, steps=60, tolerance=1e-10)
    expected = torch.linalg.solve(torch.eye(30) - 0.95 * graph.to_dense(), scores.double())
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=0)


def test_no_spreading_leaves_scores_as_they_are(nodes):
    graph = neighbour_graph(*nodes, neighbours=6, gamma=3.0, sigma=0.01)
    scores = torch.randn(30, 4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(propagate(graph, scores, alpha=0.0, steps=10, tolerance=1e-6), scores.double())


@pytest.mark.parametrize("radius", [1, 3])
def test_over_pixels_many_steps_are_the_exact_solution(radius, colours):
    maps = torch.randn(2, 7, 9, generator=torch.Generator().manual_seed(3))
    graph = colour_graph(colours, radius=radius, tau=0.2)
    found = propagate_over_pixels(graph, maps, radius=radius, alpha=0.9, steps=80, tolerance=1e-10)
    matrix = torch.eye(63) - 0.9 * colours_by_loops(colours, radius, 0.2)
    expected = torch.linalg.solve(matrix.double(), maps.double().flatten(1).T).T.view(2, 7, 9)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_scores_stop_at_edges():
    """Of two halves of different colours, only the one with a score gets any."""
    colours = torch.zeros(3, 6, 8)
    colours[:, :, 4:] = 1
    maps = torch.zeros(1, 6, 8)
    maps[0, 2, 1] = 1
    graph = colour_graph(colours, radius=2, tau=0.01)
    found = propagate_over_pixels(graph, maps, radius=2, alpha=0.95, steps=10, tolerance=1e-6)[0]
    assert found[:, :4].min() > 0.01
    assert found[:, 4:].abs().max() < 1e-12


def test_many_columns_are_solved_some_at_a_time(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(12, 5, generator=draw), dim=1)
    places, scores = torch.rand(12, 2, generator=draw), torch.rand(12, 7, generator=draw)
    graph = propagation.neighbour_graph(features, places, neighbours=4, gamma=3, sigma=0.01)
    settings = {"alpha": 0.9, "steps": 5, "tolerance": 1e-6}
    together = propagation.propagate(graph, scores, **settings)
    monkeypatch.setattr(propagation, "_ELEMENTS", 2 * 12)
    torch.testing.assert_close(propagation.propagate(graph, scores, **settings), together)
