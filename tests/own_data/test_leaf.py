"""Configs of methods on own data: the very settings that the method has here under the unified protocol."""

import shutil

import pytest

from mmseg_tfovss import catalogue
from mmseg_tfovss.catalogue import config_folder, find_method
from mmseg_tfovss.config import load_config
from mmseg_tfovss.own_data.folder import write_files
from mmseg_tfovss.own_data.leaf import make_leaves
from mmseg_tfovss.own_data.table import ClassTable

TABLE = ClassTable(("cat", "dog"), (("cat",), ("dog", "puppy")), (0, 1), False, False)
POCKET = ("sclip", "cass", "dslo_op", "lht_clip_cliptrase")


def check_leaves(folder, leaves):
    write_files(folder, "mine", TABLE, [("1.png", "1.png")], leaves, {}, "tfovss dataset init mine")
    for leaf in leaves:
        config = load_config(folder / leaf.name)
        stem = leaf.name.removesuffix("_mine.py")
        method, _, rest = stem.partition("_vit-")
        backbone, _, setting = rest.partition("-")
        name = "_".join(filter(None, (method, setting.replace("-", "_"))))
        own = load_config(find_method(name, f"vit-{backbone}", pocket=backbone == "pocket"), {"protocol": "unified"})
        own.model.decode_head.vocabulary = ["cat", "dog, puppy"]
        assert config.model.to_dict() == own.model.to_dict(), leaf.name
        assert config.get("setting", "") == own.get("setting", ""), leaf.name
        assert config.overrides == {}, leaf.name
        assert (config.dataset, config.protocol, config.run_name) == ("mine", "unified", f"{stem}_mine")


def test_settings_are_those_of_the_unified_protocol(tmp_path):
    check_leaves(tmp_path, [*make_leaves("mine", POCKET, ["vit-pocket"]), *make_leaves("mine", ["lposs"], ["vit-b16"])])


@pytest.mark.slow
def test_every_method_on_every_backbone(tmp_path):
    leaves = make_leaves("mine", ["all"], ["vit-b16", "vit-l14", "vit-h14", "vit-pocket"])
    assert len(leaves) > 80
    check_leaves(tmp_path, leaves)


def test_what_is_changed_in_a_file_is_said_in_results(tmp_path):
    leaves = make_leaves("mine", ["sclip"], ["vit-pocket"])
    write_files(tmp_path, "mine", TABLE, [("1.png", "1.png")], leaves, {}, "tfovss dataset init mine")
    path = tmp_path / leaves[0].name
    path.write_text(f"{path.read_text()}\nmodel['pamr_steps'] = 10\n")
    assert load_config(path).overrides == {"model.pamr_steps": "10"}


def test_any_spelling_of_a_method(tmp_path):
    assert [leaf.name for leaf in make_leaves("mine", ["LHT-CLIP"], ["vit-l14"])] == ["lht_clip_vit-l14_mine.py"]


def test_a_method_with_settings_for_the_pocket_clip_only(tmp_path, monkeypatch):
    """As the first config of one's own method is."""
    own = tmp_path / "mymethod/mymethod_vit-pocket_pocket_all.py"
    own.parent.mkdir()
    shutil.copytree(config_folder() / "_base_", tmp_path / "_base_")
    shutil.copy(config_folder() / "sclip/sclip_vit-pocket_pocket_all.py", own)
    monkeypatch.setattr(catalogue, "config_folder", lambda: tmp_path)
    catalogue.configs_on.cache_clear()
    try:
        assert [leaf.name for leaf in make_leaves("mine", ["mymethod"], ["vit-pocket"])] == [
            "mymethod_vit-pocket_mine.py"
        ]
        with pytest.raises(ValueError, match=r"mymethod has no settings for vit-b16: set --backbones vit-pocket, or"):
            make_leaves("mine", ["mymethod"], ["vit-b16", "vit-pocket"])
        with pytest.raises(ValueError, match=r"mymethod/mymethod_vit-b16_voc20\.py\."):
            make_leaves("mine", ["mymethod"], ["vit-b16"])
    finally:
        catalogue.configs_on.cache_clear()
