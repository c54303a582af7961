"""DSLO: every step of the pipeline against its formula, any base, and what the graph adds."""

import numpy as np
import ot
import pytest
import torch
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_tfovss.methods.dslo import GRAPH
from mmseg_tfovss.methods.region_voting import RegionVoting
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.methods.stages import LOGITS, Assembly, Refined, Scene
from mmseg_tfovss.ops.canvas import PatchCanvas
from mmseg_tfovss.ops.graph import transport_cost
from mmseg_tfovss.ops.jbu import joint_bilateral_upsample
from mmseg_tfovss.ops.windows import interpolation_matrix
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.solvers import iterative_proportional_fitting
from tests.methods import reference

GRID = (2, 3)
LABEL_ONLY = {"mode": "logits", "upsampling": "bilinear"}


@MODELS.register_module()
class ColourGraph(nn.Module):
    """Patches of like colour are neighbours: a graph that needs no network."""

    def __init__(self, sharpness: float = 0.5) -> None:
        super().__init__()
        self.sharpness, self.seen = sharpness, []

    def graph(self, images, grid):
        self.seen.append(images)
        cells = nn.functional.adaptive_avg_pool2d(images, grid).flatten(2).transpose(1, 2)  # (B, N, 3)
        return (-self.sharpness * torch.cdist(cells, cells)).softmax(dim=-1)


def build(build_method, mode="max_velocity", graph="ColourGraph", **options):
    options = {"theta": 0.3, "nms_scale": 40, **options}
    graph = {"type": graph} if graph else None
    return build_method("DSLO", test_cfg={"mode": "whole"}, mode=mode, graph=graph, **options)


