"""Where configs are."""

from pathlib import Path

from mmseg_tfovss import own_configs
from mmseg_tfovss.own_configs import config_files

ROOT = Path(__file__).parents[1]


def test_every_config_has_a_name_of_its_own():
    leaves = [path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts]
    assert len(leaves) > 800
    assert config_files() == {path.stem: path for path in sorted(leaves)}
    assert len(config_files()) == len(leaves)


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
