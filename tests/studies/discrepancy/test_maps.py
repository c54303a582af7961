"""The maps behind the picture of DSLO's steps, against the model's own functions, and the picture."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image

from mmseg_tfovss.methods.stages import LOGITS
from mmseg_tfovss.solvers import sinkhorn_plan_potentials
from mmseg_tfovss.studies.discrepancy.maps import find_discrepancy_maps, marginal_violation, most_pixels_first
from mmseg_tfovss.studies.discrepancy.picture import Captions, draw_discrepancy, draw_maps
from tests.methods.test_dslo import ColourGraph  # noqa: F401 - registers it
from tests.mini import PATCH

GRID, SIZE = (4, 6), (50, 70)
MODES = ("max_velocity", "optimal_path", "fusion", "kl", "logits")


@pytest.fixture
def image():
    return torch.randn(3, GRID[0] * PATCH, GRID[1] * PATCH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def build(build_method):
    def make(mode="max_velocity", graph="ColourGraph", **options):
        options = {"theta": 0.1, "nms_scale": 40, "top_k": 2, **options}
        graph = {"type": graph} if graph else None
        return build_method("DSLO", test_cfg={"mode": "whole"}, mode=mode, graph=graph, **options)

    return make


def parts_of(model, image):
    """The assembly with logits on the original size, the graph, masses, and the class of each."""
    with torch.inference_mode():
        assembly = model.inference([image], [{"ori_shape": SIZE}])[0]
        graph = model.graph_attention(image[None], GRID)[0]
        mass, queries, _ = model.masses(assembly.canvases[LOGITS].patches.flatten(1).T)
    return assembly, graph, mass, model.decode_head.query_class[queries]


@pytest.mark.parametrize("mode", MODES)
def test_maps_are_what_the_models_own_functions_give(mode, build, image):
    model = build(mode)
    maps = find_discrepancy_maps(model, image, SIZE)
    assembly, graph, mass, own = parts_of(model, image)
    assert len(own) > len(own.unique()) > 1  # synonyms survive
    assert sorted(maps.classes) == own.unique().tolist()
    assert maps.survivors == len(maps.classes)
    found = {
        "mass": mass,
        "optimal_path": model.discrepancy.optimal_path(mass, graph),
        "max_velocity": model.discrepancy.max_velocity(mass, graph),
    }
    for name, values in found.items():
        shown = getattr(maps, name)
        assert shown.shape == (maps.survivors, *GRID)
        for row, index in zip(shown, maps.classes, strict=True):
            expected = torch.stack([values[:, q] for q in range(len(own)) if own[q] == index]).amax(0)
            assert torch.equal(row.flatten(), expected)
    dense = model.dense_logits(assembly)
    for row, index in zip(maps.final, maps.classes, strict=True):
        torch.testing.assert_close(row, dense[model.decode_head.query_class == index].amax(0))
    assert torch.equal(maps.labels, model.labels_of(assembly))
    if mode != "logits":  # there, all classes take part
        assert torch.equal(torch.tensor(maps.classes)[maps.final.argmax(0)], maps.labels)


@pytest.mark.parametrize("mode", ["max_velocity", "kl"])
def test_maps_are_of_the_bases_refined_logits(mode, build, image):
    """As the labels are: PAMR acts on pixels, and patches have the means of theirs."""
    model = build(mode, base={"type": "NACLIP", "pamr_steps": 3})
    maps = find_discrepancy_maps(model, image, SIZE)
    assembly, _, plain, _ = parts_of(model, image)
    with torch.inference_mode():
        pixels = model.base.dense_logits(assembly)
        mass, queries, _ = model.masses(F.adaptive_avg_pool2d(pixels, GRID).flatten(1).T)
    own = model.decode_head.query_class[queries]
    assert sorted(maps.classes) == own.unique().tolist()
    for row, index in zip(maps.mass, maps.classes, strict=True):
        torch.testing.assert_close(row.flatten(), mass[:, own == index].amax(1), atol=1e-6, rtol=0)
    assert mass.shape != plain.shape or (mass - plain).abs().max() > 1e-3
    assert torch.equal(maps.labels, model.labels_of(assembly))


@pytest.mark.parametrize("mode", ["max_velocity", "optimal_path"])
def test_bright_is_where_the_class_is(mode, build):
    """Two colours of which the logits know a patch each: the maps of both solvers are larger in the class's half."""
    model = build(mode, theta=0.5)
    image = torch.full((3, 32, 48), 40.0)
    image[..., 24:] = 200.0
    logits = torch.zeros(1, 7, *GRID)
    logits[0, 3, 1, 0] = logits[0, 2, 2, 5] = 1.0  # cup in the left half, cat in the right one
    model.base.encode = lambda windows: {LOGITS: logits}
    maps = find_discrepancy_maps(model, (image - model.data_preprocessor.mean) / model.data_preprocessor.std, SIZE)
    for name in ("optimal_path", "max_velocity", "final"):
        cup, cat = (getattr(maps, name)[maps.classes.index(index)] for index in (2, 1))
        middle = cup.shape[1] // 2
        assert cup[:, : middle - 1].min() > cup[:, middle + 1 :].max(), name
        assert cat[:, : middle - 1].max() < cat[:, middle + 1 :].min(), name


