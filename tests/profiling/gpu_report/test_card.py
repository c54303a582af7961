"""Facts on the machine, and the rate of matrix products."""

import subprocess
from types import SimpleNamespace

import pytest
import torch

from mmseg_tfovss.profiling import roofline
from mmseg_tfovss.profiling.gpu_report import card
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline

CPU = torch.device("cpu")


def facts(device):
    return {row["what"]: row["value"] for row in card.describe(device)}


def test_a_cpu():
    found = facts(CPU)
    assert found["GPU"] == "none was used"
    assert found["PyTorch"] == torch.__version__
    assert found["TF32 in convolutions"] == torch.backends.cudnn.allow_tf32


def test_a_gpu(monkeypatch):
    properties = SimpleNamespace(name="X100", total_memory=80 * 2**30, major=9, minor=0, multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(card.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(card.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="580.1\n580.1\n"))
    found = facts(torch.device("cuda"))
    assert (found["GPU"], found["memory of the GPU"], found["compute capability"]) == ("X100", "80.0 GiB", "9.0")
    assert found["driver"] == "580.1"


@pytest.mark.parametrize(
    ("where", "error", "told"),
    [
        (None, None, "unknown (no nvidia-smi)"),
        ("/bin/nvidia-smi", subprocess.TimeoutExpired("nvidia-smi", 20), "unknown (TimeoutExpired)"),
    ],
)
def test_a_driver_that_does_not_tell(monkeypatch, where, error, told):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(card.shutil, "which", lambda name: where)
    monkeypatch.setattr(card.subprocess, "run", fail)
    assert card._driver() == told


def test_rates_of_a_cpu(monkeypatch):
    monkeypatch.setattr(roofline, "_SIDE_ON_A_CPU", 64)
    one, other = card.matmul_rates(CPU, Deadline(0))
    assert [row["what"] for row in (one, other)] == ["matrix product, fp32", "matrix product, bf16"]
    assert one["flops_per_second"] > 1e6
    assert one["value"].endswith(" TFLOP/s (side 64)")


def test_products_are_repeated_until_time_is_over(monkeypatch):
    monkeypatch.setattr(roofline, "_SIDE_ON_A_CPU", 8)
    measured, over = [], iter((False, False, True))
    monkeypatch.setattr(card.MatmulRate, "measure", lambda self: measured.append(self.side))
    card.best_rate(CPU, "fp32", SimpleNamespace(over=lambda: next(over)))
    assert measured == [8] * 3  # the first one warms up


def test_tf32_is_as_before_afterwards():
    before = torch.backends.cuda.matmul.allow_tf32
    with card._tf32(True):
        assert torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_rates_of_a_gpu_are_of_four_kinds(monkeypatch):
    rate = SimpleNamespace(best=5e5, side=8192)
    monkeypatch.setattr(card, "best_rate", lambda device, precision, deadline: rate)
    rows = list(card.matmul_rates(torch.device("cuda"), Deadline(60)))
    assert [row["what"].removeprefix("matrix product, ") for row in rows] == ["fp32", "bf16", "fp16", "fp32 as TF32"]
    assert rows[0]["value"] == "500.00 TFLOP/s (side 8192)"
