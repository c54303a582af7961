"""The methods run with their own configs on networks that need no download."""

import sys

import numpy as np
import pytest
import torch

from mmseg_tfovss.profiling.gpu_report.bench import METHODS, Bench
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError


@pytest.mark.slow
def test_a_method_has_the_same_weights_and_words_in_every_precision(bench):
    one, other = (bench.build("LHT-CLIP", precision) for precision in ("fp32", "bf16"))
    assert torch.equal(one.backbone.proj, other.backbone.proj)
    assert torch.equal(one.decode_head.text_features, other.decode_head.text_features)
    assert one.backbone.blocks[0].c_fc.weight.dtype == torch.float32
    assert other.backbone.blocks[0].c_fc.weight.dtype == torch.bfloat16
    assert one.plugins == []
    assert sum(len(heads) for heads in one.base.plugins[0].heads.values()) == 10  # SHE takes part


def test_all_networks_have_the_precision(bench):
    config = bench.config("DSLO", "bf16")
    assert config.model.precision == config.model.graph.precision == "bf16"
    assert bench.build("ProxyCLIP", "bf16").vfm.model.dtype == torch.bfloat16


def test_configs_are_those_of_users(bench):
    config = bench.config("SCLIP", "fp32")
    assert config.run_name == "sclip_vit-b16_voc21"
    assert config.model.decode_head.area_threshold == 0.1


def test_images_of_a_batch_differ_and_may_be_resized(bench):
    batch = bench.batch(3)
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 64, 64)] * 3
    assert not torch.equal(batch["inputs"][0], batch["inputs"][1])
    one = bench.batch(1, (32, 48))
    assert tuple(one["inputs"][0].shape) == (3, 32, 48)
    assert one["data_samples"][0].ori_shape == (32, 48)


def test_random_weights_are_written_once(bench, monkeypatch):
    bench.config("ProxyCLIP", "fp32")
    first = {path: path.stat().st_mtime_ns for path in bench.scratch.glob("random_*")}
    assert {path.name for path in first} == {"random_ViT-B-16.pt", "random_dino_vitb8.pth"}
    monkeypatch.setattr(torch, "save", lambda *_: 1 / 0)
    bench.config("ProxyCLIP", "fp32")
    assert {path: path.stat().st_mtime_ns for path in bench.scratch.glob("random_*")} == first


def test_a_missing_package_leaves_a_method_out(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(LeftOutError, match=r"^DSLO needs the package diffusers, .*mmseg_tfovss\[diffusion\]'\.$"):
        bench.build("DSLO", "fp32")


def test_half_precision_of_a_gpu_is_float16(bench):
    gpu = Bench(bench.network, torch.device("cuda"), bench.image, bench.scratch)
    assert (gpu.precisions, gpu.half) == (("fp32", "fp16", "bf16"), "fp16")
    assert (bench.precisions, bench.half) == (("fp32", "bf16"), "bf16")


def test_every_method_has_its_config(bench):
    kinds = [bench.config(method, "fp32").model.type for method in METHODS]
    assert kinds == ["SCLIP", "NACLIP", "CLIPtrase", "LHTCLIP", "DSLO", "ProxyCLIP"]


# CLIPtrase and LHT-CLIP find all patches of so small a random network alike.
@pytest.mark.parametrize("method", ["SCLIP", "NACLIP", "ProxyCLIP", pytest.param("DSLO", marks=pytest.mark.slow)])
def test_labels_are_not_all_of_one_class(bench, method):
    model = bench.build(method, "fp32")
    [sample] = model.test_step(bench.batch(1))
    labels = sample.pred_sem_seg.data.numpy()
    assert labels.shape == (1, 64, 64)
    assert len(np.unique(labels)) > 1
