"""DSLO's hypothesis: the scenarios by hand, on a planted dataset whose answer is known, and the report."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.methods.dslo import DSLO
from mmseg_tfovss.methods.stages import LOGITS as LOGIT_MAP
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.studies.hypothesis import study as hypothesis
from mmseg_tfovss.studies.hypothesis.maps import (
    DISCREPANCIES,
    HEADROOM,
    LOGITS,
    LOGITS_PRESENT,
    PLAIN,
    SCENARIOS,
    TRUTH,
    UPPER_BOUND,
    ClassScores,
    GroundTruth,
    measure_consistency,
    patch_ground_truth,
    score_scenarios,
)
from mmseg_tfovss.studies.hypothesis.report import NAMES, draw_bars, to_markdown
from mmseg_tfovss.studies.hypothesis.study import Options, analyse
from tests.mini import PATCH
from tests.tools.test_command_lines import ROOT

GREYS = (20, 90, 160, 230)  # of classes 0 .. 3
QUERIES = (0, 2, 3, 6)  # the first one of each class
CONFIG = f"""
_base_ = ["{ROOT}/configs/_base_/datasets/_loader.py", "{ROOT}/configs/_base_/runtime.py"]
dataset, protocol = "planted", "unified"
model = dict(
    _base_.unified.model,
    type="PlantedDSLO",
    short_side=32,
    mode="optimal_path",
    graph=dict(type="StableDiffusion", pretrained="not here"),
    upsampling="bilinear",
    backbone=dict(type="CLIPImageEncoder", arch="auto"),
    decode_head=dict(type="TextHead", templates="photo"),
    test_cfg=dict(mode="whole"),
)
unified = dict(
    model=dict(short_side=32, decode_head=dict(templates="photo"), test_cfg=dict(_delete_=True, mode="whole")),
)
test_dataloader = dict(
    num_workers=0,
    dataset=dict(
        type="BaseSegDataset",
        metainfo=dict(classes=("sky", "cat", "cup", "flower")),
        data_prefix=dict(img_path="images", seg_map_path="labels"),
        img_suffix=".png",
        serialize_data=False,  # it collects garbage, which takes half a second
    ),
)
"""


@MODELS.register_module()
class PlantedDSLO(DSLO):
    """Logits that know the grey level of every patch, but for the first, ``wrong``; or, ``noise``, nothing."""

    noise = wrong = False

    def encode(self, windows):
        inputs = windows.images
        grid = (inputs.shape[-2] // PATCH, inputs.shape[-1] // PATCH)
        images = inputs * self.data_preprocessor.std + self.data_preprocessor.mean
        grey = F.adaptive_avg_pool2d(images, grid).mean(1)
        logits = grey.new_zeros(len(inputs), 7, *grid)
        if self.noise:
            draw = torch.Generator().manual_seed(3)
            return {LOGIT_MAP: logits + torch.rand(logits.shape[1:], generator=draw)}
        for query, level in zip(QUERIES, GREYS, strict=True):
            logits[:, query] = ((grey - level).abs() < 20).float()
        if self.wrong:
            logits[:, :, 0, 0] = logits[:, :, -1, -1]
        return {LOGIT_MAP: logits}


@pytest.fixture
def planted(tmp_path, mini_clip, words_file):
    """Three images of 8 x 8 pixels, which the network sees as 4 x 4 patches, in four quadrants each."""
    layouts = ([[0, 1], [2, 3]], [[3, 2], [1, 0]], [[1, 1], [2, 2]])
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    for number, layout in enumerate(layouts):
        labels = np.kron(np.array(layout), np.ones((4, 4))).astype(np.uint8)
        Image.fromarray(np.array(GREYS, dtype=np.uint8)[labels]).convert("RGB").save(tmp_path / f"images/{number}.png")
        labels[0, 0] = 255
        Image.fromarray(labels).save(tmp_path / f"labels/{number}.png")
    path = tmp_path / "planted_here.py"
    path.write_text(
        f'{CONFIG}\nwork_dir = "{tmp_path}/work"\ntest_dataloader["dataset"]["data_root"] = "{tmp_path}"\n'
        f'model["backbone"]["pretrained"] = "{mini_clip}"\nmodel["decode_head"]["vocabulary"] = "{words_file}"\n'
    )
    return load_config(path)


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Analyse without the report: drawing takes longer than the rest."""

    def run(config, options=None):
        with monkeypatch.context() as patch:
            patch.setattr(hypothesis, "write_report", lambda result, folder: None)
            return analyse(config, tmp_path / "out", "cpu", options)

    return run


def scores_of(result):
    return {name: scores["mIoU"] for name, scores in result["scenarios"].items()}


