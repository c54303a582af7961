"""Every network of a config becomes random, and none is downloaded."""

import pytest

from mmseg_tfovss.commands.benchmark import main
from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.single import build_method, segment_file
from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.random_weights import hub_networks
from mmseg_tfovss.profiling.random_weights.diffusion import RandomStableDiffusion
from mmseg_tfovss.profiling.random_weights.networks import take_random_weights
from mmseg_tfovss.profiling.random_weights.text import use_random_text

SIDE = {"model.short_side": 64}


@pytest.fixture
def image(tmp_path):
    return make_noise_image(tmp_path / "noise.jpg", (64, 64))


@pytest.fixture
def take(tiny_networks, tmp_path, image):
    def call(name, **options):
        config = load_config(f"{name}_voc21", {**SIDE, **options})
        take_random_weights(config, tmp_path, image)
        return config

    return call


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("corrclip_vit-b16", "lposs_vit-b16")]


@pytest.mark.parametrize("name", ["proxyclip_vit-b16", *SLOW])
def test_the_method_labels_an_image(name, take, image):
    model = build_method(take(name), "cpu")
    use_random_text(model)
    assert segment_file(model, image).pred.shape == (64, 64)


def test_lht_clip_adds_its_step_to_the_other_method_s(tiny_networks, image, capsys):
    configs = ["sclip_vit-b16_voc21", "lht_clip_vit-b16_voc21"]
    options = ["--random-weights", "--image", str(image), "--repeats", "1", "--cfg-options", "model.short_side=64"]
    main([*configs, *options])
    said = capsys.readouterr().out
    assert said.count("of which token_plugins.after_block (s)") == 1
    assert "Side by side" in said


def test_without_selected_heads_there_is_no_ranking(take):
    assert "ranking" not in take("lht_clip_vit-b16", **{"model.k": 0}).model


def test_the_graph_keeps_its_options(take):
    graph = take("dslo_vit-b16", **{"model.graph.time_step": 7}).model.graph
    assert (graph.type, graph.time_step) == (RandomStableDiffusion, 7)
    assert take("dslo_vit-b16-clip").model.graph == {"type": "CLIPGraph"}


def test_networks_of_the_base_are_random_too(take):
    assert take("dslo_vit-b16-cass").model.base.vfm.pretrained.endswith("random_dino_vitb8.pth")


@pytest.mark.parametrize("name", ["trident_vit-b16", "dslo_vit-b16-dinov2", "dslo_vit-b16-dinov2reg"])
def test_networks_of_transformers_are_written_once(name, take, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(hub_networks, "_write", lambda folder, *_: (folder.mkdir(), written.append(folder.name)))
    for _ in range(2):
        model = take(name).model
        network = model.get("sam") or model.graph
        assert network.pretrained == str(tmp_path / written[0])
    assert len(written) == 1


@pytest.mark.slow
def test_a_random_sam_can_be_read(take, image):
    model = build_method(take("trident_vit-b16"), "cpu")
    use_random_text(model)
    assert segment_file(model, image).pred.shape == (64, 64)


def test_other_sizes_and_bundled_networks_are_refused(take, image, tmp_path):
    with pytest.raises(ValueError, match=r"but model\.sam is facebook/sam-vit-huge\.$"):
        take("trident_vit-b16", **{"model.sam.pretrained": "facebook/sam-vit-huge"})
    with pytest.raises(ValueError, match=r"has bundled networks, .*leave --random-weights out"):
        take_random_weights(load_config("sclip_vit-pocket_pocket_all"), tmp_path, image)
