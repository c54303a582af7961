"""A batch without a data loader is one that a method labels."""

from pathlib import Path

import numpy as np

from mmseg_tfovss.profiling.batch import batch_of


def test_every_image_is_labelled_at_its_size(build_method):
    images = [np.zeros((40, 32, 3), np.uint8), np.full((32, 40, 3), 255, np.uint8)]
    batch = batch_of(images, Path("a.png"))
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 40, 32), (3, 32, 40)]
    assert {sample.img_path for sample in batch["data_samples"]} == {"a.png"}
    found = build_method("SCLIP").test_step(batch)
    assert [sample.pred_sem_seg.data.shape[-2:] for sample in found] == [(40, 32), (32, 40)]