def test_logits_that_are_the_ground_truth_score_100(planted, tmp_path):
    result = analyse(planted, tmp_path / "out", "cpu", command="this one")
    assert scores_of(result) == dict.fromkeys(SCENARIOS, 100.0)
    assert (result["images"], result["unlabelled_images"], result["patches_of_one_class"]) == (3, 0, 1.0)
    consistency = result["consistency"]
    assert (consistency["classes"], consistency["maps"]) == (4, 10)
    assert consistency["eta_squared"] == pytest.approx(1, abs=1e-5)
    assert consistency["within"] == pytest.approx(0, abs=1e-3)
    assert consistency["difference"] == pytest.approx(1, abs=1e-5)
    assert result["per_class"]["cat"][LOGITS] == 100
    assert (result["config"], result["command"], result["dataset"]) == ("planted_here", "this one", "planted")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(NAMES)
    assert json.loads((tmp_path / "out" / NAMES[0]).read_text()) == result


def test_noise_is_told_from_the_ground_truth(planted, measure, monkeypatch):
    monkeypatch.setattr(PlantedDSLO, "noise", True)
    planted.model.theta = 0
    result = measure(planted)
    found = scores_of(result)
    assert found[UPPER_BOUND] == 100
    assert found[LOGITS] < 40
    assert found[LOGITS] < found[TRUTH]  # the ground truth helps
    assert result["consistency"]["eta_squared"] < 0.5
    assert result["patches_of_one_class"] < 1


def test_a_wrong_patch_is_what_its_region_could_mend(planted, measure, monkeypatch):
    monkeypatch.setattr(PlantedDSLO, "wrong", True)
    found = scores_of(measure(planted))
    assert found[PLAIN] < 90
    assert found[HEADROOM] == 100


def test_logits_to_uniform_is_the_methods_own_mode(planted, measure, monkeypatch):
    monkeypatch.setattr(PlantedDSLO, "noise", True)
    planted.model.update(theta=0, upsampling="jbu")
    result = measure(planted)
    planted.model.update(mode="kl", graph=None)
    assert result["scenarios"][LOGITS] == run_test(planted)["metrics"]


def test_batches_give_what_single_images_give(planted, measure, monkeypatch):
    monkeypatch.setattr(PlantedDSLO, "noise", True)
    planted.model.theta = 0
    single = measure(planted)
    planted.test_dataloader.batch_size = 3
    together = measure(planted)
    assert scores_of(together) == pytest.approx(scores_of(single))
    assert together["consistency"] == pytest.approx(single["consistency"])


def test_some_images(planted, measure):
    result = measure(planted, Options(max_images=2))
    assert (result["images"], result["max_images"], result["smoothing"]) == (2, 2, 0.1)


def test_images_without_labels_are_counted(planted, measure, tmp_path):
    for number in (0, 1):
        Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(tmp_path / f"labels/{number}.png")
    result = measure(planted)
    assert (result["images"], result["unlabelled_images"]) == (3, 2)
    assert result["per_class"]["sky"] == dict.fromkeys(SCENARIOS)  # it does not occur: no number
    Image.fromarray(np.full((8, 8), 255, dtype=np.uint8)).save(tmp_path / "labels/2.png")
    with pytest.raises(ValueError, match="No pixel was evaluated"):
        measure(planted)


def test_bad_input_is_one_sentence(planted, tmp_path):
    for options in ({"max_images": 0}, {"seed": -1}, {"smoothing": 0}, {"smoothing": 1.5}):
        with pytest.raises(ValueError, match=f"--{next(iter(options)).replace('_', '-')}"):
            Options(**options)
    Image.fromarray(np.full((8, 8), 9, dtype=np.uint8)).save(tmp_path / "labels/1.png")
    Image.fromarray(np.full((8, 8), 9, dtype=np.uint8)).save(tmp_path / "labels/0.png")
    labels = np.zeros((8, 8), dtype=np.uint8)
    labels[4:] = 9
    Image.fromarray(labels).save(tmp_path / "labels/0.png")
    with pytest.raises(ValueError, match=r"labels/0\.png: The annotation holds the label 9"):
        analyse(planted, tmp_path / "out", "cpu")
    planted.model.type = "SCLIP"
    with pytest.raises(ValueError, match=r"hypothesis looks into .* method is SCLIP: use a config below configs/dslo"):
        analyse(planted, tmp_path / "out", "cpu")
    planted.pop("test_dataloader")
    planted.model.type = "DSLO"
    with pytest.raises(ValueError, match="has no 'test_dataloader'"):
        analyse(planted, tmp_path / "out", "cpu")
    assert not (tmp_path / "out").exists()


# -- one image, by hand ---------------------------------------------------------------------------------------------


def test_ground_truth_is_the_share_of_pixels():
    labels = torch.tensor([[4, 4, 7, 7], [4, 7, 7, 255], [255, 255, 7, 7], [255, 255, 4, 7]])
    truth = patch_ground_truth(labels, labels != 255, (2, 2))
    assert truth.classes.tolist() == [4, 7]
    assert truth.shares.tolist() == [[0.75, 0.25], [0, 0.75], [0, 0], [0.25, 0.75]]
    torch.testing.assert_close(truth.mass[:, 0], torch.tensor([0.75, 0, 0, 0.25]))
    assert truth.owner.tolist() == [0, 1, -1, 1]
    assert patch_ground_truth(labels, labels > 255, (2, 2)) is None


