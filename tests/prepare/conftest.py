"""What tests of whole benchmarks share."""

import pytest

from tests.prepare import official


@pytest.fixture
def one_process(monkeypatch):
    """Conversions of one worker are made here."""
    official.convert_in_this_process(monkeypatch)
