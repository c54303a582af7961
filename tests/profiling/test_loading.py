"""Waiting for images."""

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.profiling.loading import loading_table, time_loading
from mmseg_tfovss.profiling.noise_image import make_noise_image
from tests.engine.test_run import CONFIG, small_options


@pytest.fixture
def config(mini_clip, tmp_path):
    return load_config(CONFIG, small_options(tmp_path, mini_clip, tmp_path) | {"test_dataloader.batch_size": 2})


def test_images_are_loaded_as_in_a_test_and_labelled(config, tmp_path, monkeypatch):
    model, sizes = build_method(config, "cpu"), []
    step = model.test_step

    def noted(batch):
        sizes.append([tuple(image.shape) for image in batch["fitted"]])
        return step(batch)

    monkeypatch.setattr(model, "test_step", noted)
    found = time_loading(model, config, make_noise_image(tmp_path / "a.jpg", (60, 80)), 3, tmp_path)
    assert (found.images, found.batch_size) == (3, 2)
    assert [len(batch) for batch in sizes] == [2, 2, 1]  # the first one is not timed
    assert min(sizes[0][0][1:]) == config.model.short_side
    assert 0 < found.waited < found.total
    assert found.loading > 0
    [labels, cells] = [list(column.cells) for column in loading_table("run", found).columns]
    assert cells[labels.index("images, in a batch")] == "3, 2"
