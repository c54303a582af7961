"""No silent setting: every option acts and is recorded, or is refused with a sentence."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.engine.identity import settings_of
from mmseg_tfovss.engine.preflight import check_config

CONFIGS = Path(__file__).parents[1] / "configs"
SCLIP = CONFIGS / "sclip" / "sclip_vit-pocket_pocket_all.py"
LEAVES = [
    "sclip/sclip_vit-pocket_pocket_all.py",
    "sclip/sclip_vit-b16_voc21.py",
    "cliptrase/cliptrase_vit-b16_coco_object.py",
    "dslo/dslo_vit-b16_cityscapes.py",
    "lht_clip/lht_clip_vit-pocket-cliptrase_pocket_thing.py",
    "lht_clip/lht_clip_vit-pocket-resclip_pocket_all.py",
    "gem/gem_vit-pocket_pocket_all.py",
    "clip_surgery/clip_surgery_vit-pocket_pocket_all.py",
    "resclip/resclip_vit-pocket_pocket_all.py",
    "sc_clip/sc_clip_vit-pocket_pocket_all.py",
    "rf_clip/rf_clip_vit-pocket_pocket_all.py",
    "cass/cass_vit-pocket_pocket_all.py",
    "lavg/lavg_vit-pocket_pocket_all.py",
    "trident/trident_vit-pocket_pocket_all.py",
]
# What says where things are and how a run is made: it acts, and cannot change a number.
HOW_IT_RUNS = (
    "work_dir",
    "log_level",
    "env_cfg",
    "test_cfg.save_images",
    "test_cfg.save_seconds",
    "test_dataloader.num_workers",
    "test_dataloader.dataset.data_root",
)
OTHER_TEXTS = {
    "vit-b16": "ViT-L-14",
    "paper": "unified",
    "whole": "slide",
    "slide": "whole",
    "max_velocity": "optimal_path",
}


def options_of(value, name=""):
    """Dotted names and values of everything in nested settings, list items too."""
    if isinstance(value, dict) and value:
        pairs = value.items()
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = enumerate(value)
    else:
        yield name, value
        return
    for key, item in pairs:
        yield from options_of(item, f"{name}.{key}".lstrip("."))


def another(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return OTHER_TEXTS.get(value, f"{value}x")
    return [*value, 9] if isinstance(value, list | tuple) else 7


def outcome(path, options):
    """Settings of a config with options, or the sentence that refuses them."""
    try:
        config = load_config(path, options)
        check_config(config)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return {**settings_of(config), "hash": config_hash(config)}


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_option_of_a_leaf_acts_or_is_refused(leaf):
    """Walk all options of what MMEngine reads, change one at a time, and see that the settings know, or a sentence."""
    path = CONFIGS / leaf
    before = outcome(path, {})
    assert isinstance(before, dict)
    names = dict(options_of(Config.fromfile(path).to_dict()))
    assert len(names) > 60
    silent = []
    for name, value in names.items():
        after = outcome(path, {name: another(value)})
        runs_only = any(name == one or name.startswith(f"{one}.") for one in HOW_IT_RUNS)
        if after == before and not runs_only:
            silent.append(name)
        if isinstance(after, dict) and after != before and name != "protocol":
            assert after[name] == json.dumps(another(value)), name  # recorded under its full name
    assert silent == []


def test_the_walk_finds_what_is_not_recorded(monkeypatch):
    """So that the test above can fail."""
    monkeypatch.setattr("mmseg_tfovss.config._HASHED", ("test_dataloader",))
    assert outcome(SCLIP, {"model.pamr_steps": 3}) == outcome(SCLIP, {})


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("launcher", "slurm", "use --launcher"),
        ("dataset", "voc20", "take a config of the other one"),
        ("setting", "mine", "take the config with the other one"),
        ("unified.model.short_side", 96, r"set model\.\.\.\. itself, with protocol=unified"),
        ("test_pipeline", [], r"set test_dataloader\.dataset\.pipeline"),
        ("log_level", "SILLY", "log_level must be one of"),
        ("load_from", "a.pth", r"the weights are model\.backbone\.pretrained"),
        ("resume", True, "use --resume"),
        ("test_cfg.resume", True, "use --resume"),
        ("default_scope", "mmseg", "is for config files only"),
        ("visualizer.type", "x", "is for config files only"),
        ("test_dataloader.sampler.shuffle", True, r"set test_dataloader\.dataset\.indices"),
        ("test_dataloader.shuffle", True, r"test_dataloader\.shuffle has no effect"),
        ("test_dataloader.drop_last", True, "every image is tested once"),
        ("test_dataloader.dataset.pipeline.1.short_side", 96, r"set model\.short_side"),
        ("test_dataloader.dataset.pipeline.1.type", "Resize", r"set model\.short_side"),
        ("test_dataloader.dataset.pipeline.0.tyep", "LoadImage", "unknown option of LoadImageFromFile 'tyep'"),
        ("test_evaluator.type", "IoUMetric", "IoUMetric"),
    ],
)
def test_options_that_would_not_act_name_the_one_that_does(option, value, remedy):
    with pytest.raises(ValueError, match=remedy):
        check_config(load_config(SCLIP, {option: value}))


@pytest.mark.parametrize("option", ["init_cfg", "pretrained", "train_cfg"])
def test_options_of_mmsegmentation_that_nothing_reads_are_refused(option, build_method):
    with pytest.raises(ValueError, match=rf"model\.{option}={{'a': 1}} has no effect"):
        build_method("SCLIP", **{option: {"a": 1}})


def test_a_preprocessor_that_cannot_resize_is_refused(build_method):
    with pytest.raises(
        ValueError, match=r"data_preprocessor must be a CLIPPreprocessor .* but got SegDataPreProcessor"
    ):
        build_method("SCLIP", data_preprocessor={"type": "SegDataPreProcessor"})


def own_file(folder, text, base=SCLIP):
    path = folder / "own.py"
    path.write_text(f"_base_ = {str(base)!r}\n{text}\n")
    return path


def test_a_file_on_a_unified_base_gets_what_it_sets_and_the_result_says_so(tmp_path):
    text = 'model = dict(decode_head=dict(templates="plain", logit_scale=10), test_cfg=dict(crop_size=96, stride=48))'
    for size in ("short_side = 96", "model['short_side'] = 96"):
        config = load_config(own_file(tmp_path, f"{text}\n{size}"))
        model = config.model
        found = (model.short_side, model.decode_head.templates, model.decode_head.logit_scale, model.test_cfg.crop_size)
        assert found == (96, "plain", 10, 96)
        assert config.protocol == "unified"
        assert config.overrides == {
            "model.short_side": "96",
            "model.decode_head.templates": "plain",
            "model.decode_head.logit_scale": "10",
            "model.test_cfg.crop_size": "96",
            "model.test_cfg.stride": "48",
        }


def test_a_unified_file_names_what_is_other_outside_of_its_model(tmp_path):
    config = load_config(own_file(tmp_path, "test_evaluator = dict(ignore_index=0)"))
    assert config.overrides == {"test_evaluator.ignore_index": "0"}
    square = "cliptrase/cliptrase_vit-b16_voc20.py"
    text = 'protocol = "unified"\nmodel = _base_.unified.model'
    config = load_config(own_file(tmp_path, text, CONFIGS / square))
    assert {"test_evaluator.type", "setting"} <= set(config.overrides)


@pytest.mark.parametrize("text", ["short_side = 128\nmodel = dict(short_side=96)", "model = dict(short_side=96)"])
def test_two_sizes_in_a_file_and_its_bases_are_refused(tmp_path, text):
    base = tmp_path / "base.py"
    base.write_text(f"_base_ = {str(SCLIP)!r}\nshort_side = 64\n")
    with pytest.raises(ValueError, match=r"short_side is set twice in config .*own\.py and its bases"):
        load_config(own_file(tmp_path, text, base))


def test_a_size_of_none_at_the_top_is_one(tmp_path):
    assert load_config(own_file(tmp_path, "short_side = None")).model.short_side is None


def test_hooks_are_part_of_a_run(tmp_path):
    plain = load_config(own_file(tmp_path, ""))
    hooked = load_config(own_file(tmp_path, "custom_hooks = [dict(type='MyHook', threshold=3)]"))
    assert config_hash(plain) != config_hash(hooked)


def test_the_command_line_comes_after_the_file(tmp_path):
    config = load_config(own_file(tmp_path, "model = dict(decode_head=dict(logit_scale=10))"), {"model.pamr_steps": 2})
    assert config.overrides == {"model.decode_head.logit_scale": "10", "model.pamr_steps": "2"}


def test_a_paper_file_that_calls_itself_unified_says_how_it_differs(tmp_path):
    config = load_config(own_file(tmp_path, 'protocol = "unified"', CONFIGS / "sclip/sclip_vit-b16_voc21.py"))
    assert config.overrides == {
        "model.decode_head.logit_scale": "65",
        "model.decode_head.area_threshold": "0.1",
        **dict.fromkeys(
            ("model.centre_square", "model.stretch_to_square", "model.pamr_steps", "model.decode_head.templates"),
            "default",
        ),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper = dict(model=dict())", "paper in config .* has no effect: write its settings into the file"),
        ("relabel = dict(mapping={1: 2})", "relabel in config .* has no effect"),
        ("test_pipeline = []", r"test_pipeline and test_dataloader\.dataset\.pipeline differ"),
        ("test_dataloader = dict(dataset=dict(pipeline=[]))", "differ in config"),
        ("test_pipeline = [dict(type='LoadImage'), dict(type='Flip'), dict(type='PackSegInputs')]", "differ in config"),
        ("model = dict(_delete_=True)", r"has no settings model\.backbone"),
    ],
)
def test_what_would_not_act_in_a_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_config(own_file(tmp_path, text))


def test_a_pipeline_that_reads_alike_may_be_written_otherwise(tmp_path):
    steps = "[dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='PackSegInputs')]"
    config = load_config(own_file(tmp_path, f"test_dataloader = dict(dataset=dict(pipeline={steps}))"))
    check_config(config)
    assert config.test_pipeline == config.test_dataloader.dataset.pipeline


def test_a_unified_file_without_its_settings_is_told_how_to_get_them(tmp_path):
    bases = [str(CONFIGS / "_base_" / part) for part in ("datasets/pocket_all.py", "methods/sclip.py")]
    path = tmp_path / "own.py"
    path.write_text(f'_base_ = {bases}\nprotocol = "unified"\n')
    with pytest.raises(ValueError, match=r"write model = dict\(_base_\.unified\.model, \.\.\.\)"):
        load_config(path)
    path.write_text(f'_base_ = {bases}\nprotocol = "unified"\nmodel = _base_.unified.model\n')
    assert load_config(path).overrides == {}


def test_names_that_a_file_uses_for_itself_are_no_settings(tmp_path):
    plain = load_config(own_file(tmp_path, ""))
    named = load_config(own_file(tmp_path, "side = 96\nwords = ['a']"))
    assert config_hash(plain) == config_hash(named)
