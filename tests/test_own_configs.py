"""Configs and methods by name."""

from pathlib import Path

import pytest

from mmseg_tfovss import own_configs
from mmseg_tfovss.config import load_config
from mmseg_tfovss.own_configs import config_files, find_config, method_names

ROOT = Path(__file__).parents[1]
POCKET = {"model.backbone.pretrained": "pocket"}


def test_every_config_has_a_name_of_its_own():
    leaves = [path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts]
    assert len(leaves) > 800
    assert config_files() == {path.stem: path for path in sorted(leaves)}
    assert len(config_files()) == len(leaves)


def test_every_method_has_a_name():
    folders = {path.name for path in (ROOT / "configs").iterdir()} - {"_base_"}
    assert set(method_names()) == folders


@pytest.mark.parametrize(
    ("name", "options", "leaf", "expected"),
    [
        ("sclip_vit-b16_voc21", {"a": 1}, "sclip/sclip_vit-b16_voc21.py", {"a": 1}),
        ("lht_clip", {}, "lht_clip/lht_clip_vit-b16_voc20.py", {"protocol": "unified"}),
        ("lht_clip", {"protocol": "paper"}, "lht_clip/lht_clip_vit-b16_voc20.py", {"protocol": "paper"}),
        ("naclip", POCKET, "naclip/naclip_vit-pocket_pocket_all.py", {"protocol": "unified", **POCKET}),
    ],
)
def test_names(name, options, leaf, expected):
    given = dict(options)
    assert find_config(name, options) == (ROOT / "configs" / leaf, expected)
    assert find_config(Path(name), options) == (ROOT / "configs" / leaf, expected)
    assert options == given


@pytest.mark.parametrize("name", ["sclip.py", "my/sclip", "./sclip", "nothing", "sclip_vit-b16", ""])
def test_what_is_no_name_is_a_path(name):
    assert find_config(name, {}) == (Path(name), {})


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sclip").touch()
    assert find_config("sclip", {}) == (Path("sclip"), {})
    Path("naclip").mkdir()
    assert find_config("naclip", {})[0].name == "naclip_vit-b16_voc20.py"


def test_a_method_without_settings_for_the_pocket_clip_is_not_found(monkeypatch):
    monkeypatch.setattr(own_configs, "config_files", lambda: {"new_vit-b16_voc20": Path("new/new_vit-b16_voc20.py")})
    assert find_config("new", POCKET) == (Path("new"), POCKET)
    assert find_config("new", {})[1] == {"protocol": "unified"}


def test_where_configs_are(tmp_path, monkeypatch):
    """Beside a package that is installed lie those of others."""
    assert own_configs.configs_folder() == ROOT / "configs"
    monkeypatch.setattr(own_configs, "_PACKAGE", tmp_path / "mmseg_tfovss")
    (tmp_path / "configs").mkdir()
    assert own_configs.configs_folder() is None
    (tmp_path / "setup.cfg").touch()
    assert own_configs.configs_folder() == tmp_path / "configs"
    (tmp_path / "mmseg_tfovss/configs").mkdir(parents=True)
    assert own_configs.configs_folder() == tmp_path / "mmseg_tfovss/configs"


def test_a_name_loads_as_its_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ROOT / "configs/sclip/sclip_vit-b16_voc20.py"
    by_name, by_file = load_config("sclip"), load_config(file, {"protocol": "unified"})
    assert by_name.to_dict() == by_file.to_dict()
    assert (by_name.run_name, by_name.overrides) == ("sclip_vit-b16_voc20_unified", {})


def test_an_unknown_name_is_answered_with_near_ones_and_all_methods(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load_config("naclp")
    said = str(error.value)
    assert said.startswith("Config naclp not found. Did you mean naclip or ")
    assert said.endswith(f"or a method: {', '.join(method_names())}.")
    with pytest.raises(FileNotFoundError, match="Did you mean sclip_vit-b16_voc21 or "):
        load_config("sclip_vit-b16_voc21s")
