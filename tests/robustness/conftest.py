"""The pocket scenes, drawn once, and the fake images of tests/engine."""

import pytest

from mmseg_tfovss.pocket import scenes
from tests.engine.conftest import fake_runner, session

__all__ = ["fake_runner", "pocket_root", "session"]


@pytest.fixture(scope="session")
def pocket_root(tmp_path_factory):
    """The pocket benchmark's folder; it is checked here, and not again in every session."""
    root = tmp_path_factory.mktemp("pocket") / "pocket"
    scenes.ensure_scenes(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "ensure_scenes", lambda _: None)
        yield root