def images(*sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


def labels_of(model, inputs, targets=None):
    samples = [
        SegDataSample(metainfo={"ori_shape": target, "img_path": "x"})
        for target in (targets or [image.shape[-2:] for image in inputs])
    ]
    return [sample.pred_sem_seg.data[0] for sample in model.predict(inputs, samples)]


def assembled(model, image, size=None):
    """The assembly of an image (3, H, W), which keeps its size if no other is given."""
    return model.inference([image], [{"ori_shape": size or image.shape[-2:]}])[0]


def logits_and_graph(model, assembly):
    """What is solved for: the base's refined logits (Q, h, w) and the graph (N, N), or None."""
    scene = assembly.scene
    refined = model.base.refine(scene, assembly.canvases).logits
    return refined.on_grid(model.backbone.grid(scene.image)), scene.seen.get(GRAPH)


@pytest.mark.parametrize("attention", ["key", "query", "original"])
def test_the_default_base_is_self_attention_of_the_last_block(attention, build_method, mini_state):
    tokens = reference.random_tokens(2, GRID)
    weights = reference.last_block_weights(mini_state)
    query, key, value = reference.qkv(weights, tokens)
    if attention == "original":
        expected = tokens + reference.merge(weights, reference.attend(query, key, value))
        expected = expected + reference.feed_forward(weights, expected)
    else:
        own = key if attention == "key" else query
        expected = reference.merge(weights, reference.attend(own, own, value))
    found = reference.run_last_block(build(build_method, attention=attention).base, tokens, GRID)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("base", ["SCLIP", "SCCLIP", "NACLIP", "CLIPtrase", "RFCLIP"])
def test_any_method_gives_the_logits_and_shares_its_networks(base, build_method):
    inputs = torch.stack(images((32, 48), (32, 48)))
    options = {"channels": (4, 34, 61), "sigma": 1.6} if base == "RFCLIP" else {}  # the mini CLIP's
    alone = build_method(base, test_cfg={"mode": "whole"}, **options)
    base = {"type": base, **({"voting": "mean_logits"} if base == "CLIPtrase" else options)}
    alone.prepare()
    model = build(build_method, base=base)
    model.prepare()
    with torch.inference_mode():
        expected = alone.patch_logits(inputs) / alone.logit_factor
        torch.testing.assert_close(model.patch_logits(inputs), expected)
    assert model.base.backbone is model.backbone
    assert model.base.decode_head is model.decode_head
    assert model.base.data_preprocessor is model.data_preprocessor
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == sum(parameter.numel() for parameter in alone.parameters())


def test_options_of_the_base_are_taken(build_method):
    model = build(build_method, base={"type": "NACLIP", "sigma": 0.8, "pamr_steps": 0}, precision="bf16")
    assert model.base.sigma == 0.8
    assert model.backbone.blocks[0].c_fc.weight.dtype == torch.bfloat16


def test_the_graph_sees_the_image_in_grey_levels(build_method):
    model = build(build_method)
    raw = torch.randint(0, 256, (1, 3, 32, 32)).float()
    model.predict((raw - model.data_preprocessor.mean) / model.data_preprocessor.std)
    torch.testing.assert_close(model.graph.seen[0], raw, atol=1e-3, rtol=0)


def mass_by_loop(logits, classes, theta, nms_scale, mass_scale):
    """NMS and normalisation for logits (Q, N), number by number."""
    logits = logits.double().numpy()
    mass = np.zeros_like(logits)
    for i in range(logits.shape[1]):
        weights = np.exp(nms_scale * (logits[:, i] - logits[:, i].max()))
        weights /= weights.sum()
        for q in range(len(logits)):
            same = [p for p in range(len(logits)) if classes[p] == classes[q]]
            mass[q, i] = np.exp(mass_scale * logits[q, i]) * (weights[same].sum() >= theta)
    totals = mass.sum(1, keepdims=True)
    return np.divide(mass, totals, out=np.zeros_like(mass), where=totals > 0)


@pytest.mark.parametrize("mode", ["optimal_path", "max_velocity", "kl"])
def test_the_discrepancy_equals_the_formulas(mode, build_method):
    """NMS, normalisation, early rejection, and POT or a Markov chain, written out."""
    model = build(build_method, mode, iterations=500, max_steps=30)
    with torch.inference_mode():
        logits, graph = logits_and_graph(model, assembled(model, images((40, 24))[0]))
        scores, queries = model.distribution(logits, graph)
    count, patches = model.decode_head.out_channels, 15
    assert logits.shape == (count, 5, 3)
    assert graph is None if mode == "kl" else graph.shape == (patches, patches)
    mass = mass_by_loop(logits.flatten(1), model.decode_head.query_class.tolist(), 0.3, 40, 20)
    heaviest = sorted({int(mass[:, i].argmax()) for i in range(patches) if mass[:, i].max() > 0})
    assert queries.tolist() == heaviest
    assert heaviest
    graph = None if graph is None else graph.double()
    for row, query in enumerate(heaviest):
        f = mass[query]
        if mode == "kl":
            expected = np.array([x * np.log(patches * x) if x else 0.0 for x in f])
        elif mode == "optimal_path":
            others = graph.clone().fill_diagonal_(0)
            cost = 8 * transport_cost(others + others.amax(1).diag(), "neg_log").numpy()
            expected = -(cost * ot.sinkhorn(f, np.full(patches, 1 / patches), cost, 0.1, numItermax=5000)).sum(0)
        else:
            transition = iterative_proportional_fitting(graph).numpy()
            expected, chain, before = np.full(patches, 1 / 30), f, np.full(patches, -0.3)
            for step in range(1, 31):
                after = chain / chain.max() - 0.3
                new = (before < 0) & (after >= 0) & (expected == 1 / 30)
                expected[new] = 1 / (step - 1 + before[new] / (before[new] - after[new]))
                before, chain = np.where(before >= 0, before, after), chain @ transition
            probabilities = (40 * logits.flatten(1)).softmax(0)
            own = model.decode_head.query_class
            expected = np.minimum(expected, 1) + 1e-3 * probabilities[own == own[query]].sum(0).numpy()  # l >= 1
        np.testing.assert_allclose(scores[row].flatten().numpy(), expected, rtol=1e-3, atol=1e-5)


def test_fusion_is_the_mean_of_both_maps_on_one_scale(build_method):
    found = {}
    [image] = images((40, 24))
    for mode in ("optimal_path", "max_velocity", "fusion"):
        model = build(build_method, mode)
        with torch.inference_mode():
            scores, _ = model.distribution(*logits_and_graph(model, assembled(model, image)))
        found[mode] = scores
    halves = [found[mode] - found[mode].min() for mode in ("optimal_path", "max_velocity")]
    torch.testing.assert_close(found["fusion"], sum(half / half.max() for half in halves) / 2)


@pytest.mark.parametrize("mode", ["optimal_path", "max_velocity", "fusion", "kl", "logits"])
def test_batches_give_what_single_images_give(mode, build_method):
    inputs = images((32, 48), (40, 24), (32, 48))
    targets = [(61, 97), (50, 30), (32, 48)]
    model = build(build_method, mode)
    together = labels_of(model, inputs, targets)
    assert [tuple(labels.shape) for labels in together] == targets
    for image, target, labels in zip(inputs, targets, together, strict=True):
        assert torch.equal(labels_of(model, [image], [target])[0], labels)
        assert 0 <= labels.min() <= labels.max() < 4


@pytest.mark.parametrize("mode", ["optimal_path", "max_velocity", "fusion", "kl"])
def test_float32_and_float64_agree(mode, build_method):
    model = build(build_method, mode)
    maps = torch.rand(7 + 24, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps[:7] = 0.2 + 0.1 * maps[:7]
    maps[7:] /= maps[7:].sum((1, 2), keepdim=True)
    logits, graph = maps[:7], maps[7:].flatten(1)
    (single, queries), (double, same) = (
        model.distribution(logits.to(dtype), graph.to(dtype)) for dtype in (torch.float32, torch.float64)
    )
    assert torch.equal(queries, same)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("more", "less"), [(2, 3), (3, 2)])
def test_of_velocities_that_tie_the_more_confident_class_wins(more, less, build_method):
    """Queries of two classes have enough mass at once, everywhere: all velocities are 1."""
    model = build(build_method, theta=0.1, nms_scale=10, top_k=0)
    logits, graph = torch.full((7, 8, 16), -1.0), torch.full((128, 128), 1 / 128)
    logits[more], logits[less] = 0.22, 0.2
    mass, queries, _ = model.masses(logits.flatten(1).T)
    assert {2, 3} <= set(queries.tolist())
    assert (model.discrepancy.max_velocity(mass, graph) == 1).all()
    scores, _ = model.distribution(logits, graph)
    own = model.decode_head.query_class
    assert own[2] != own[3]
    assert (own[queries[scores.argmax(0)]] == own[more]).all()


def two_colours():
    """A dark and a bright half, in grey levels, of 8 x 16 patches; logits that know one patch of each only."""
    image = torch.full((3, 64, 128), 40.0)
    image[..., 64:] = 200.0
    logits = torch.zeros(7, 8, 16)
    logits[3, 1, 0] = logits[2, 6, 15] = 1.0  # class 2, cup, far in the dark; class 1, cat, in the bright half
    return image, logits


@pytest.mark.parametrize("mode", ["optimal_path", "max_velocity", "fusion"])
def test_the_graph_carries_a_class_over_its_region(mode, build_method):
    """The paper's idea: without the graph (KL, or a graph that knows nothing), most of the image stays undecided."""
    image, logits = two_colours()
    model = build(build_method, mode, theta=0.5)
    expected = torch.full((64, 128), 2)
    expected[:, 64:] = 1
    graph = model.graph.graph(image[None], (8, 16))[0]
    normalised = (image - model.data_preprocessor.mean) / model.data_preprocessor.std
    axes = [interpolation_matrix(size // 8, size).float() for size in (64, 128)]

    canvases = {LOGITS: PatchCanvas(logits, *axes, even=True)}

    def label(kind, graph):
        other = build(build_method, kind, theta=0.5)
        return other.labels_of(Assembly(Scene(normalised, (64, 128), seen={GRAPH: graph}), canvases))

    assert torch.equal(label(mode, graph), expected)
    ignorant = torch.full_like(graph, 1 / 128)
    assert (label(mode, ignorant) == expected).float().mean() < 0.9
    assert (label("kl", graph) == expected).float().mean() < 0.9


def test_upsampling_follows_the_image(build_method):
    """JBU is guided by the network's input, brought to the original size."""
    model = build(build_method, "kl", theta=0.0, top_k=0)
    inputs = images((32, 48))
    assembly = assembled(model, inputs[0], (64, 96))
    scores, queries = model.distribution(*logits_and_graph(model, assembly))
    assert queries.tolist() == list(range(7))
    grey = inputs[0] * model.data_preprocessor.std + model.data_preprocessor.mean
    guide = nn.functional.interpolate(grey[None] / 255, size=(64, 96), mode="bilinear")
    expected = joint_bilateral_upsample(scores[None], guide, sigma_space=1.0, sigma_range=0.1, radius=2)[0]
    torch.testing.assert_close(model.dense_logits(assembly), expected)
    labels = model.decode_head.query_class[expected.argmax(0)]
    assert torch.equal(model.labels_of(assembly), labels)


def test_rejected_queries_are_minus_infinity_in_exports(build_method):
    model = build(build_method)
    assembly = assembled(model, images((32, 48))[0])
    _, queries = model.distribution(*logits_and_graph(model, assembly))
    dense = model.dense_logits(assembly)
    assert dense.shape == (7, 32, 48)
    assert 0 < len(queries) < 7
    assert [bool(row.isfinite().all()) for row in dense] == [q in queries for q in range(7)]
    assert (dense[[q for q in range(7) if q not in queries]] == -torch.inf).all()
    assert torch.equal(model.decode_head.query_class[dense.argmax(0)], model.labels_of(assembly))


def test_logits_without_graph_and_jbu_are_those_of_the_base(build_method):
    inputs = images((32, 48), (40, 24))
    model = build(build_method, graph=None, base={"type": "ClearCLIP"}, **LABEL_ONLY)
    base = build_method("ClearCLIP", test_cfg={"mode": "whole"})
    assert all(torch.equal(*pair) for pair in zip(labels_of(model, inputs), labels_of(base, inputs), strict=True))


def test_an_image_without_a_confident_patch_keeps_all(build_method):
    inputs = images((32, 48))
    strict, lenient = build(build_method, theta=1.0), build(build_method, theta=0.0)
    assert torch.equal(labels_of(strict, inputs)[0], labels_of(lenient, inputs)[0])


def test_the_background_threshold_looks_at_the_bases_probability(build_method):
    inputs = images((32, 48))
    plain = labels_of(build(build_method), inputs)[0]
    base = labels_of(build(build_method, graph=None, decode_head={"prob_threshold": 0.26}, **LABEL_ONLY), inputs)[0]
    model = build(build_method, decode_head={"prob_threshold": 0.26})
    found = labels_of(model, inputs)[0]
    assert 0 < (base == 0).float().mean() < 1
    unsure = (found == 0) & (plain != 0)
    assert unsure.any()
    assert (base[unsure] == 0).all()
    assert torch.equal(found[base != 0], plain[base != 0])


# -- around a method that refines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [{"type": "NACLIP", "pamr_steps": 3, "pamr_dilations": (1, 2)}, {"type": "CLIPtrase", "voting": "mean_logits"}],
    ids=lambda base: base["type"],
)
@pytest.mark.parametrize("mode", ["max_velocity", "kl"])
def test_the_bases_own_refinement_acts(mode, base, build_method):
    """Its logits at full size, PAMR or means of regions included, are averaged on the patches."""
    [image], size, clusters = images((48, 64)), (60, 75), {"eps": 0.9, "min_samples": 2}
    base = {**base, **(clusters if base["type"] == "CLIPtrase" else {})}
    options = {key: value for key, value in base.items() if key != "type"}
    alone = build_method(base["type"], test_cfg={"mode": "whole"}, **options)
    model = build(build_method, mode, base=base)
    assembly = assembled(model, image, size)
    dense = alone.dense_logits(assembled(alone, image, size)) / alone.logit_factor
    refined = nn.functional.adaptive_avg_pool2d(dense[None], (6, 8))[0]
    plain = assembly.canvases[LOGITS].patches
    assert (refined - plain).abs().max() > 1e-3
    with torch.inference_mode():
        expected, queries = model.distribution(refined, assembly.scene.seen.get(GRAPH))
        raw, raw_queries = model.distribution(plain, assembly.scene.seen.get(GRAPH))
        expected, raw = (model.upsample(scores, assembly.scene, None).dense() for scores in (expected, raw))
    found = model.dense_logits(assembly)
    torch.testing.assert_close(found[queries], expected, atol=1e-4, rtol=1e-3)
    assert int((found > -torch.inf).any(dim=(1, 2)).sum()) == len(queries)
    assert not torch.equal(queries, raw_queries) or (expected - raw).abs().max() > 1e-3


def test_the_background_threshold_looks_at_the_bases_refined_logits(build_method):
    """PAMR, where the pixels' probabilities are."""
    inputs, head = images((32, 48)), {"prob_threshold": 0.26}
    base = {"type": "NACLIP", "pamr_steps": 3, "pamr_dilations": (1, 2)}
    alone = build_method("NACLIP", test_cfg={"mode": "whole"}, pamr_steps=3, pamr_dilations=(1, 2), decode_head=head)
    scale = alone.decode_head.logit_scale
    dense = alone.dense_logits(assembled(alone, inputs[0]))
    unsure = (scale * dense).softmax(dim=0).amax(dim=0) < 0.26
    assert 0 < unsure.float().mean() < 1
    plain = labels_of(build(build_method, base=base), inputs)[0]
    assert torch.equal(labels_of(build(build_method, base=base, decode_head=head), inputs)[0], plain * ~unsure)


def test_what_stands_beside_the_base_does_not_overrule_it(build_method):
    """DSLO has no PAMR: its ``pamr_steps=0``, which the datasets' files set for all methods, is not the base's."""
    base = {"type": "NACLIP", "pamr_steps": 3}
    model = build(build_method, base=base, pamr_steps=0)
    assert (model.base.pamr_steps, model.base.common["pamr_steps"]) == (3, 3)
    assert (model.pamr_steps, model.common["pamr_steps"]) == (0, 0)


def test_nor_does_it_overrule_what_the_base_is_around(build_method):
    base = {"type": "LHTCLIP", "k": 0, "base": {"type": "NACLIP", "pamr_steps": 3}}
    assert build(build_method, base=base, pamr_steps=0).base.base.pamr_steps == 3


class OwnLabels(SCLIP):
    """A method with a labelling step of its own."""

    def label(self, scene, refined):
        return super().label(scene, refined)


class Rejecting(SCLIP):
    """A method that rejects queries."""

    def refine(self, scene, canvases):
        logits = canvases[LOGITS]
        return Refined(PatchCanvas(logits.patches[1:], logits.rows, logits.columns), queries=torch.arange(1, 7))


class Halves(RegionVoting):
    """A method that is not CLIPtrase, whose regions vote."""

    def find_regions(self, scene, canvases):
        height, width = scene.size
        return (torch.arange(width) >= width // 2).long().expand(height, width)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"base": {"type": "CLIPtrase"}},
            r"its base CLIPtrase lets the pixels of a region vote .*: set model\.base\.voting='mean_logits', or",
        ),
        ({"base": {"type": Halves}}, "its base Halves lets the pixels of a region vote with their classes"),
        ({"base": {"type": "DSLO", "mode": "kl"}}, r"model\.base must not be DSLO"),
        ({"base": {"type": "SCLIP"}, "attention": "key"}, r"model\.attention has no effect beside model\.base"),
        ({"base": {"type": OwnLabels}}, "it cannot keep the labelling step of its base OwnLabels"),
        (
            {"base": {"type": "LHTCLIP", "k": 0, "base": {"type": OwnLabels}}},
            "it cannot keep the labelling step of its base OwnLabels",
        ),
        (
            {"base": {"type": "LHTCLIP", "k": 0, "base": {"type": "CLIPtrase"}}},
            "its base CLIPtrase lets the pixels of a region vote with their classes",
        ),
        ({"base": {"type": "SCLIP", "test_cfg": {"mode": "whole"}}}, r"model\.base\.test_cfg has no effect"),
        ({"base": {"type": "TextHead"}}, r"model\.base must be the config of another method, .* but got"),
    ],
    ids=str,
)
def test_bases_that_cannot_be_are_refused(options, said, build_method):
    with pytest.raises(ValueError, match=said):
        build(build_method, **options)


