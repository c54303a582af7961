"""CLIPtrase's own scores, by hand."""

import cv2
import numpy as np
import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.evaluation.cliptrase_metric import CLIPtraseMetric, smoothed_scores
from tests.engine.test_run import CONFIG, make_voc, small_options
from tests.evaluation.test_metric import sample


def test_scores_by_hand():
    # class 2 is predicted once and never true; class 3 does not occur
    confusion = torch.tensor([[3, 1, 0, 0], [0, 4, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    scores = smoothed_scores(confusion)
    ious = [3 / (4 + 3 - 3 + 0.01), 4 / (6 + 5 - 4 + 0.01)]
    assert scores.mIoU == pytest.approx(100 * sum(ious) / 2)
    assert scores.mAcc == pytest.approx(100 * (3 / 4.01 + 4 / 6.01) / 4)  # absent classes count 0
    assert scores.pAcc == pytest.approx(70)
    assert scores.fwIoU == pytest.approx(100 * (0.4 * ious[0] + 0.6 * ious[1]))
    assert scores.iou.isnan().tolist() == [False, False, True, True]
    assert scores.acc[2:].tolist() == [0, 0]


def test_nothing_counted_is_an_error():
    with pytest.raises(ValueError, match="No pixel was evaluated"):
        smoothed_scores(torch.zeros(2, 2))


def test_images_without_label_count_as_images_only():
    evaluator = CLIPtraseMetric(relabel={255: 1}, unlabelled=[0, 255])
    evaluator.dataset_meta = {"classes": ("a", "b")}
    ones = torch.ones(2, 2, dtype=torch.int64)
    void = sample(ones, torch.tensor([[255, 1], [1, 1]]))
    empty = sample(1 - ones, torch.tensor([[255, 0], [0, 0]]))
    evaluator.process(None, [sample(ones, ones), empty, void])
    assert evaluator.evaluate(3)["seg/pAcc"] == 100
    assert evaluator.total_images == 3


def test_whole_run_of_the_papers_protocol(mini_clip, tmp_path):
    """The centre square is evaluated, void pixels are background, and the image without an object is left out."""
    root = make_voc(tmp_path)
    cv2.imwrite(str(root / "SegmentationClass/1.png"), np.zeros((50, 45), np.uint8))
    options = small_options(root, mini_clip, tmp_path / "work")
    options = {key: value for key, value in options.items() if "test_cfg" not in key}
    path = CONFIG.parents[1] / "cliptrase" / "cliptrase_vit-b16_voc21.py"
    result = run_test(load_config(path, options | {"test_dataloader.batch_size": 3}))
    assert (result["num_images"], result["expected_images"]) == (3, 1449)
    assert (result["protocol"], result["setting"], result["vocabulary"]) == ("paper", "336 pixels", "voc21_cliptrase")
    unified = run_test(load_config(path, options | {"protocol": "unified"}))
    assert (unified["num_images"], unified["protocol"], unified["setting"]) == (3, "unified", "")
    assert unified["vocabulary"] == "voc21"
