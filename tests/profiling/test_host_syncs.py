"""Counting what a method waits for."""

import copy
import warnings

import pytest
import torch

from mmseg_tfovss.profiling.host_syncs import host_syncs, reported_by_cuda, sync_table
from tests.methods.test_base import random_images, samples


@pytest.fixture
def batch():
    return {"inputs": random_images((40, 32), (32, 40)), "data_samples": samples((40, 32), (32, 40))}


def test_model_and_batch_stay_as_they_are(build_method, batch):
    model = build_method("SCLIP")
    before = copy.deepcopy(batch["data_samples"][0].metainfo)
    assert len(host_syncs(model, batch)) == 1
    assert model.decode_head.query_class.device.type == "cpu"
    assert batch["data_samples"][0].metainfo == before
    assert "pred_sem_seg" not in batch["data_samples"][0]


def test_what_a_method_of_ones_own_waits_for_is_found(build_method, batch, monkeypatch):
    model = build_method("SCLIP")
    kind = type(model)
    encode = kind.encode
    monkeypatch.setattr(kind, "encode", lambda self, windows: (float(windows.images.max()), encode(self, windows))[1])
    found = host_syncs(model, batch)
    assert len(found) > 1
    assert {sync.operation for sync in found} == {"_local_scalar_dense", "copy to the host"}


def test_a_label_threshold_and_small_areas_wait_for_nothing(build_method, batch):
    model = build_method("SCLIP", decode_head={"prob_threshold": 0.2, "area_threshold": 0.1})
    assert len(host_syncs(model, batch)) == 1


def use_sparse(monkeypatch, model, fail):
    kind = type(model)
    encode = kind.encode

    def sparse(self, windows):
        fail()
        windows.images.flatten().to_sparse().coalesce()
        return encode(self, windows)

    monkeypatch.setattr(kind, "encode", sparse)


def test_what_the_pretended_device_lacks_is_told_in_a_sentence(build_method, batch, monkeypatch):
    model = build_method("SCLIP")
    use_sparse(monkeypatch, model, lambda: None)
    with pytest.raises(ValueError, match=r"^The waits of SCLIP can be counted on a GPU only: .* \(.*\)\.$"):
        host_syncs(model, batch)


def test_an_error_of_the_method_itself_is_not_blamed_on_the_device(build_method, batch, monkeypatch):
    def fail():
        raise RuntimeError("no such kernel")

    model = build_method("SCLIP")
    use_sparse(monkeypatch, model, fail)
    with pytest.raises(RuntimeError, match=r"^no such kernel$"):
        host_syncs(model, batch)


@pytest.fixture
def modes(monkeypatch):
    """What CUDA's debug mode was set to."""
    found = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", found.append)
    return found


def test_what_cuda_reports_is_counted(modes):
    """As torch does it: one warning each time, also where a program silences warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with reported_by_cuda() as found:
            for _ in range(2):
                warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
    assert modes == ["warn", 0]
    assert len(found) == 2
    assert found[0].place.startswith("test_host_syncs.py:")


def test_cuda_s_debug_mode_is_put_back_after_an_error(modes):
    with pytest.raises(ZeroDivisionError), reported_by_cuda():
        raise ZeroDivisionError
    assert modes == ["warn", 0]


def test_the_table_counts_by_place(build_method, batch):
    table = sync_table("run", 3 * host_syncs(build_method("SCLIP"), batch))
    assert [list(column.cells) for column in table.columns][2] == ["3", "3"]
