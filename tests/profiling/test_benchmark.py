"""The stage timer reports every stage and honest counts."""

import time

import pytest
import torch

from mmseg_tfovss.leaderboard.table import print_table
from mmseg_tfovss.profiling.benchmark import (
    COMPONENTS,
    STAGES,
    time_stages,
)
from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.random_weights.text import use_random_text
from mmseg_tfovss.profiling.tables import benchmark_table


def test_every_stage_is_timed(build_method, tmp_path, capsys):
    model = build_method("SCLIP")
    use_random_text(model)
    image = make_noise_image(tmp_path / "noise.jpg", (60, 80))
    timing = time_stages(model, image, repeats=2)
    assert set(timing.seconds) == set(STAGES)
    assert all(seconds > 0 for seconds in timing.seconds.values())
    assert timing.labels.shape == (60, 80)
    assert timing.parameters == sum(parameter.numel() for parameter in model.backbone.parameters())
    print_table(benchmark_table("run", {"fp32": timing}))
    text = capsys.readouterr().out
    assert all(stage in text for stage in (*STAGES, "images / s", "encoder GFLOP", "peak memory", "100.00 %"))
    assert timing.matmul_rate > 0


def test_steps_that_a_method_names_are_timed_and_part_of_their_stage(build_method, tmp_path, capsys):
    model = build_method("CLIPtrase", test_cfg={"mode": "whole"}, eps=0.9, min_samples=2)
    use_random_text(model)
    timing = time_stages(model, make_noise_image(tmp_path / "noise.jpg", (64, 64)), repeats=2)
    assert set(timing.steps) == {"correlate", "clusters", "find_regions"}
    assert 0 < timing.steps["clusters"] < timing.steps["find_regions"]
    assert timing.steps["correlate"] > 0
    assert not set(timing.steps) & set(vars(model))
    print_table(benchmark_table("run", {"fp32": timing}))
    assert "of which clusters (s)" in capsys.readouterr().out


@pytest.fixture
def image(tmp_path):
    return make_noise_image(tmp_path / "noise.jpg", (64, 64))


def test_components_are_the_stages_where_a_method_names_no_steps(build_method, image):
    model = build_method("SCLIP")
    use_random_text(model)
    timing = time_stages(model, image, repeats=1)
    assert timing.components == {
        "logits": timing.seconds["encoder"],
        "attention": None,
        "distribution": None,
        "upsampling": timing.seconds["upsample+argmax"],
    }
    assert timing.inference_seconds == timing.components["logits"] + timing.components["upsampling"]


def test_components_are_the_steps_that_a_method_names(build_method, image, monkeypatch):
    model = build_method("SCLIP")
    use_random_text(model)
    kind = type(model)
    plain, label = kind.encode, kind.label

    def waiting(self, blocks):
        for block in blocks:
            time.sleep(0.02)
            yield block

    def labelled(self, scene, refined):
        list(self.waiting(range(3)))
        return label(self, scene, refined)

    monkeypatch.setattr(kind, "waiting", waiting, raising=False)
    monkeypatch.setattr(kind, "label", labelled)
    monkeypatch.setattr(kind, "encode", lambda self, windows: plain(self, windows=windows))
    monkeypatch.setattr(kind, "timed_steps", ("encode", "waiting", "pop"))
    monkeypatch.setattr(kind, "pop", lambda self: None, raising=False)
    parts = {"logits": "encode", "upsampling": "waiting", "attention": "pop"}
    monkeypatch.setattr(kind, "complexity_steps", parts)
    timing = time_stages(model, image, repeats=2)
    assert tuple(timing.components) == COMPONENTS
    assert timing.steps["waiting"] >= 0.06  # what is given one by one counts in full
    assert timing.components["upsampling"] == timing.steps["waiting"] < timing.seconds["upsample+argmax"]
    assert timing.components["logits"] == timing.steps["encode"] <= timing.seconds["encoder"]
    assert timing.components["attention"] is None  # never called
    assert timing.components["distribution"] is None


