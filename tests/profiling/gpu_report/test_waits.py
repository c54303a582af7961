"""Host synchronisations that PyTorch warns of are counted by place."""

import warnings
from pathlib import Path

import pytest
import torch

import mmseg_tfovss
from mmseg_tfovss.profiling.gpu_report.waits import count_waits

SAID = "called a synchronizing CUDA operation (Triggered internally at CUDAFunctions.cpp:149.)"
OURS = Path(mmseg_tfovss.__file__).parent / "ops/labels.py"


@pytest.fixture
def modes(monkeypatch):
    """What the debug mode was set to."""
    found = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", found.append)
    return found


def warn(path, line, message=SAID):
    warnings.warn_explicit(message, UserWarning, str(path), line)


def test_places_are_counted_and_the_mode_is_put_back(modes):
    def work():
        for _ in range(3):
            warn(OURS, 59)
        warn("/somewhere/torch/functional.py", 7)
        warn(OURS, 59, "another warning")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a program may have it
        found = count_waits(work, torch.device("cuda"))
    assert found == {"ops/labels.py:59": 3, "functional.py:7": 1}
    assert modes == ["warn", 0]


def test_the_mode_is_put_back_after_an_error(modes):
    with pytest.raises(ZeroDivisionError):
        count_waits(lambda: 1 / 0, torch.device("cuda"))
    assert modes == ["warn", 0]


def test_nothing_is_counted_elsewhere(modes):
    assert count_waits(lambda: 1 / 0, torch.device("cpu")) is None
    assert modes == []
