"""Where this package's own configs are; :mod:`mmseg_tfovss.catalogue` says what a name means."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent


def configs_folder() -> Path | None:
    """The folder of the configs: inside an installed wheel, or beside the package in a checkout.

    Returns:
        None: there is neither.
    """
    inside, beside = _PACKAGE / "configs", _PACKAGE.parent / "configs"
    if inside.is_dir():
        return inside
    return beside if (_PACKAGE.parent / "setup.cfg").is_file() and beside.is_dir() else None


@cache
def config_files() -> dict[str, Path]:
    """Files of the configs by name: ``sclip_vit-b16_voc21`` is ``configs/sclip/sclip_vit-b16_voc21.py``."""
    folder = configs_folder()
    files = sorted(folder.rglob("*.py")) if folder else []
    return {path.stem: path for path in files if "_base_" not in path.parts}
