"""What may not change while a run is interrupted."""

import pytest
import torch
from torch import nn

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.dataset_files import dataset_files, dataset_hash
from mmseg_tfovss.engine.identity import networks_of, run_identity
from mmseg_tfovss.engine.preflight import build_dataset
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.registry import MODELS
from tests.engine.test_run import CONFIG, make_voc, small_options


@pytest.fixture
def parts(tmp_path, mini_clip):
    config = load_config(CONFIG, small_options(make_voc(tmp_path), mini_clip, tmp_path / "work"))
    model = build_method(config, "cpu")
    return config, build_dataset(config), model


def changed(parts, before):
    after = run_identity(*parts)
    return {name for name in {**before, **after} if before.get(name) != after.get(name)}


def test_settings_are_named_one_by_one(parts):
    config, *_ = parts
    before = run_identity(*parts)
    config.model.pamr_steps = 3
    config.model.test_cfg.stride = 8
    config.model.short_side = 100
    names = {"model.pamr_steps", "model.test_cfg.stride", "model.short_side"}
    assert changed(parts, before) == names
    assert before["model.test_cfg.stride"] == "16"


def test_what_cannot_change_a_number_is_left_out(parts):
    config, *_ = parts
    before = run_identity(*parts)
    config.test_dataloader.num_workers = 9
    config.test_cfg.save_images = 1
    config.work_dir = "elsewhere"
    assert changed(parts, before) == set()


def test_files_of_the_dataset(parts, tmp_path):
    _, dataset, _ = parts
    whole, batches = dataset_hash(dataset), dataset_files(dataset).batch_hashes(2)
    assert len(batches) == 2
    path = tmp_path / "VOC2012/SegmentationClass/1.png"
    path.write_bytes(path.read_bytes() + b"more")
    assert dataset_hash(dataset) != whole
    assert (dataset_files(dataset).batch_hashes(2) != batches).tolist() == [True, False]
    assert (dataset_files(dataset).batch_hashes(1) != dataset_files(dataset).batch_hashes(1)).sum() == 0


def test_weights_and_vocabulary_and_code_and_versions(parts):
    _, _, model = parts
    before = run_identity(*parts)
    assert before["the weights"] == model.backbone.weights_hash
    assert before["the vocabulary"] == model.decode_head.vocabulary.hash
    assert len(before["the code"]) == 64
    assert "the version of torch" in before
    model.backbone.weights_hash = "other"
    assert changed(parts, before) == {"the weights"}


@MODELS.register_module()
class Unnamed(nn.Module):
    """A second network whose author has thought of neither name nor hash."""

    def __init__(self, value=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((2,), value))

    def graph(self, images, grid):
        raise NotImplementedError


def test_every_network_of_a_method_and_of_its_base_counts(parts):
    config, dataset, model = parts
    config.model = {
        "type": "DSLO",
        "base": {"type": "CLIPtrase", "cluster": "none", "mask_network": {"type": "Unnamed"}},
        "graph": {"type": "Unnamed", "value": 1.0},
        "backbone": config.model.backbone,
        "decode_head": config.model.decode_head,
    }
    composed = build_method(config, "cpu")
    tower, masks, graph = networks_of(composed)
    assert tower is composed.backbone
    assert (masks, graph) == (composed.base.mask_network, composed.graph)
    assert (tower.weights_hash, masks.name, graph.name) == (model.backbone.weights_hash, "Unnamed", "Unnamed")
    assert masks.weights_hash != graph.weights_hash
    before = run_identity(config, dataset, composed)
    for name in ("model.base.mask_network.value", "model.graph.value"):
        config.merge_from_dict({name: 2.0})
        after = run_identity(config, dataset, build_method(config, "cpu"))
        assert {key for key in {**before, **after} if before.get(key) != after.get(key)} == {"the weights", name}
        before = after


def test_what_a_method_has_read_by_its_content(parts, tmp_path):
    _, _, model = parts
    before = run_identity(*parts)
    ranking = tmp_path / "ranking.json"
    ranking.write_text("[[1, 0]]")
    model.backbone.input_files = (ranking,)  # of any part of it
    read = run_identity(*parts)
    assert changed(parts, before) == {"the content of ranking.json"}
    ranking.write_text("[[1, 1]]")  # of the same size
    assert changed(parts, read) == {"the content of ranking.json"}


def test_the_place_of_the_dataset_is_left_out(parts, tmp_path):
    config, dataset, model = parts
    before, files = run_identity(*parts), dataset_hash(dataset)
    (tmp_path / "VOC2012").rename(tmp_path / "moved")
    config.test_dataloader.dataset.data_root = str(tmp_path / "moved")
    assert dataset_hash(build_dataset(config)) == files
    assert changed((config, build_dataset(config), model), before) == set()
