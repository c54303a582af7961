"""The comparison of a device with the CPU sees differences, and sees none where there are none."""

import pytest
import torch

from mmseg_tfovss.profiling.gpu_report import parity
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.parity import compare_devices, largest_difference, no_tf32, same_share

INF = torch.inf


def test_the_cpu_agrees_with_itself(bench):
    one, other = compare_devices(bench, "NACLIP", Deadline(60))
    assert (one["method"], one["precision"], other["precision"]) == ("NACLIP", "fp32", "bf16")
    assert one["difference"] == 0
    assert one["same_queries"] == one["same_labels"] == one["batch_labels"] == 1
    assert one["classes"] > 1
    assert 0 < other["difference"] < 0.1 < one["largest"] <= 1


def test_a_device_that_computes_something_else_is_seen(bench, monkeypatch):
    build = bench.build

    def other_words(method, precision, device=None):
        model = build(method, precision, device)
        if device is None:
            model.decode_head.text_features = model.decode_head.text_features.roll(1, dims=0)
        return model

    monkeypatch.setattr(bench, "build", other_words)
    row = next(compare_devices(bench, "SCLIP", Deadline(60)))
    assert row["difference"] > 1e-3
    assert row["same_labels"] < 1
    assert row["same_queries"] < 0.9
    assert row["batch_labels"] == 1


def test_a_batch_that_is_not_its_images_is_seen(bench, monkeypatch):
    answers = parity.answers

    def mixed(model, batch):
        found = answers(model, batch)
        return found[::-1]

    monkeypatch.setattr(parity, "answers", mixed)
    row = next(compare_devices(bench, "SCLIP", Deadline(60)))
    assert row["difference"] == 0
    assert row["batch_labels"] < 1
    assert row["batch_difference"] > 1e-3


def test_what_there_is_no_time_for_is_said(bench):
    row, told = compare_devices(bench, "SCLIP", Deadline(0))
    assert row["precision"] == "fp32"
    assert told == "SCLIP in bf16: left out, for the time was up."


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([-INF, 2.0], [-INF, 2.25], 0.25),
        ([-INF, 2.0], [1.0, 2.0], INF),
        ([-INF, -INF], [-INF, -INF], 0.0),
    ],
)
def test_largest_difference(one, other, expected):
    assert largest_difference(torch.tensor(one), torch.tensor(other)) == expected


def test_same_share():
    assert same_share(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 2], [3, 5]])) == 0.75


def test_no_tf32_lasts_for_the_block():
    before = torch.backends.cudnn.allow_tf32
    with no_tf32():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.slow
def test_on_a_gpu_networks_with_convolutions_are_also_compared_without_tf32(pretended_gpu):
    def precisions(method):
        return [row["precision"] for row in compare_devices(pretended_gpu, method, Deadline(60))]

    assert precisions("ProxyCLIP") == ["fp32", "fp32, no TF32", "fp16", "bf16"]
    assert precisions("SCLIP") == ["fp32", "fp16", "bf16"]
