"""Matchings with several best solutions: let official code and ours take the same one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.optimize

from mmseg_tfovss.ops import spectral

_DECIMALS = 3
_match = scipy.optimize.linear_sum_assignment


@contextmanager
def ties_alike() -> Iterator[None]:
    """While this lasts, costs of a matching are rounded, on both sides.

    Heads of random networks have much the same spectra. Several of CASS's matchings are then equally good, and the last
    digit in float32 decides between them. Official code must be imported meanwhile.
    """
    with (
        patch.object(scipy.optimize, "linear_sum_assignment", _match_rounded),
        patch.object(spectral, "linear_sum_assignment", _match_rounded),
    ):
        yield


def _match_rounded(costs: Any, maximize: bool = False) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401 - an array
    rows, columns = _match(np.asarray(costs, dtype=np.float64).round(_DECIMALS), maximize=maximize)
    return rows, columns