@pytest.mark.parametrize("options", [{"voting": "mean_logits"}, {"cluster": "none"}], ids=str)
def test_cliptrase_can_be_a_base_without_a_vote(options, build_method):
    """Also inside of LHT-CLIP."""
    inputs = images((32, 48))
    for base in (
        {"type": "CLIPtrase", **options},
        {"type": "LHTCLIP", "k": 0, "base": {"type": "CLIPtrase", **options}},
    ):
        assert labels_of(build(build_method, base=base), inputs)[0].shape == (32, 48)


def test_a_base_that_rejects_queries_is_refused_at_the_first_image(build_method):
    model = build(build_method, base={"type": Rejecting})
    with pytest.raises(ValueError, match=r"Rejecting gives a class to regions, or rejects some, before DSLO can"):
        model.predict(images((32, 48)))


def test_networks_are_those_of_the_base_and_the_graph(build_method):
    model = build(build_method, base={"type": "SCLIP"})
    assert model.networks() == {"backbone": model.base.backbone, "graph": model.graph}
    assert (model.graph.name, len(model.graph.weights_hash)) == ("ColourGraph", 64)


def test_the_graph_of_clip_itself_brings_no_tensors(build_method):
    model = build(build_method, graph="CLIPGraph")
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in model.backbone.parameters())
    assert labels_of(model, images((32, 48)))[0].shape == (32, 48)


