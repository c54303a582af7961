"""Whether a result was made with the settings of one of this package's own configs."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import mmseg_tfovss
from mmseg_tfovss.evaluation.result import Result

_CONFIGS = Path(mmseg_tfovss.__file__).parents[1] / "configs"
# They change no number, or what they change is compared by other means: the networks' names and hashes.
_ELSEWHERE = ("pretrained", "arch", "precision", "window_batch", "batch_size", "cache_dir", "data_root")


def is_no_leaf(result: Result) -> bool:
    """Whether a result is of other settings than every config here of its method and dataset.

    A result that does not record its settings is taken at its name.

    Args:
        result: of a dataset that this package knows.

    Returns:
        True also if the configs are not here, as in an installed wheel: then nothing shows that it is one of them.
    """
    if not result["settings"]:
        return False
    return _compared(result["settings"]) not in _leaves(result["dataset"])


@cache
def _leaves(dataset: str) -> list[dict[str, str]]:
    """Settings of the configs of a dataset under the protocol that they are of."""
    from mmseg_tfovss.config import load_config  # their import takes seconds
    from mmseg_tfovss.engine.identity import settings_of

    found = []
    for path in sorted(_CONFIGS.rglob(f"*_{dataset}.py")):
        if "_base_" not in path.parts:
            try:
                found.append(_compared(settings_of(load_config(path))))
            except (ValueError, OSError):  # somebody is working on it
                continue
    return found


def _compared(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.rpartition(".")[2] not in _ELSEWHERE}
