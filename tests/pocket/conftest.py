"""The benchmark's scenes, drawn once."""

import pytest

from mmseg_tfovss.pocket.scenes import ensure_scenes


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The validation split, whole."""
    root = tmp_path_factory.mktemp("scenes") / "pocket"
    ensure_scenes(root)
    return root
