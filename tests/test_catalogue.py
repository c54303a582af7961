"""Methods and configs by name."""

from pathlib import Path

import pytest

from mmseg_tfovss import catalogue
from mmseg_tfovss.catalogue import config_names, find_config, find_method, list_methods, method_names

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["lht_clip", "LHT-CLIP", "LHTCLIP", "Lht Clip"])
def test_methods_are_found_in_any_spelling(name):
    assert find_method(name, "ViT-L-14").name == "lht_clip_vit-l14_voc20.py"


def test_other_backbones_and_settings_have_their_configs():
    assert find_method("LPOSS+", "ViT-B-16").name == "lposs_vit-b16-plus_voc20.py"
    assert find_method("sclip", "ViT-H-14").name == "sclip_vit-b16_voc20.py"
    assert find_method("dslo_op", "", pocket=True).name == "dslo_vit-pocket-op_pocket_all.py"


def test_every_method_is_listed_with_its_paper_and_companions():
    methods = list_methods()
    folders = {path.parent.name for path in (ROOT / "configs").glob("*/*_voc20.py")}
    assert folders <= set(methods)
    for name, facts in methods.items():
        assert facts.url.startswith("https://arxiv.org/abs/"), name
        assert facts.idea, name
        assert facts.title, name
    assert methods["trident"].companions == ("DINO facebook/dino-vitb16", "SAM facebook/sam-vit-base")
    assert methods["sclip"].companions == ()


def test_configs_are_found_by_name_and_by_path():
    assert find_config("sclip_vit-b16_voc21") == ROOT / "configs/sclip/sclip_vit-b16_voc21.py"
    assert find_config("dslo_vit-b16-cass-op_voc21").parent.name == "versatility"
    assert find_config("folder/none.py") == find_config(Path("folder/none.py")) == Path("folder/none.py")
    assert find_config("sclip") is None
    assert find_config("runtime") is None  # a base is no config
    assert len(config_names()) == len(set(config_names())) > 500


def test_no_name_is_of_two_configs_or_methods():
    files = [path.stem for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts]
    assert sorted(files) == config_names()
    squeezed = [catalogue.squeezed(name) for name in method_names()]
    assert len(set(squeezed)) == len(squeezed)


def test_a_name_that_is_none_is_told_with_those_that_are():
    with pytest.raises(ValueError, match=r"'narclip' is neither a method nor a config\. Did you mean naclip"):
        find_method("narclip", "ViT-B-16")
