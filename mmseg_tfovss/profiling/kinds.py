"""What ``tfovss benchmark`` can measure, and which of its options act on which measurement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmseg_tfovss.datasets.files import MOST_PIXELS
from mmseg_tfovss.encoders.clip import PRECISIONS

_MODEL = ("device", "cfg_options", "random_weights")
_IMAGE = ("image", "size")
_LONGEST = 65_500  # side of a JPEG


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


def check_size(size: Sequence[int] | None) -> None:
    """Raise ValueError for an image without pixels, or with more than can be used."""
    if size is None:
        return
    height, width = size
    if not (1 <= height <= _LONGEST and 1 <= width <= _LONGEST and height * width <= MOST_PIXELS):
        raise ValueError(
            f"--size takes a height and a width of 1 to {_LONGEST} pixels, and at most {MOST_PIXELS} pixels in all, but"
            f" got {height} {width}."
        )


def check_precisions(names: Sequence[str]) -> None:
    """Raise ValueError for a precision that networks here do not have."""
    for name in names:
        if name not in PRECISIONS:
            raise ValueError(f"--precision must be one of {', '.join(PRECISIONS)}, but got {name!r}.")


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
    """Where an option acts: ``alone, and with --complexity, --scale or --against``."""
    kinds = [kind for kind, found in KINDS.items() if name in found.acts]
    *flags, last = (flag(kind) for kind in kinds if kind != STAGES)
    others = f"with {', '.join(flags)} or {last}" if flags else f"with {last}"
    return f"alone, and {others}" if STAGES in kinds else others
