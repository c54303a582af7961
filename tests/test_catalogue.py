"""Methods and configs by name."""

import subprocess
import sys
from pathlib import Path

import pytest

import mmseg_tfovss as tf
from mmseg_tfovss import catalogue
from mmseg_tfovss.catalogue import config_names, find_config, find_method, list_methods, method_names, resolve
from mmseg_tfovss.config import load_config

ROOT = Path(__file__).parents[1]
POCKET = {"model.backbone.pretrained": "pocket"}
ON_POCKET = {**POCKET, "model.backbone.arch": "auto"}
UNIFIED = {"protocol": "unified"}
LARGE = {"model.backbone.arch": "ViT-L-14"}


@pytest.mark.parametrize(
    ("name", "options", "leaf", "expected"),
    [
        ("sclip_vit-b16_voc21", {"a": 1}, "sclip/sclip_vit-b16_voc21.py", {"a": 1}),
        ("sclip_vit-b16_voc21", POCKET, "sclip/sclip_vit-b16_voc21.py", ON_POCKET),
        ("lht_clip", {}, "lht_clip/lht_clip_vit-b16_voc20.py", UNIFIED),
        ("lht_clip", {"protocol": "paper"}, "lht_clip/lht_clip_vit-b16_voc20.py", {"protocol": "paper"}),
        ("LHT-CLIP", LARGE, "lht_clip/lht_clip_vit-l14_voc20.py", {**UNIFIED, **LARGE}),
        ("lht_clip_naclip", POCKET, "lht_clip/lht_clip_vit-pocket-naclip_pocket_all.py", {**UNIFIED, **ON_POCKET}),
        ("dslo_op", {}, "dslo/dslo_vit-b16-op_voc20.py", UNIFIED),
        ("LPOSS+", POCKET, "lposs/lposs_vit-pocket-plus_pocket_all.py", {**UNIFIED, **ON_POCKET}),
    ],
)
def test_what_names_mean(name, options, leaf, expected):
    given = dict(options)
    assert resolve(name, options) == (ROOT / "configs" / leaf, expected)
    assert resolve(Path(name), options) == (ROOT / "configs" / leaf, expected)
    assert options == given


@pytest.mark.parametrize("name", ["sclip.py", "my/sclip", "./sclip", "sclip.yaml", "tests"])
def test_what_looks_like_a_path_is_one(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert resolve(name) == (Path(name), {})


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sclip").touch()
    assert resolve("sclip") == (Path("sclip"), {})
    Path("naclip").mkdir()
    assert resolve("naclip")[0].name == "naclip_vit-b16_voc20.py"


def test_a_new_method_need_not_have_settings_for_every_clip(monkeypatch):
    leaves = {"voc20": {"real": {"vit-b16": Path("r.py")}}, "pocket_all": {"own": {"vit-pocket": Path("o.py")}}}
    monkeypatch.setattr(catalogue, "configs_on", leaves.get)
    assert method_names() == ["own", "real"]
    assert (resolve("own", POCKET)[0], resolve("real")[0]) == (Path("o.py"), Path("r.py"))
    with pytest.raises(ValueError, match=r"real has no settings for the pocket CLIP .*\. Those that have: own\."):
        resolve("real", POCKET)
    with pytest.raises(ValueError, match="own has no settings for any but the pocket CLIP: set pretrained=pocket"):
        resolve("own")


def test_a_name_loads_as_its_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ROOT / "configs/sclip/sclip_vit-b16_voc20.py"
    by_name, by_file = load_config("sclip"), load_config(file, {"protocol": "unified"})
    assert by_name.to_dict() == by_file.to_dict()
    assert (by_name.run_name, by_name.overrides) == ("sclip_vit-b16_voc20_unified", {})


@pytest.mark.parametrize("name", ["sclip", "LHT-CLIP NACLIP", "dslo_op", "lposs+", "sclip_vit-b16_voc21"])
def test_the_commands_and_the_python_interface_mean_the_same(name, monkeypatch):
    seen = []
    monkeypatch.setattr("mmseg_tfovss.api.Segmenter", lambda config, *_, **__: seen.append(config))
    tf.load(name, pretrained="pocket", device="cpu")
    assert seen[0].to_dict() == load_config(name, POCKET).to_dict()


def test_names_are_found_before_anything_slow_is_imported():
    code = (
        "import sys; from mmseg_tfovss.catalogue import resolve; resolve('LHT-CLIP'); resolve('sclip_vit-b16_voc21');"
        " print([name for name in ('mmengine', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
    with pytest.raises(ValueError, match=r"'sclip_vit-b16_voc21s' is .*\. Did you mean sclip_vit-b16_voc21 or "):
        load_config("sclip_vit-b16_voc21s")
    with pytest.raises(ValueError, match=r"'narclip' is neither a method nor a config\. Did you mean naclip"):
        find_method("narclip", "ViT-B-16")
