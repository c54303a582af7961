"""Methods as their own configs set them."""

import pytest

from tests.methods.own_config import Builder


@pytest.fixture(scope="session")
def build_own(build_method, mini_clip, tmp_path_factory):
    """Build a method on the mini CLIP with the options of one of its configs."""
    return Builder(build_method, mini_clip, tmp_path_factory.mktemp("networks"))