def test_options_of_the_records_are_read_and_changed_by_their_flat_names(build_method):
    [image] = images((32, 48))
    model = build(build_method, tau=0.2)
    assert [model.option(name) for name in ("tau", "theta", "radius", "mode")] == [0.2, 0.3, 2, "max_velocity"]
    assembly = assembled(model, image)
    before = model.dense_logits(assembly)
    model.set_option("tau", 0.7)
    after = model.dense_logits(assembly)
    assert (model.option("tau"), model.discrepancy.tau) == (0.7, 0.7)
    assert not torch.equal(before, after)
    other = build(build_method, tau=0.7)
    assert torch.equal(after, other.dense_logits(assembled(other, image)))
    with pytest.raises(ValueError, match=r"model\.tau must lie in"):
        model.set_option("tau", 0)


def test_options_of_the_base_are_reached_by_dotted_names(build_method):
    clusters = {"voting": "mean_logits", "eps": 0.9, "min_samples": 2}
    model = build(build_method, base={"type": "CLIPtrase", **clusters})
    assert {"base.eps", "base.min_samples", "tau", "theta"} <= model.label_options
    assert "mode" not in model.label_options
    [image] = images((48, 64))
    assembly = assembled(model, image)
    before = model.dense_logits(assembly)
    model.set_option("base.eps", 0.7)
    assert (model.option("base.eps"), model.base.eps) == (0.7, 0.7)
    assert not torch.equal(model.dense_logits(assembly), before)


