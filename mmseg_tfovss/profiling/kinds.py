"""What ``tfovss benchmark`` can measure, and which of its options act on which measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MODEL = ("device", "cfg_options", "random_weights")
_IMAGE = ("image", "size")


@dataclass(frozen=True)
class Kind:
    """One measurement.

    Attributes:
        configs: how many it takes: none, one or some.
        acts: the options that act on it, besides its own.
    """

    configs: str
    acts: tuple[str, ...]


STAGES = "stages"  # what is measured without an option
KINDS = {
    STAGES: Kind("some", (*_MODEL, *_IMAGE, "precision", "repeats")),
    "complexity": Kind("some", (*_MODEL, *_IMAGE, "precision", "repeats", "out")),
    "host_syncs": Kind("some", (*_MODEL, *_IMAGE)),
    "loader": Kind("some", (*_MODEL, *_IMAGE)),
    "scale": Kind("one", (*_MODEL, "precision", "repeats", "sizes", "words", "batches")),
    # Weights are random on both sides.
    "against": Kind("one", (*_IMAGE, "device", "cfg_options", "precision", "repeats", "official", "hub", "out")),
    "solvers": Kind("none", ("device", "repeats")),
    "gpu_report": Kind("none", (*_IMAGE, "device", "minutes", "report_network")),
}
_NOT_AN_OPTION = {"configs", *KINDS}


def choose_kind(given: Mapping[str, Any]) -> str:
    """The measurement that a command line asks for.

    Args:
        given: options by name; those that are not given are ``None``, ``False`` or empty.

    Returns:
        A key of :data:`KINDS`.

    Raises:
        ValueError: several measurements, too few or too many configs, or an option that would not act.
    """
    chosen = [name for name in KINDS if _is_given(given.get(name))]
    if len(chosen) > 1:
        raise ValueError(f"{flag(chosen[0])} and {flag(chosen[1])} are two measurements: give one at a time.")
    kind = chosen[0] if chosen else STAGES
    _check_configs(kind, given["configs"])
    for name, value in given.items():
        if name not in _NOT_AN_OPTION and _is_given(value) and name not in KINDS[kind].acts:
            raise ValueError(f"{flag(name)} does not act {_with(kind)}: leave it out. It acts {_helpful(name)}.")
    if _is_given(given["image"]) and _is_given(given["size"]):
        raise ValueError("--size is that of the image made in place of --image: leave one of them out.")
    return kind


def check_counts(given: Mapping[str, int | None]) -> None:
    """Raise ValueError for a number of passes or images below 1."""
    for name, value in given.items():
        if value is not None and value < 1:
            raise ValueError(f"{flag(name)} must be at least 1, but got {value}.")


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def _check_configs(kind: str, configs: Sequence[str]) -> None:
    wanted = KINDS[kind].configs
    if wanted == "none" and configs:
        raise ValueError(f"{flag(kind)} takes no config: leave out {configs[0]}.")
    if wanted != "none" and not configs:
        raise ValueError("Name a config to time, for example sclip_vit-b16_voc21, or --solvers or --gpu-report alone.")
    if wanted == "one" and len(configs) > 1:
        raise ValueError(f"{flag(kind)} takes one config, but got {len(configs)}.")


def flag(name: str) -> str:
    """The option as it is written."""
    return f"--{name.replace('_', '-')}"


def _with(kind: str) -> str:
    return "without another measurement" if kind == STAGES else f"with {flag(kind)}"


def _helpful(name: str) -> str:
    kinds = [_with(kind) for kind, found in KINDS.items() if name in found.acts]
    return " and ".join(kinds)
