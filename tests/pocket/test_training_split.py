"""The training split: drawn once, whole, reproducible, and apart from the validation split."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.pocket import training_split
from mmseg_tfovss.pocket.scenes import NUM_VALIDATION, VALIDATION_SEED, draw_validation, to_thing_labels
from mmseg_tfovss.pocket.train_clip import TRAINING_SCENES
from mmseg_tfovss.pocket.training_split import (
    FIRST_SCENE,
    TRAINING_SEED,
    draw_training,
    ensure_training_scenes,
)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Two scenes below a root whose validation split is not looked at."""
    root = tmp_path / "pocket"
    for name in ("images", "annotations_all", "annotations_thing"):
        (root / name / "val").mkdir(parents=True)
    checked = []
    monkeypatch.setattr(training_split, "NUM_TRAINING", 2)
    monkeypatch.setattr(training_split, "ensure_scenes", checked.append)
    return root, checked


def test_scenes_are_written_once(few):
    root, checked = few
    ensure_training_scenes(root)
    assert checked == [root]
    for index, scene in enumerate(draw_training()):
        for name, pixels in (
            ("images", scene.image),
            ("annotations_all", scene.labels),
            ("annotations_thing", to_thing_labels(scene.labels)),
        ):
            with Image.open(root / name / "train" / f"{index:04d}.png") as picture:
                assert np.array_equal(np.asarray(picture), pixels)
    assert sorted(path.name for path in root.iterdir()) == ["annotations_all", "annotations_thing", "images"]
    before = (root / "images/train/0000.png").stat().st_mtime_ns
    ensure_training_scenes(root)
    assert (root / "images/train/0000.png").stat().st_mtime_ns == before


def test_an_interrupted_run_is_made_up_for(few):
    root, _ = few
    (root / "annotations_all/train").mkdir()
    (root / "annotations_all/train/0000.png").touch()
    ensure_training_scenes(root)
    assert len(list((root / "images/train").iterdir())) == 2


def test_scenes_are_neither_the_validation_splits_nor_those_the_clip_read(few):
    assert (TRAINING_SEED, FIRST_SCENE) == (0, TRAINING_SCENES)
    assert VALIDATION_SEED != TRAINING_SEED
    validation = draw_validation()
    first = [next(validation).labels.tobytes() for _ in range(3)]
    assert not {scene.labels.tobytes() for scene in draw_training()} & set(first)
    assert NUM_VALIDATION == 200
