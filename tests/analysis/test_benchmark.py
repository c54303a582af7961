"""The stage timer reports every stage and honest counts."""

from mmseg_tfovss.analysis.benchmark import STAGES, benchmark_table, make_noise_image, time_stages, use_random_text
from mmseg_tfovss.evaluation.table import print_table


def test_every_stage_is_timed(build_method, tmp_path, capsys):
    model = build_method("SCLIP")
    use_random_text(model)
    image = make_noise_image(tmp_path / "noise.jpg", (60, 80))
    timing = time_stages(model, image, resize=64, repeats=2)
    assert set(timing.seconds) == set(STAGES)
    assert all(seconds > 0 for seconds in timing.seconds.values())
    assert timing.labels.shape == (60, 80)
    assert timing.parameters == sum(parameter.numel() for parameter in model.backbone.parameters())
    print_table(benchmark_table("run", {"fp32": timing}))
    text = capsys.readouterr().out
    assert all(stage in text for stage in (*STAGES, "images / s", "encoder GFLOP", "peak memory", "100.00 %"))


def test_steps_that_a_method_names_are_timed_and_part_of_their_stage(build_method, tmp_path, capsys):
    model = build_method("CLIPtrase", test_cfg={"mode": "whole"}, eps=0.9, min_samples=2)
    use_random_text(model)
    timing = time_stages(model, make_noise_image(tmp_path / "noise.jpg", (64, 64)), resize=64, repeats=2)
    assert set(timing.steps) == {"correlate", "clusters", "find_regions"}
    assert 0 < timing.steps["clusters"] < timing.steps["find_regions"]
    assert timing.steps["correlate"] > 0
    assert not set(timing.steps) & set(vars(model))
    print_table(benchmark_table("run", {"fp32": timing}))
    assert "of which clusters (s)" in capsys.readouterr().out


def test_flops_of_the_linear_layers_are_counted(build_method, tmp_path):
    model = build_method("CLIP", test_cfg={"mode": "whole"})
    use_random_text(model)
    image = make_noise_image(tmp_path / "noise.jpg", (64, 64))
    timing = time_stages(model, image, resize=64, repeats=1)
    tokens = 1 + (64 // model.backbone.patch_size) ** 2
    width = model.backbone.class_embedding.numel()
    linear = len(model.backbone.blocks) * 2 * tokens * 12 * width**2
    assert linear <= timing.flops <= 2 * linear


def test_noise_image_is_the_same_every_time(tmp_path):
    first, second = (make_noise_image(tmp_path / name, (33, 65)).read_bytes() for name in ("a.jpg", "b.jpg"))
    assert first == second
