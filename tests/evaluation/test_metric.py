"""The evaluator accumulates batches of differently sized images."""

import pytest
import torch

from mmseg_tfovss.evaluation import SegmentationMetric
from mmseg_tfovss.profiling.pretend import PRETEND, pretend_device


def sample(prediction, truth, path="a.png"):
    return {
        "pred_sem_seg": {"data": prediction[None]},
        "gt_sem_seg": {"data": truth[None]},
        "seg_map_path": path,
    }


def metric(**options):
    built = SegmentationMetric(**options)
    built.dataset_meta = {"classes": ("a", "b")}
    return built


def test_images_of_different_sizes_add_up():
    evaluator = metric()
    ones, zeros = torch.ones(2, 3, dtype=torch.int64), torch.zeros(4, 4, dtype=torch.int64)
    evaluator.process(None, [sample(ones, ones), sample(zeros, zeros)])
    evaluator.process(None, [sample(zeros, 1 - zeros)])
    assert evaluator.confusion.tolist() == [[16, 0], [16, 6]]
    scores = evaluator.evaluate(size=3)
    assert evaluator.total_images == 3
    assert scores["seg/pAcc"] == pytest.approx(100 * 22 / 38)


def test_wrong_label_names_the_file():
    truth = torch.full((2, 2), 7)
    with pytest.raises(ValueError, match=r"bad\.png: The annotation holds the label 7"):
        metric().process(None, [sample(truth * 0, truth, "bad.png")])


def test_ignore_index_is_respected():
    evaluator = metric(ignore_index=7)
    evaluator.process(None, [sample(torch.zeros(2, 2).long(), torch.tensor([[0, 7], [7, 0]]))])
    assert int(evaluator.confusion.sum()) == 2
    assert evaluator.evaluate(1)["seg/pAcc"] == 100.0


@pytest.mark.parametrize(("meta", "counted"), [({}, 3), ({"ignore_index": 65535}, 2), ({"ignore_index": None}, 4)])
def test_the_dataset_says_what_is_ignored(meta, counted):
    evaluator = SegmentationMetric()
    evaluator.dataset_meta = {"classes": tuple(range(300)), **meta}
    truth = {0: [0, 1, 2, 255], 65535: [0, 255, 65535, 65535], None: [0, 255, 255, 1]}[meta.get("ignore_index", 0)]
    evaluator.process(None, [sample(torch.zeros(1, 4).long(), torch.tensor([truth]))])
    assert int(evaluator.confusion.sum()) == counted


def test_ignore_index_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"test_evaluator\.ignore_index must be a label, None or 'auto', but got 'no'"):
        SegmentationMetric(ignore_index="no")


def test_second_run_starts_from_zero():
    evaluator, ones = metric(), torch.ones(2, 2, dtype=torch.int64)
    for truth, expected in ((ones, 100.0), (1 - ones, 0.0)):
        evaluator.process(None, [sample(ones, truth)])
        assert evaluator.evaluate(1)["seg/pAcc"] == expected
        assert evaluator.total_images == 1


def test_counting_goes_on_from_restored_counts():
    evaluator, ones = metric(), torch.ones(2, 2, dtype=torch.int64)
    evaluator.restore(torch.tensor([[4, 0], [0, 0]]), 1)
    evaluator.process(None, [sample(ones, ones)])
    assert evaluator.confusion.tolist() == [[4, 0], [0, 4]]
    evaluator.evaluate(2)
    assert evaluator.total_images == 2


def test_the_counts_of_all_processes_are_added_up(monkeypatch):
    """Of another one, here, that has six wrong pixels of one image; tests/engine/test_distributed.py has real ones."""
    others = torch.tensor([[0, 0], [6, 0]])
    monkeypatch.setattr(
        "mmseg_tfovss.evaluation.metric.all_reduce", lambda counts: counts.add_(others if counts.ndim else 1)
    )
    evaluator = metric()
    ones = torch.ones(2, 3, dtype=torch.int64)
    evaluator.process(None, [sample(ones, ones)])
    assert evaluator.evaluate(size=1)["seg/pAcc"] == 50.0
    assert evaluator.total_images == 2


def masks(evaluator, caplog, *truths, **meta):
    evaluator.dataset_meta = {"classes": ("cat", "dog"), **meta}
    for number, truth in enumerate(truths):
        evaluator.process(None, [sample(torch.zeros(1, 3).long(), torch.tensor([truth]), f"{number}.png")])
    return caplog.text


def test_masks_of_0_and_255_get_a_hint_once(caplog):
    said = masks(metric(), caplog, [0, 0, 0], [0, 255, 0], [0, 255, 255])
    assert said.count("warning:") == 1
    assert "1.png holds no label but 0 and 255, and 255 is ignored, so only its pixels of class 0 (cat) count" in said


@pytest.mark.parametrize(
    ("truth", "options", "meta"),
    [
        ([0, 1, 255], {}, {}),
        ([255, 255, 255], {}, {}),
        ([0, 0, 0], {}, {}),
        ([1, 1, 255], {}, {}),
        ([0, 7, 0], {"ignore_index": 7}, {}),
        ([0, 255, 0], {}, {"reduce_zero_label": True}),
        ([0, 255, 0], {}, {"label_map": {0: 0, 1: 255}}),
        ([0, 255, 0], {}, {"classes": ("cat",)}),
    ],
)
def test_other_labels_get_none(truth, options, meta, caplog):
    assert masks(metric(**options), caplog, truth, **meta) == ""


def test_a_batch_is_counted_with_one_wait():
    """Of the device that the labels are on, for all checks together."""
    evaluator, ones = metric(), torch.ones(2, 3, dtype=torch.int64)
    with pretend_device() as device:
        batch = [sample(ones.to(PRETEND), truth.to(PRETEND)) for truth in (ones, 1 - ones)]
        evaluator.process(None, batch)
        device.syncs.clear()
        evaluator.process(None, batch)
        assert len(device.syncs) == 1
        assert evaluator.confusion.device == PRETEND
        assert evaluator.confusion.tolist() == [[0, 12], [0, 12]]
        with pytest.raises(ValueError, match=r"a\.png: The prediction holds the label 9, outside 0 \.\. 1"):
            evaluator.process(None, [*batch, sample(9 * ones.to(PRETEND), ones.to(PRETEND))])
