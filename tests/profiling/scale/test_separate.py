"""Answers, errors and sudden ends of a process of its own."""

import os
import signal

import pytest

from mmseg_tfovss.profiling.scale.separate import EndedError, run_separately


@pytest.mark.slow
def test_a_process_of_its_own_answers_fails_or_is_killed():
    assert run_separately(divmod, 7, 2) == (3, 1)
    assert run_separately(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        run_separately(divmod, 7, 0)
    with pytest.raises(EndedError, match=f"exit code -{int(signal.SIGTERM)}"):
        run_separately(signal.raise_signal, signal.SIGTERM)
