"""Patch graphs: attention against its formula, resampling on both axes, and the costs made of a graph."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.graph import (
    COSTS,
    DISTANCES,
    GraphMean,
    fiedler_vector,
    mean_attention,
    resample_graph,
    transport_cost,
    without_self_attention,
)


def projections(batch=2, heads=3, tokens=7, channels=5):
    draw = torch.Generator().manual_seed(0)
    return tuple(torch.randn(batch, heads, tokens, channels, generator=draw) for _ in range(2))


def random_graph(batch, size, seed=0):
    count = size[0] * size[1]
    return torch.rand(batch, count, count, generator=torch.Generator().manual_seed(seed)).softmax(dim=-1)


def assert_rows_sum_to_one(graph):
    torch.testing.assert_close(graph.sum(dim=-1), torch.ones(graph.shape[:-1]))


# -- attention ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [0, 1, 4])
def test_mean_attention_is_its_formula(skip):
    query, key = projections()
    expected = torch.zeros(2, 7 - skip, 7 - skip)
    for image in range(2):
        for head in range(3):
            for row in range(7 - skip):
                weights = [torch.exp(query[image, head, skip + row] @ k / 5**0.5) for k in key[image, head, skip:]]
                expected[image, row] += torch.stack(weights) / sum(weights) / 3
    found = mean_attention(query, key, skip)
    torch.testing.assert_close(found, expected)
    assert_rows_sum_to_one(found)


def test_skipped_tokens_change_nothing():
    query, key = projections()
    others = [torch.cat([100 + torch.zeros(2, 3, 2, 5), part], dim=2) for part in (query, key)]
    torch.testing.assert_close(mean_attention(*others, skip=2), mean_attention(query, key))


def test_half_precision_comes_out_as_float32_and_sums_to_one():
    found = mean_attention(*(part.half() for part in projections()))
    assert found.dtype == torch.float32
    assert_rows_sum_to_one(found)


# -- resampling -----------------------------------------------------------------------------------------------------


def brute_force(graph, source, target):
    """Every row as an image, then every column as one; rows divided by their sums."""
    count = target[0] * target[1]

    def resize(maps):
        images = maps.unflatten(-1, source)
        return F.interpolate(images, size=target, mode="bilinear", align_corners=False, antialias=True).flatten(2)

    keys = resize(graph)  # (B, n, N)
    queries = resize(keys.transpose(1, 2)).transpose(1, 2)
    assert queries.shape == (len(graph), count, count)
    return queries / queries.sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("target", [(4, 6), (8, 12), (3, 5), (2, 2), (7, 3), (1, 1)])
def test_resampling_is_that_of_images_along_both_axes(target):
    graph = random_graph(2, (4, 6))
    found = resample_graph(graph, (4, 6), target)
    torch.testing.assert_close(found, brute_force(graph, (4, 6), target), atol=1e-6, rtol=1e-4)
    assert_rows_sum_to_one(found)


def test_the_same_grid_is_left_as_it_is():
    graph = random_graph(1, (3, 4))
    torch.testing.assert_close(resample_graph(graph, (3, 4), (3, 4)), graph)


def test_rows_are_normalised_also_on_the_same_grid_and_empty_ones_stay_empty():
    graph = 5 * random_graph(1, (2, 2))
    graph[0, 1] = 0
    found = resample_graph(graph, (2, 2), (2, 2))
    torch.testing.assert_close(found.sum(dim=-1), torch.tensor([[1.0, 0, 1, 1]]))


@pytest.mark.parametrize("target", [(4, 4), (8, 8), (6, 10), (2, 2)])
def test_two_regions_stay_two_regions(target):
    """Patches of the left half see each other, and so do those of the right half; at a distance, nobody else."""

    def halves(size):
        return (torch.arange(size[0] * size[1]) % size[1]) >= size[1] // 2

    source = (4, 4)
    side = halves(source)
    planted = (side[:, None] == side[None]).float()[None]
    found = resample_graph(planted / planted.sum(dim=-1, keepdim=True), source, target)[0]
    side = halves(target)
    within = found[side][:, side].sum(dim=1)
    across = found[side][:, ~side].sum(dim=1)
    assert bool((within > across).all())
    last_column = torch.arange(len(side)) % target[1] == target[1] - 1
    torch.testing.assert_close(found[last_column][:, side].sum(dim=1), torch.ones(target[0]), atol=0.25, rtol=0)


def test_columns_of_a_non_square_grid_are_not_mistaken_for_rows():
    """Each patch sees its own row only: so it does on a finer grid, and the rows stay uniform inside."""
    source, target = (2, 3), (2, 6)
    row = torch.arange(6) // 3
    planted = (row[:, None] == row[None]).float()[None] / 3
    finer = torch.arange(12) // 6
    expected = (finer[:, None] == finer[None]).float()[None] / 6
    torch.testing.assert_close(resample_graph(planted, source, target), expected)


# -- mean -----------------------------------------------------------------------------------------------------------


def test_layers_on_different_grids_are_averaged_on_one():
    mean = GraphMean((3, 3))
    first, second = random_graph(2, (3, 3)), random_graph(2, (6, 4), seed=1)
    mean.add(first, (3, 3))
    mean.add(second, (6, 4))
    found = mean.result()
    torch.testing.assert_close(found, (first + resample_graph(second, (6, 4), (3, 3))) / 2)
    assert_rows_sum_to_one(found)
    assert mean.count == 2


def test_what_is_added_is_not_written_to():
    mean, graph = GraphMean((2, 2)), random_graph(1, (2, 2))
    before = graph.clone()
    mean.add(graph, (2, 2))
    mean.add(graph, (2, 2))
    assert torch.equal(graph, before)
    torch.testing.assert_close(mean.result(), before)


def test_a_batch_is_its_images_one_by_one():
    graph = random_graph(3, (4, 5))
    singles = torch.cat([resample_graph(one[None], (4, 5), (3, 2)) for one in graph])
    torch.testing.assert_close(resample_graph(graph, (4, 5), (3, 2)), singles)


def test_without_a_layer_there_is_no_graph():
    with pytest.raises(ValueError, match=r"^No attention map was taken: choose at least one layer"):
        GraphMean((2, 2)).result()


# -- costs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COSTS)
def test_costs_lie_between_0_and_1_and_the_graph_is_not_written_to(kind):
    graph = random_graph(2, (3, 3))
    before = graph.clone()
    cost = transport_cost(graph, kind)
    assert torch.equal(graph, before)
    assert float(cost.min()) >= 0
    assert float(cost.max()) <= 1
    near, far = (before[0].flatten().argsort()[[-1, 0]]).tolist()
    dear, cheap = (far, near) if kind in DISTANCES else (near, far)
    assert cost[0].flatten()[dear] == cost[0].max()
    assert cost[0].flatten()[cheap] == cost[0].min()


def test_costs_of_a_graph_with_zeros():
    graph = torch.tensor([[0.5, 0.0], [0.25, 0.5]])
    assert transport_cost(graph, "raw").tolist() == graph.tolist()
    assert transport_cost(graph, "attention").tolist() == [[1, 0], [0.5, 1]]
    assert transport_cost(graph, "one_minus").tolist() == [[0, 1], [0.5, 0]]
    found = transport_cost(graph, "neg_log")
    assert found[0].tolist() == [0, 1]
    assert float(found[1, 0]) == pytest.approx(0.6931 / 13.8155, abs=1e-4)  # log 2 / log 10^6


def test_an_unknown_cost_is_refused():
    with pytest.raises(
        ValueError, match=r"^cost must be one of \['neg_log', 'one_minus', 'attention', 'raw'\], but got 'log'"
    ):
        transport_cost(random_graph(1, (2, 2)), "log")


def test_the_largest_other_affinity_takes_the_place_of_self_attention():
    graph = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.3, 0.6], [0.2, 0.3, 0.5]])
    found = without_self_attention(graph)
    assert found.tolist() == torch.tensor([[0.15, 0.15, 0.05], [0.1, 0.6, 0.6], [0.2, 0.3, 0.3]]).tolist()
    assert torch.equal(without_self_attention(graph[None])[0], found)
    assert without_self_attention(torch.ones(1, 1)).tolist() == [[1.0]]


def test_the_fiedler_vector_parts_two_regions():
    graph = torch.full((2, 5, 5), 0.01, dtype=torch.float64)
    for image, first in enumerate((2, 3)):
        graph[image, :first, :first] = graph[image, first:, first:] = 1.0
    vector = fiedler_vector(graph)
    positive = (vector > vector.mean(dim=1, keepdim=True)).tolist()
    assert positive == [[True, True, False, False, False], [False, False, False, True, True]]  # the smaller one


def test_the_fiedler_vector_solves_the_normalised_cut():
    graph = random_graph(2, (2, 4)).double()
    weights = (graph + graph.transpose(1, 2)) / 2
    degree = weights.sum(dim=-1)
    vector = fiedler_vector(graph)
    left = degree * vector - (weights @ vector[..., None])[..., 0]
    value = (vector * left).sum(dim=1) / (vector * degree * vector).sum(dim=1)  # lambda, by Rayleigh
    torch.testing.assert_close(left, value[:, None] * degree * vector)
    laplacian = torch.eye(8) - weights / (degree[:, :, None] * degree[:, None]).sqrt()
    torch.testing.assert_close(value, torch.linalg.eigvalsh(laplacian)[:, 1])
    torch.testing.assert_close((vector * degree).sum(dim=1), torch.zeros(2, dtype=torch.float64))
    assert (vector.gather(1, vector.abs().argmax(dim=1, keepdim=True)) > 0).all()