def test_every_label_option_can_be_read(build_method):
    """What tools/sweep.py changes without encoding again."""
    model = build(build_method, base={"type": "CLIPtrase", "voting": "mean_logits"})
    for name in model.label_options:
        model.option(name)


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "fast"}, "model.mode must be one of"),
        ({"attention": "value"}, "model.attention must be one of"),
        ({"cost": "distance"}, "model.cost must be one of"),
        ({"cost": "raw", "cost_range": 4.0}, "model.cost_range=4.0 has no effect beside model.cost='raw'"),
        ({"first_step": "early"}, "model.first_step must be one of"),
        ({"marginal": "row"}, "model.marginal must be one of"),
        ({"criterion": "speed"}, "model.criterion must be one of"),
        ({"normalisation": "l2"}, "model.normalisation must be one of"),
        ({"kl_direction": "up"}, "model.kl_direction must be one of"),
        ({"upsampling": "nearest"}, "model.upsampling must be one of"),
        ({"theta": 1.5}, r"model.theta must lie in \[0, 1\], but got 1.5"),
        ({"tau": 0}, "model.tau must lie in"),
        ({"epsilon": -1}, "model.epsilon must lie in"),
        ({"iterations": 0}, "model.iterations must lie in"),
        ({"max_steps": "many"}, "model.max_steps must lie in"),
        ({"top_k": -1}, "model.top_k must lie in"),
        ({"cost_range": 0}, "model.cost_range must lie in"),
        ({"cost_range": float("nan")}, "model.cost_range must lie in .* but got nan"),
        ({"theta": True}, r"model.theta must lie in \[0, 1\], but got True"),
        ({"max_steps": 10.5}, r"model.max_steps must lie in \[1, 1e\+06\] and be a whole number, but got 10.5"),
        ({"iterations": True}, "model.iterations must lie in .* whole number, but got True"),
        ({"ipf_iterations": 1.5}, "model.ipf_iterations must lie in .* whole number, but got 1.5"),
        ({"top_k": 0.5}, "model.top_k must lie in .* whole number, but got 0.5"),
        ({"radius": True}, "radius"),
        ({"sigma_range": 0}, "sigma_range"),
        ({"graph": None}, "model.mode='max_velocity' needs a graph"),
        ({"base": {"k": 3}}, r"model\.base must be settings with a type"),
        ({"pamr_steps": 5}, "no PAMR"),
    ],
)
def test_wrong_options_are_named(options, said, build_method):
    with pytest.raises(ValueError, match=said):
        build(build_method, **options)


def test_sliding_windows_are_refused(build_method):
    with pytest.raises(ValueError, match="whole images"):
        build_method("DSLO", mode="kl")


def test_parts_without_settings_are_refused(build_method):
    with pytest.raises(ValueError, match=r"model\.graph must be settings with a type.* but got 'DINOv2'"):
        build_method("DSLO", test_cfg={"mode": "whole"}, graph="DINOv2")


def test_the_graph_of_an_image_does_not_know_its_batch(build_method, monkeypatch):
    """A network rounds with the batch, and a solver at a tie makes another label of the last digit."""
    model = build(build_method, "optimal_path")
    real = model.graph_attention
    monkeypatch.setattr(model, "graph_attention", lambda inputs, grid: real(inputs, grid) * len(inputs))
    scenes = [Scene(image, (48, 40)) for image in images((48, 40), (48, 40))]
    alone, together = model.look(scenes[:1])[GRAPH], model.look(scenes)[GRAPH]
    assert torch.equal(alone[0], together[0])
    assert len(together) == 2
