"""A runner whose images cost nothing; see fakes.py."""

import pytest

from tests.engine.fakes import FakeImages, make_loop, make_runner


@pytest.fixture(scope="session")
def fake_runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fake")
    return make_runner(folder / "work", FakeImages(folder / "data", 41))


@pytest.fixture
def session(fake_runner, tmp_path):
    """Start a session over 41 images in this test's folder: ``session(save_images=4)``."""
    fake_runner._work_dir = str(tmp_path)
    images = FakeImages(tmp_path / "data", 41)

    def start(**options):
        return make_loop(fake_runner, options.pop("images", images), **options)

    return start