def test_scenarios_by_hand():
    mass = torch.tensor([[0.7, 0.0, 0.5, 0.2], [0.3, 0.0, 0.5, 0.2], [0.0, 1.0, 0.0, 0.6]])
    classes = torch.tensor([2, 2, 5, 9])  # two synonyms, and a class that does not occur
    truth = GroundTruth(torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 1.0]]), torch.tensor([2, 4, 5]))
    found = score_scenarios(mass, classes, truth, 0.3)
    g = {2: [2 / 3, 1 / 3, 0], 4: [0, 0.5, 0.5], 5: [0, 0, 1]}
    farthest = -math.log(3 / 0.3)
    assert list(found) == list(DISCREPANCIES)
    assert found[LOGITS].classes.tolist() == [2, 2, 5, 9]
    assert found[LOGITS_PRESENT].classes.tolist() == found[TRUTH].classes.tolist() == [2, 2, 5]
    assert found[UPPER_BOUND].classes.tolist() == [2, 4, 5]
    for i in range(3):
        for q, c in enumerate(classes.tolist()):
            f = float(mass[i, q])
            uniform = f * math.log(3 * f) if f else 0.0
            assert float(found[LOGITS].scores[i, q]) == pytest.approx(uniform, abs=1e-6)
            if c != 9:
                near = -f * math.log(f / (0.7 * g[c][i] + 0.1)) if f else farthest
                assert float(found[TRUTH].scores[i, q]) == pytest.approx(near, abs=1e-6)
                assert found[LOGITS_PRESENT].scores[i, q] == found[LOGITS].scores[i, q]
        for column, c in enumerate((2, 4, 5)):
            share = g[c][i]
            expected = share * math.log(3 * share) if share else 0.0
            assert float(found[UPPER_BOUND].scores[i, column]) == pytest.approx(expected, abs=1e-6)


def test_an_image_whose_classes_were_all_rejected():
    truth = GroundTruth(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([3, 6]))
    found = score_scenarios(torch.full((2, 1), 0.5), torch.tensor([8]), truth, 0.1)
    assert found[LOGITS].classes.tolist() == [8]
    assert found[LOGITS_PRESENT].classes.tolist() == found[TRUTH].classes.tolist() == [3, 6]
    assert all(bool(part.scores.isfinite().all()) for part in found.values())


def test_consistency_is_analysis_of_variance():
    draw = torch.Generator().manual_seed(0)
    shares = torch.zeros(12, 3)
    shares[:5, 0] = shares[5:11, 1] = 1  # the last patch has no label, the third class no patch of its own
    shares[:5, 2] = 0.4
    truth = GroundTruth(shares, torch.tensor([0, 4, 6]))
    scores = torch.rand(12, 3, generator=draw)
    found = measure_consistency(ClassScores(scores, torch.tensor([4, 4, 5])), truth)
    assert found.classes.tolist() == [0, 4]
    values = scores[:11, :2].amax(1).double().numpy()
    values = (values - values.min()) / (values.max() - values.min())
    inside, outside = values[5:], values[:5]
    rest = ((inside - inside.mean()) ** 2).sum() + ((outside - outside.mean()) ** 2).sum()
    assert found.eta_squared.tolist() == pytest.approx([0, 1 - rest / ((values - values.mean()) ** 2).sum()])
    assert found.within.tolist() == pytest.approx([0, inside.std()])  # class 0 was rejected
    assert found.difference.tolist() == pytest.approx([0, inside.mean() - outside.mean()])
    alone = GroundTruth(torch.ones(12, 1), torch.tensor([4]))
    assert measure_consistency(ClassScores(scores, torch.tensor([4, 4, 5])), alone).classes.tolist() == []


# -- the report -----------------------------------------------------------------------------------------------------


def test_report_shows_every_number(planted, tmp_path):
    result = analyse(planted, tmp_path / "out", "cpu")
    text = to_markdown(result)
    assert (tmp_path / "out" / NAMES[1]).read_text() == text
    assert "| logits | nothing | 100.00 | 100.00 |" in text
    assert "| logits, majority of each true region | the annotation | 100.00 | 100.00 |" in text
    assert "| logits -> uniform | nothing | 100.00 | 100.00 |" in text
    assert "| ground truth -> uniform | the annotation | 100.00 | 100.00 |" in text
    assert "NMS at theta = 0.5 leaves one class at most in 100.0% of the patches" in text
    assert "mean of 4 classes (10 maps)" in text
    bars, consistency = draw_bars(result).axes
    assert [bar.get_height() for bar in bars.patches] == [100] * 6
    assert [bar.get_height() for bar in consistency.patches] == [
        result["consistency"][name] for name in ("eta_squared", "within", "difference")
    ]
    with Image.open(tmp_path / "out" / NAMES[2]) as picture:
        assert picture.size == (1045, 374)


def test_no_class_with_two_groups_has_no_consistency(planted, measure, tmp_path):
    for number in range(3):
        Image.fromarray(np.full((8, 8), 1, dtype=np.uint8)).save(tmp_path / f"labels/{number}.png")
    result = measure(planted)
    assert result["consistency"]["eta_squared"] is None
    assert "others | - |" in to_markdown(result)