def test_classes_with_most_pixels_come_first(build, image):
    labels = torch.tensor([[5, 5, 5], [2, 2, 7]])
    assert most_pixels_first(labels, torch.tensor([1, 2, 3, 5])).tolist() == [5, 2, 1, 3]
    model = build()
    every = find_discrepancy_maps(model, image, SIZE)
    areas = every.labels.flatten().bincount(minlength=4)[list(every.classes)].tolist()
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[-1]
    some = find_discrepancy_maps(model, image, SIZE, max_classes=2)
    assert some.classes == every.classes[:2]
    assert some.survivors == every.survivors
    torch.testing.assert_close(some.final, every.final[:2])


def test_patches_that_hit_the_cap_are_counted(build, image):
    slow = find_discrepancy_maps(build(max_steps=1000, tau=0.9), image, SIZE)
    capped = find_discrepancy_maps(build(max_steps=2, tau=0.9), image, SIZE)
    expected = {c: int((row < 0.5).sum()) for c, row in zip(slow.classes, slow.max_velocity, strict=True)}
    assert dict(zip(capped.classes, capped.capped.tolist(), strict=True)) == expected
    assert sum(expected.values()) > int(slow.capped.sum()) > 0
    assert [int((row < 1.00001e-3).sum()) for row in slow.max_velocity] == slow.capped.tolist()


@pytest.mark.parametrize("epsilon", [0.1, 0.02])
def test_violation_of_the_marginals(epsilon, build, image):
    short, long = (build("optimal_path", iterations=count, epsilon=epsilon) for count in (1, 2000))
    _, graph, mass, own = parts_of(short, image)
    cost = short.discrepancy.path_cost(graph)
    mu, nu = sinkhorn_plan_potentials(mass.double(), cost.double(), epsilon=epsilon, iterations=1)
    expected = []
    for q in range(len(own)):
        plan = mu[:, q, None] * torch.exp(-cost.double() / epsilon) * nu[None, :, q]
        expected.append(float((plan.sum(1) - mass[:, q]).abs().sum()))  # the last half step is that of the columns
    found = marginal_violation(short, mass, graph)
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), rtol=1e-3, atol=1e-5)
    assert found.max() > 1e-3
    assert marginal_violation(long, mass, graph).max() < 1e-4
    maps = find_discrepancy_maps(short, image, SIZE)
    for index, value in zip(maps.classes, maps.violation, strict=True):
        assert value == found[own == index].max()


