"""Float16 and CUDA in official code mean float32 and this machine, also for whole numbers."""

import sys

import torch

from mmseg_tfovss.profiling.official.machine import on_device

CPU = torch.device("cpu")


def test_half_means_float32():
    with on_device(CPU):
        assert torch.ones(2, dtype=torch.int64).half().dtype == torch.float32  # nearest resizing takes no whole numbers
        assert torch.ones(2).half().dtype == torch.float32
        assert torch.nn.Linear(1, 1).half().weight.dtype == torch.float32
    assert torch.ones(2).half().dtype == torch.float16


def test_packages_that_are_used_stay():
    with on_device(CPU):
        assert {"mae", "segment_anything"} <= set(sys.modules)
    with on_device(CPU, used={"segment_anything"}):
        assert {"mae", "segment_anything"} & set(sys.modules) == {"mae"}
