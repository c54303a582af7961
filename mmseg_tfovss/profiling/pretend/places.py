"""Which line of code makes a GPU and its host wait."""

import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

PACKAGE = Path(__file__).parents[2]
_OWN = f"{PACKAGE}/"
# Files through which a wait is noticed, and which have not asked for it.
_WATCHING = (
    f"{Path(__file__).parent}/",
    str(Path(__file__).parents[1] / "host_syncs.py"),
    warnings.__file__,
    f"{Path(torch.__file__).parent}/",
)


@dataclass(frozen=True)
class HostSync:
    """One moment in which the host and the device wait for each other.

    Attributes:
        operation: torch's name, with a remark where the name does not say why.
        place: file and line of this package that asked for it; of the caller's where the package did not.
    """

    operation: str
    place: str


def caller() -> str:
    """File and line, of this package where possible, that torch was called from."""
    stack = traceback.walk_stack(sys._getframe())  # the innermost first
    lines = [(frame.f_code.co_filename, line) for frame, line in stack]
    lines = [(name, line) for name, line in lines if not name.startswith(_WATCHING)]
    name, line = next((place for place in lines if place[0].startswith(_OWN)), lines[0])
    return f"{name.removeprefix(_OWN) if name.startswith(_OWN) else Path(name).name}:{line}"
