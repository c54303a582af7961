"""Costs that differ in the last digit only are matched alike."""

import numpy as np
import scipy.optimize

from mmseg_tfovss.ops import spectral
from mmseg_tfovss.profiling.official.ties import ties_alike


def test_the_last_digit_does_not_decide():
    costs = np.array([[1.0, 2.0], [2.0, 3.0]])  # both matchings cost 4
    one, other = costs + 1e-6 * np.eye(2), costs - 1e-6 * np.eye(2)
    before = spectral.linear_sum_assignment
    assert before(one)[1].tolist() != before(other)[1].tolist()
    with ties_alike():
        for match in (spectral.linear_sum_assignment, scipy.optimize.linear_sum_assignment):
            assert match(one)[1].tolist() == match(other)[1].tolist()
    assert spectral.linear_sum_assignment is scipy.optimize.linear_sum_assignment is before