@pytest.mark.parametrize("mode", ["kl", "logits"])
def test_a_graph_is_needed(mode, build, image):
    with pytest.raises(ValueError, match=f"model.mode='{mode}' has none here: set model.graph=dict"):
        find_discrepancy_maps(build(mode, graph=None), image, SIZE)


def test_there_must_be_a_row(build, image):
    with pytest.raises(ValueError, match="--max-classes must be at least 1, but got 0"):
        find_discrepancy_maps(build(), image, SIZE, max_classes=0)


# -- the picture ----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(mini_clip, words_file):
    return Config(
        {
            "model": {
                "type": "DSLO",
                "theta": 0.1,
                "nms_scale": 40,
                "top_k": 2,
                "graph": {"type": "ColourGraph"},
                "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)},
                "decode_head": {"type": "TextHead", "vocabulary": str(words_file), "templates": "photo"},
                "test_cfg": {"mode": "whole"},
            },
            "short_side": 32,
            "run_name": "dslo_here",
        }
    )


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return path


def test_picture_has_a_row_per_class_and_its_own_size(build, image, tmp_path):
    model = build("optimal_path")
    maps = find_discrepancy_maps(model, image, SIZE, max_classes=2)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    figure = draw_maps(maps, pixels, Captions("here", "optimal_path", 50, ("sky", "a" * 30, "cup", "flower")))
    rows, labels = (part.axes for part in figure.subfigs)
    assert (len(rows), len(labels)) == (10, 1)
    expected = [
        row for c in range(2) for row in (maps.mass[c], maps.optimal_path[c], maps.max_velocity[c], maps.final[c])
    ]
    shown = [axis.images[0] for axis in rows if axis not in (rows[0], rows[5])]
    for drawn, values in zip(shown, expected, strict=True):
        assert np.array_equal(drawn.get_array(), values.numpy())
        assert drawn.get_interpolation() == "nearest"
        assert drawn.get_extent() == [-0.5, 69.5, 49.5, -0.5]
        assert drawn.get_clim() == (float(values.min()), float(values.max()))
    assert np.array_equal(rows[0].images[0].get_array(), pixels)
    assert [bool(axis.images) for axis in (rows[0], rows[5])] == [True, False]
    assert [axis.get_title() for axis in rows[:5]][-1] == "final: optimal_path"
    figure.savefig(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == tuple((figure.get_size_inches() * figure.dpi).astype(int))
    one = draw_maps(find_discrepancy_maps(model, image, SIZE, max_classes=1), pixels, Captions("", "", 50, ("a",) * 4))
    assert one.get_figheight() < figure.get_figheight()


def test_captions_say_what_was_run(config, photo):
    config.model.max_steps = 2
    config.model.tau = 0.9
    figure = draw_discrepancy(config, photo, "cpu", max_classes=2)
    title = figure.get_suptitle()
    assert title.startswith("photo.png, dslo_here: max_velocity over ColourGraph\n4 x 6 patches; 2 of ")
    assert " classes after early rejection; patches at M.V.'s cap of 2 steps: " in title
    assert " of 48; O.P. marginals off by " in title
    capped = [axis.get_xlabel().rpartition("capped ")[2] for axis in figure.subfigs[0].axes[3::5]]
    assert all(text.endswith(" of 24") for text in capped)
    assert f"steps: {sum(int(text.split()[0]) for text in capped)} of 48" in title


def test_other_methods_and_missing_images_are_refused(config, photo, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
        draw_discrepancy(config, tmp_path / "none.png", "cpu")
    config.model.type = "SCLIP"
    with pytest.raises(ValueError, match=r"discrepancy looks into .* method is SCLIP: use a config below configs/dslo"):
        draw_discrepancy(config, photo, "cpu")
    config.model.type = "DSLOO"
    with pytest.raises(ValueError, match="Did you mean DSLO"):
        draw_discrepancy(config, photo, "cpu")
