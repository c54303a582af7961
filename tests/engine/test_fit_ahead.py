"""Whose batches are fitted while they are loaded."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import pseudo_collate

from mmseg_tfovss.encoders import CLIPPreprocessor
from mmseg_tfovss.encoders.fitting import FittingCollate
from mmseg_tfovss.engine.fit_ahead import fit_while_loading


class OwnPreprocessor(CLIPPreprocessor):
    """May do anything to an image."""


def collate_for(preprocessor):
    loader = SimpleNamespace(collate_fn=pseudo_collate)
    fit_while_loading(loader, SimpleNamespace(data_preprocessor=preprocessor))
    return loader.collate_fn


def test_a_models_size_is_that_of_its_batches():
    preprocessor = CLIPPreprocessor(short_side=10, stretch_to_square=True)
    assert collate_for(preprocessor) == FittingCollate(pseudo_collate, preprocessor.fitting)


def test_images_that_are_read_as_they_were_come_along():
    preprocessor = CLIPPreprocessor()
    preprocessor.keeps_original = True
    assert collate_for(preprocessor).fitting.keeps_original


@pytest.mark.parametrize("preprocessor", [CLIPPreprocessor(), OwnPreprocessor(short_side=10), None])
def test_others_are_left_alone(preprocessor):
    assert collate_for(preprocessor) is pseudo_collate


def test_the_loop_fits_its_models_images(session, monkeypatch):
    preprocessor = CLIPPreprocessor(short_side=10)
    runner = session().runner
    monkeypatch.setattr(runner.model, "data_preprocessor", preprocessor, raising=False)
    assert session().dataloader.collate_fn.fitting == preprocessor.fitting


@pytest.mark.parametrize("has_gpu", [True, False])
def test_memory_is_pinned_where_there_is_a_gpu(has_gpu, session, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert session().dataloader.pin_memory is has_gpu
