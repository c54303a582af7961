"""Whether a result was made with the settings of one of this package's own configs."""

from collections.abc import Mapping
from functools import cache

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.own_configs import config_files

# They change no number, or what they change is compared by other means: the networks' names and hashes.
_ELSEWHERE = ("pretrained", "arch", "precision", "window_batch", "batch_size", "cache_dir", "data_root")


def strays_by(result: Result) -> str:
    """By what a result strays from every config here of its method and dataset: a sentence without its subject.

    Args:
        result: of a dataset that this package knows.

    Returns:
        Empty if the settings are those of a config, or the result does not record them and is taken at its name. Not
        empty if no config is here: then nothing shows that the result is of one of them.
    """
    if not result["settings"]:
        return ""
    own = _compared(result["settings"])
    leaves = [leaf for leaf in _leaves(result["dataset"]) if leaf["model.type"] == own.get("model.type")]
    if own in leaves:
        return ""
    if not leaves:
        return "cannot be compared with a config of this package, because there is none here"
    nearest = min(leaves, key=lambda leaf: len(leaf.items() ^ own.items()))
    return f"is of other settings than this package's config ({_differences(own, nearest)})"


def _differences(own: dict[str, str], leaf: dict[str, str]) -> str:
    from mmseg_tfovss.engine.identity import differences

    return differences(own, leaf, "{name} is {one}, not {other}")


@cache
def _leaves(dataset: str) -> list[dict[str, str]]:
    """Settings of the configs of a dataset under the protocol that they are of."""
    from mmseg_tfovss.config import load_config  # their import takes seconds
    from mmseg_tfovss.engine.identity import settings_of

    found: list[dict[str, str]] = []
    for name, path in config_files().items():
        if name.endswith(f"_{dataset}"):
            try:
                found.append(_compared(settings_of(load_config(path))))
            except (ValueError, OSError):  # somebody is working on it
                continue
    return found


def _compared(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.rpartition(".")[2] not in _ELSEWHERE}
