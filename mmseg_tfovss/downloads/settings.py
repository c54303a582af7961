"""What to set on a machine without network, so that a run finds there what was fetched here."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import constants
from mmengine.config import Config

from mmseg_tfovss.vocabulary.features import cache_folder


def offline_settings(configs: Sequence[Config], *, hub: bool) -> list[str]:
    """Lines for a shell.

    Args:
        configs: whose things were fetched.
        hub: whether any of them came from the hub.
    """
    home, cache = Path(constants.HF_HOME).absolute(), Path(constants.HF_HUB_CACHE).absolute()
    found = []
    if hub:
        place = _export("HF_HOME", home) if cache == home / "hub" else _export("HF_HUB_CACHE", cache)
        found += ["export HF_HUB_OFFLINE=1", place]
    if not all(config.model.decode_head.get("cache_dir") for config in configs):
        found.append(_export("MMSEG_TFOVSS_CACHE", cache_folder().absolute()))
    return found


def _export(name: str, folder: Path) -> str:
    return f"export {name}={shlex.quote(str(folder))}"