def test_the_methods_own_steps_are_back_also_after_an_error(build_method, image, monkeypatch):
    model = build_method("CLIPtrase", test_cfg={"mode": "whole"}, eps=0.9, min_samples=2)
    use_random_text(model)
    monkeypatch.setattr(type(model), "label", lambda self, scene, refined: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        time_stages(model, image, repeats=1)
    assert not set(model.timed_steps) & set(vars(model))


def test_components_of_dslo_are_timed_in_full(build_method, image, monkeypatch):
    """Upsampling too, although its strips are computed while they are labelled."""
    import mmseg_tfovss.ops.upsampling as module

    model = build_method("DSLO", test_cfg={"mode": "whole"}, graph={"type": "CLIPGraph"})
    use_random_text(model)
    inner = module.upsampled_strips

    def slow(*args, **kwargs):
        for strip in inner(*args, **kwargs):
            time.sleep(0.05)
            yield strip

    monkeypatch.setattr(module, "upsampled_strips", slow)
    timing = time_stages(model, image, repeats=1)
    assert set(timing.steps) == {"encode", "graph_attention", "distribution", "upsample"}
    assert all(timing.components[name] > 0 for name in COMPONENTS)
    assert timing.components["logits"] + timing.components["attention"] <= timing.seconds["encoder"]
    assert timing.seconds["upsample+argmax"] > 0.05
    assert timing.components["upsampling"] > 0.05


def test_steps_of_a_base_are_timed_under_its_name(build_method, image):
    """And the base has its own methods back."""
    base = {"type": "CLIPtrase", "eps": 0.9, "min_samples": 2}
    model = build_method("LHTCLIP", test_cfg={"mode": "whole"}, base=base, k=0)
    use_random_text(model)
    timing = time_stages(model, image, repeats=1)
    own = {"token_plugins.after_block"}
    assert set(timing.steps) == own | {"base.correlate", "base.clusters", "base.find_regions"}
    assert 0 < timing.steps["base.clusters"] < timing.steps["base.find_regions"]
    assert timing.steps["base.correlate"] > 0
    assert not {"correlate", "clusters", "find_regions"} & set(vars(model.base))


def test_parameters_of_all_networks_are_counted(build_method, image):
    plain = build_method("CLIP", test_cfg={"mode": "whole"})
    own = sum(parameter.numel() for parameter in plain.backbone.parameters())
    [text] = plain.backbone._text_tower
    use_random_text(plain)
    plain.further = torch.nn.Linear(3, 4)
    timing = time_stages(plain, image, repeats=1)
    assert timing.parameters == own
    assert timing.all_parameters == own + 16
    assert timing.text_parameters == sum(parameter.numel() for parameter in text.parameters())
    plain.backbone.pop_text_encoder()
    assert time_stages(plain, image, repeats=1).text_parameters is None


def test_matrix_products_after_the_encoder_count_in_the_total(build_method, image, monkeypatch):
    model = build_method("CLIP", test_cfg={"mode": "whole"})
    use_random_text(model)
    before = time_stages(model, image, repeats=1)
    kind = type(model)
    label = kind.label

    def labelled(self, scene, refined):
        flat = refined.logits.patches.flatten(1)
        assert (flat.T @ flat).shape == (64, 64)
        return label(self, scene, refined)

    monkeypatch.setattr(kind, "label", labelled)
    after = time_stages(model, image, repeats=1)
    assert after.flops == before.flops
    assert after.total_flops - before.total_flops == 2 * 64 * 64 * model.decode_head.out_channels
    assert before.total_flops >= before.flops


def test_flops_of_the_linear_layers_are_counted(build_method, tmp_path):
    model = build_method("CLIP", test_cfg={"mode": "whole"})
    use_random_text(model)
    image = make_noise_image(tmp_path / "noise.jpg", (64, 64))
    timing = time_stages(model, image, repeats=1)
    tokens = 1 + (64 // model.backbone.patch_size) ** 2
    width = model.backbone.class_embedding.numel()
    linear = len(model.backbone.blocks) * 2 * tokens * 12 * width**2
    assert linear <= timing.flops <= 2 * linear
