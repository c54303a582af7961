"""Both sides read the same regions, each in the form that it knows."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg_tfovss.encoders.mask_files import recorded_masks
from mmseg_tfovss.encoders.recorded import read_instances
from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.random_weights.regions import nearest_seed, share_regions

SIZE = (30, 40)


@pytest.fixture
def image(tmp_path):
    return make_noise_image(tmp_path / "noise.jpg", SIZE)


def share(kind, image, **more):
    config = Config({"model": {"type": kind, **more}})
    return config, share_regions(config, image, image.parent / "regions", torch.device("cpu"))


def test_every_pixel_is_nearest_to_one_seed():
    numbers = nearest_seed(SIZE, 5)
    assert numbers.shape == SIZE
    assert set(np.unique(numbers)) == set(range(5))
    places = np.random.default_rng(0).uniform(0, SIZE, (5, 2))
    assert numbers[7, 9] == np.linalg.norm(places - (7, 9), axis=1).argmin()


def test_masks_for_lavg(image):
    config, folder = share("LaVG", image, vfm={"type": "DINO"})
    assert config.model == {"type": "LaVG", "masks": str(folder)}
    ours = recorded_masks(folder, str(image), SIZE)
    theirs = torch.load(folder / "noise.pth")
    assert theirs.dtype == torch.bool
    assert np.array_equal(theirs.numpy(), ours)
    assert np.array_equal(ours.sum(axis=0), np.ones(SIZE))


def test_instances_for_corrclip(image):
    config, folder = share("CorrCLIP", image, vfm={"type": "DINO"})
    assert config.model.vfm.type == "DINO"
    ours = read_instances(folder / "noise.npz")
    assert ours.shape == SIZE
    assert ours.min() == 0


def test_other_methods_have_none(image):
    config, folder = share("SCLIP", image)
    assert folder is None
    assert "masks" not in config.model
