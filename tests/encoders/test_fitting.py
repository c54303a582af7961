"""Images that were fitted while they were loaded are those that the preprocessor would have made, to the bit."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg_tfovss.encoders import CLIPPreprocessor
from mmseg_tfovss.encoders.fitting import FITTED, FittingCollate
from tests.encoders.test_preprocessor import noise, sample


def items():
    labels = torch.arange(40 * 60).view(40, 60)
    return [{"inputs": noise(*size), "data_samples": sample(*size, labels)} for size in ((40, 60), (40, 60))]


@pytest.mark.parametrize("options", [{}, {"centre_square": True}, {"stretch_to_square": True}])
@pytest.mark.parametrize("keeps_original", [False, True])
def test_fitted_batches_are_the_same_to_the_bit(options, keeps_original):
    preprocessor = CLIPPreprocessor(short_side=10, **options)
    preprocessor.keeps_original = keeps_original
    collate = pickle.loads(pickle.dumps(FittingCollate(pseudo_collate, preprocessor.fitting)))
    batch = collate(items())
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 40, 60)] * 2  # as in their files, for hooks
    assert all(image.dtype == torch.uint8 for image in batch[FITTED])
    ahead, then = preprocessor(batch), preprocessor(pseudo_collate(items()))
    assert all(torch.equal(*pair) for pair in zip(ahead["inputs"], then["inputs"], strict=True))
    for one, other in zip(ahead["data_samples"], then["data_samples"], strict=True):
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)
        assert (one.ori_shape, one.img_shape) == (other.ori_shape, other.img_shape)
        assert keeps_original == ("original" in one)
        assert not keeps_original or np.array_equal(one.original, other.original)


def test_an_image_is_fitted_once(monkeypatch):
    preprocessor = CLIPPreprocessor(short_side=10)
    batch = FittingCollate(pseudo_collate, preprocessor.fitting)(items())
    monkeypatch.setattr("mmseg_tfovss.encoders.fitting.resize_short_side", None)
    assert [tuple(image.shape) for image in preprocessor(batch)["inputs"]] == [(3, 10, 15)] * 2


def test_images_fitted_for_another_size_are_fitted_again():
    batch = FittingCollate(pseudo_collate, CLIPPreprocessor(short_side=20).fitting)(items())
    found = CLIPPreprocessor(short_side=10)(batch)["inputs"]
    assert torch.equal(found[0], CLIPPreprocessor(short_side=10)(pseudo_collate(items()))["inputs"][0])
