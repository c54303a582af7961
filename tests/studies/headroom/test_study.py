"""The comparison of readings: there is something to gain, graphs gain it, and every number is shown."""

import csv
import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
import torch

from mmseg_tfovss.ops.mass import MassSettings
from mmseg_tfovss.pocket.scenes import draw_validation
from mmseg_tfovss.solvers import FIRST_STEPS
from mmseg_tfovss.studies.headroom import study
from mmseg_tfovss.studies.headroom.cells import find_truth, make_cells
from mmseg_tfovss.studies.headroom.planted import PlantedLogits, plant_logits
from mmseg_tfovss.studies.headroom.readings import AXES, LOGITS, all_readings
from mmseg_tfovss.studies.headroom.report import NAMES, mode_table, summary_lines, to_markdown
from mmseg_tfovss.studies.headroom.study import Options, add_labels, analyse
from mmseg_tfovss.studies.headroom.tally import NO_GRAPH, Tally

SMALL = Options(scenes=3, aucs=(0.75, 0.96), diffusion=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headroom")
    return analyse(folder, SMALL, "this one"), folder


@pytest.fixture
def result(measured):
    return measured[0]


def score(result, graph, mode, **options):
    """The mIoU of the only row that fits; without options, of the default."""
    wanted = {"graph": graph, "mode": mode, **(options or {"is_default": True})}
    rows = [row for row in result["readings"] if wanted.items() <= row.items()]
    assert len(rows) == 1
    return rows[0]["mIoU"]


@pytest.mark.slow
def test_there_is_something_to_gain(result):
    assert result["upper_mIoU"] > result["logits_mIoU"] + 20
    assert 0.3 < result["confident_share"] < 0.8
    assert result["confident_share"] / 2 < result["confident_and_right_share"] < result["confident_share"]
    assert score(result, NO_GRAPH, LOGITS) == result["logits_mIoU"]


def test_graphs_are_as_good_as_they_are_called(result):
    assert list(result["graph_auc"]) == ["planted 0.75", "planted 0.96"]
    for name, auc in result["graph_auc"].items():
        assert auc == pytest.approx(float(name.split()[-1]), abs=0.01)


def test_a_better_graph_helps(result):
    for mode in ("max_velocity", "fusion"):
        assert score(result, "planted 0.75", mode) < score(result, "planted 0.96", mode) - 3
    assert score(result, "planted 0.96", "optimal_path") > result["logits_mIoU"]


def test_without_a_graph_there_is_nothing_to_gain(result):
    kl = max(row["mIoU"] for row in result["readings"] if row["mode"] == "kl")
    assert kl < result["logits_mIoU"]
    for mode in ("optimal_path", "max_velocity", "fusion"):
        assert kl < score(result, "planted 0.96", mode)
    # Read by the patch that gives, no cost and no graph changes what ranks as the mass does.
    for graph in result["graph_auc"]:
        assert score(result, graph, "optimal_path", cost="neg_log", marginal="source") == pytest.approx(kl, abs=0.5)


def test_the_table_is_complete(measured):
    result, folder = measured
    with_graph = [one.options for one in all_readings(needs_graph=True)]
    expected = [(graph, *one.items()) for graph in result["graph_auc"] for one in with_graph]
    expected += [(NO_GRAPH, *one.options.items()) for one in all_readings(needs_graph=False)]
    expected.append((NO_GRAPH, ("mode", LOGITS)))
    others = ("graph", "is_default", "mIoU", "pAcc", "gain")
    found = [(row["graph"], *((k, v) for k, v in row.items() if k not in others)) for row in result["readings"]]
    assert Counter(found) == Counter(expected)
    with (folder / "headroom.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(expected)
    for row in result["readings"]:
        cells = {name: str(value) for name, value in row.items() if name not in others}
        cells |= {name: f"{row[name]:.4f}" for name in ("mIoU", "gain", "pAcc")}
        cells |= {"graph": row["graph"], "is_default": str(row["is_default"])}
        assert sum(cells.items() <= one.items() for one in rows) == 1


def test_the_report_is_sorted_and_says_what_ran(measured):
    result, folder = measured
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    assert json.loads((folder / "headroom.json").read_text()) == result
    assert (result["command"], result["scenes"], result["theta"], result["seed"]) == ("this one", 3, 0.5, 0)
    text = (folder / "headroom.md").read_text()
    assert text == to_markdown(result)
    assert "synthetic" in text
    assert "Labels are those of 16 x 16 patches." in text
    assert f"{100 * result['confident_share']:.1f}% of the patches count" in text
    for mode in AXES:
        lines = mode_table(result, mode)
        assert "\n".join(lines) in text
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        assert len({len(line) for line in lines}) == 1  # aligned
        readings = {tuple(row.get(name) for name in AXES[mode]) for row in result["readings"] if row["mode"] == mode}
        assert len(cells) == 2 + len(readings)
        assert [row[-1] for row in cells[2:]].count("default") == 1
        gains = [float(row[-2]) for row in cells[2:]]
        assert gains == sorted(gains, reverse=True)
        default = next(row for row in cells if row[-1] == "default")
        graphs = list(result["graph_auc"]) if mode not in ("kl", LOGITS) else [NO_GRAPH]
        found = [f"{score(result, graph, mode):.2f}" for graph in graphs]
        assert [default[len(AXES[mode]) + 2 * place].strip("*") for place in range(len(graphs))] == found


def test_a_terminal_sees_the_best_the_default_and_the_worst(result):
    everything = mode_table(result, "fusion")
    short = mode_table(result, "fusion", most=2)
    assert len(everything) > 100
    rows = [line.split() for line in everything[2:]]
    default = next(place for place, row in enumerate(rows) if "default" in row)
    kept = sorted({0, 1, default, len(rows) - 1})
    assert [line.split() for line in short[2:]] == [rows[place] for place in kept]
    shown = summary_lines(result)
    assert f"fusion, {len(rows)} readings: the best, the default and the worst" in shown
    assert len(shown) < 80
    assert "optimal_path, 8 readings" in shown


def test_a_seed_gives_the_same_numbers(result, tmp_path):
    options = Options(scenes=1, aucs=(0.9,), diffusion=False)
    again = [analyse(tmp_path / name, options)["readings"] for name in ("a", "b")]
    assert again[0] == again[1]
    other = analyse(tmp_path / "c", Options(scenes=1, aucs=(0.9,), diffusion=False, seed=1))
    assert other["readings"] != again[0]
    assert result["readings"] != again[0]


def test_the_diffusion_model_sees_the_scenes(tmp_path, monkeypatch):
    class Diffusion:
        def __init__(self, *arguments, **options):
            assert (arguments, options) == (("pocket", ("up_blocks.2", "up_blocks.3")), {"short_side": 128})

        def graph(self, images, grid):
            seen.append(images)
            return torch.full((1, 256, 256), 1 / 256)

    seen = []
    monkeypatch.setattr(study, "StableDiffusion", Diffusion)
    result = analyse(tmp_path, Options(scenes=1, aucs=(0.9,)))
    assert result["graph_auc"]["pocket diffusion"] == 0.5
    assert {row["graph"] for row in result["readings"]} == {NO_GRAPH, "planted 0.9", "pocket diffusion"}
    scene = next(draw_validation())
    assert torch.equal(seen[0], torch.from_numpy(scene.image).permute(2, 0, 1)[None].float())


@pytest.mark.slow
def test_upsampled_scores_tell_first_steps_apart(result, tmp_path):
    """At theta 0.5 one class at most has mass at a patch, so that hardly another can converge there in step 1."""
    upsampled = analyse(tmp_path, replace(SMALL, scenes=2, aucs=(0.96,), upsampling="bilinear"))
    assert "64 x 64 cells, scores upsampled (bilinear)" in to_markdown(upsampled)
    for found, differ in ((result, False), (upsampled, True)):
        options = {"criterion": "relative_mass", "tau": 0.3}
        scores = [score(found, "planted 0.96", "max_velocity", first_step=one, **options) for one in FIRST_STEPS]
        assert (abs(scores[0] - scores[1]) > 0.5) == differ
        assert ("makes hardly any difference" in to_markdown(found)) == (not differ)
    assert "any difference" not in to_markdown({**result, "theta": 0.4})


@pytest.mark.slow
def test_the_bundled_diffusion_model_knows_more_than_chance(tmp_path):
    result = analyse(tmp_path, Options(scenes=2, aucs=(0.9,)))
    assert 0.7 < result["graph_auc"]["pocket diffusion"] < 0.95
    assert result["logits_mIoU"] < score(result, "planted 0.9", "max_velocity")


def test_labels_are_those_of_the_methods_own_masses():
    scene = next(islice(draw_validation(), 1, None))
    cells = make_cells(scene, "none")
    logits = plant_logits(cells.truth, 16, 14, 0, 1, PlantedLogits())
    tally = Tally(14)
    add_labels(tally, logits, cells, {}, 0.3)
    tally.add_confidence(torch.tensor([0.3, 0.2, 0.9, 0.3]), torch.tensor([True, True, False, True]), 0.3)
    summary = tally.summary()
    mass, queries, confidence = MassSettings(theta=0.3).masses(logits, torch.arange(14))
    found = queries[all_readings(needs_graph=False)[0].discrepancy().solve(mass, None, confidence).argmax(dim=1)]
    right = 100 * float((found == cells.truth).double().mean())
    assert summary["readings"][1]["pAcc"] == pytest.approx(right)
    assert (summary["confident_share"], summary["confident_and_right_share"]) == (0.75, 0.5)


def test_patches_that_count_are_those_that_keep_mass(result):
    kept = total = 0
    for number, scene in enumerate(islice(draw_validation(), 3)):
        logits = plant_logits(find_truth(scene, 16), 16, 14, 0, number, PlantedLogits())
        mass, *_ = MassSettings(theta=0.5).masses(logits, torch.arange(14))
        kept, total = kept + int((mass > 0).any(dim=1).sum()), total + len(mass)
    assert result["confident_share"] == pytest.approx(kept / total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenes": 0}, r"--scenes must lie in \[1, 200\], but got 0\."),
        ({"scenes": 201}, r"--scenes must lie in \[1, 200\], but got 201\."),
        ({"aucs": ()}, r"--auc must name one value or more\."),
        ({"aucs": (0.86, 0.5)}, r"--auc must lie in \[0\.7, 0\.98\], but got 0\.5\."),
        ({"aucs": (1.0,)}, r"--auc must lie in \[0\.7, 0\.98\], but got 1\.0\."),
        ({"aucs": (float("nan"),)}, r"--auc must lie in \[0\.7, 0\.98\], but got nan\."),
        ({"aucs": (0.9, 0.86, 0.9000000001)}, r"--auc names 0\.9 twice: leave one of them out\."),
        ({"theta": 1.1}, r"--theta must lie in \[0, 1\], but got 1\.1\."),
        ({"theta": float("nan")}, r"--theta must lie in \[0, 1\], but got nan\."),
        ({"logit_noise": 0.0}, r"--logit-noise must lie in \[0\.0001, 1\], but got 0\.0\."),
        ({"logit_noise": float("inf")}, r"--logit-noise must lie in \[0\.0001, 1\], but got inf\."),
        ({"upsampling": "near"}, r"--upsampling must be one of \['none', 'jbu', 'bilinear'\], but got 'near'\."),
        ({"seed": -1}, r"--seed must lie in \[0, 4294967295\], but got -1\."),
    ],
)
def test_bad_values_are_one_sentence(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Options(**options)


def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(study, "measure_scenes", None)
    with pytest.raises(ValueError, match=r"--out .*file/headroom\.json cannot be written"):
        analyse(tmp_path / "file", SMALL)
    assert (tmp_path / "file").read_text() == ""
