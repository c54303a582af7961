"""Every config builds and runs; overrides are checked; the hash follows what can change a number."""

from pathlib import Path

import pytest
import torch
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import build, check_settings, config_hash, load_config
from mmseg_tfovss.registry import DATASETS, MODELS
from mmseg_tfovss.vocabulary import load_vocabulary

CONFIGS = Path(__file__).parents[1] / "configs"
LEAVES = sorted(path for path in CONFIGS.glob("*/*.py") if path.parent.name != "_base_")
SCLIP = CONFIGS / "sclip" / "sclip_vit-b16_voc21.py"


def test_every_method_has_its_configs():
    """A new method adds its configs without touching this test; none may get lost."""
    assert len(LEAVES) >= 25
    for folder in {path.parent for path in LEAVES}:
        for dataset in ("pocket_all", "pocket_thing"):
            assert (folder / f"{folder.name}_vit-pocket_{dataset}.py").is_file()


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_leaf_builds_and_labels_an_image(path, mini_clip):
    config = load_config(path, {"model.backbone.pretrained": str(mini_clip), "model.backbone.arch": "auto"})
    check_settings(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    assert config.dataset == path.stem.split("_", 2)[2]
    assert path.stem.startswith(f"{path.parent.name}_")
    transforms = {transform["type"]: transform for transform in config.test_dataloader.dataset.pipeline}
    assert transforms["ResizeShortSide"]["short_side"] == config.short_side
    classes = len(load_vocabulary(config.model.decode_head.vocabulary).classes)
    assert classes == len(DATASETS.get(config.test_dataloader.dataset.type).METAINFO["classes"])

    model = build(config.model, MODELS, "model")
    model.decode_head.text_features = torch.nn.functional.normalize(
        torch.randn(model.decode_head.out_channels, model.backbone.proj.shape[1]), dim=1
    )
    sample = SegDataSample(metainfo={"ori_shape": (40, 52)})
    labels = model.predict([torch.randn(3, 40, 52)], [sample])[0].pred_sem_seg.data
    assert labels.shape == (1, 40, 52)
    assert 0 <= int(labels.min()) <= int(labels.max()) < classes


def test_short_side_reaches_the_pipeline():
    config = load_config(SCLIP, {"short_side": 500})
    assert config.test_dataloader.dataset.pipeline[1].short_side == 500


def test_missing_config_offers_near_matches():
    with pytest.raises(FileNotFoundError, match=r"Did you mean .*sclip_vit-b16_voc21\.py"):
        load_config(CONFIGS / "sclip" / "sclip_vitb16_voc21.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = [1,", "cannot be read: SyntaxError"), ("x = 1", "has no 'model'"), ("raise KeyError(1)", "cannot be read")],
)
def test_unusable_files_are_named(tmp_path, text, message):
    path = tmp_path / "c.py"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_config(path)


def test_protocol_must_be_declared():
    with pytest.raises(ValueError, match=r"protocol must be one of \['paper', 'unified'\]"):
        load_config(SCLIP, {"protocol": "mine"})


def test_unknown_override_offers_near_matches():
    with pytest.raises(ValueError, match=r"unknown config key 'modl'\. Did you mean model"):
        load_config(SCLIP, {"modl.precision": "bf16"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.type", "SCLIPP", "Did you mean SCLIP"),
        ("model.precison", "bf16", "unknown option of SCLIP 'precison'. Did you mean precision"),
        ("model.decode_head.logitscale", 3, "Did you mean logit_scale"),
        ("model.backbone.type", "CLIPEncoder", "Did you mean CLIPImageEncoder"),
    ],
)
def test_unknown_components_and_options_offer_near_matches(key, value, message):
    config = load_config(SCLIP, {key: value})
    with pytest.raises(ValueError, match=message):
        check_settings(config.model, MODELS, "model")


def test_hash_ignores_what_cannot_change_a_number():
    base = config_hash(load_config(SCLIP))
    for key, value in (("work_dir", "elsewhere"), ("launcher", "slurm"), ("test_dataloader.num_workers", 9)):
        assert config_hash(load_config(SCLIP, {key: value})) == base
    for key, value in (("short_side", 337), ("model.precision", "bf16"), ("model.decode_head.prob_threshold", 0.2)):
        assert config_hash(load_config(SCLIP, {key: value})) != base


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model.backbone": "ViT-B-16"}, r"has no settings model\.backbone=dict"),
        ({"model.test_cfg": "whole"}, r"has no settings model\.test_cfg=dict"),
        ({"model": 3}, r"has no settings model\.backbone=dict"),
        ({"short_side.x": 3}, r"The options short_side\.x do not fit"),
    ],
)
def test_overrides_of_the_wrong_kind_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load_config(SCLIP, options)
