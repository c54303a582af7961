"""The generator: the same pixels everywhere, exact masks, and safe writing."""

import multiprocessing

import numpy as np
import pytest

from mmseg_tfovss.pocket import scenes
from mmseg_tfovss.pocket.classes import CLASSES, THINGS
from mmseg_tfovss.pocket.scenes import (
    Dice,
    draw_scene,
    ensure_scenes,
    to_thing_labels,
)


@pytest.fixture
def four_scenes(monkeypatch):
    """A split of four scenes, so that a test may write it several times."""
    monkeypatch.setattr(scenes, "NUM_VALIDATION", 4)
    monkeypatch.setattr(
        scenes,
        "VALIDATION_SHA256",
        {
            "all": "598857f9bf590ba5f3fcbe1b562a0ce77fecf2504bf17c050b80c8f72d24e955",
            "thing": "f15b321a821d967c280c1a9f2d45cc110a7ed7413096c38478925a904f8526fe",
        },
    )


def _ensure_and_count(root):
    ensure_scenes(root)
    return sum(1 for _ in root.rglob("*.png"))


def test_dice_are_raw_pcg64():
    dice, bits = Dice(3, 1), np.random.PCG64((3, 1))
    raw = [int(value) for value in bits.random_raw(3)]
    assert [dice.below(10), dice.between(5, 8), dice.below(1000)] == [
        raw[0] % 10,
        5 + raw[1] % 4,
        raw[2] % 1000,
    ]


def test_dice_pick_draws_distinct_members():
    assert sorted(Dice(0).pick(6, 6)) == list(range(6))


def test_same_seed_gives_same_scene_and_another_seed_another():
    first, again, other = (draw_scene(Dice(seed), 64, 1, 3, (9, 27)) for seed in (5, 5, 6))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_seen_classes_are_those_with_enough_pixels():
    for seed in range(30):
        scene = draw_scene(Dice(seed), 64, 1, 3, (9, 27))
        area = np.bincount(scene.labels.ravel(), minlength=len(CLASSES))
        assert scene.image.shape == (64, 64, 3)
        assert scene.image.dtype == scene.labels.dtype == np.uint8
        assert set(scene.things) | set(scene.stuff) == set(np.flatnonzero(area >= 40))


def test_mask_follows_the_object():
    """Where a thing is drawn the pixels change, and nowhere else."""
    image = np.full((64, 64, 3), -999, dtype=np.int64)
    labels = np.full((64, 64), 99, dtype=np.uint8)
    scenes._draw_thing(image, labels, THINGS.index("donut"), 20, Dice(1))
    assert np.array_equal((image != -999).all(axis=-1), labels == THINGS.index("donut"))
    assert 0 < (labels != 99).sum() < 40 * 40


def test_every_thing_and_stuff_has_its_own_colour():
    sums, counts = np.zeros((len(CLASSES), 3)), np.zeros((len(CLASSES), 1))
    for index in range(100):
        scene = draw_scene(Dice(9, index), 64, 1, 3, (9, 27))
        np.add.at(sums, scene.labels, scene.image)
        np.add.at(counts, scene.labels, 1)
    mean = sums / counts
    apart = np.linalg.norm(mean[:, None] - mean[None], axis=-1)
    assert apart[~np.eye(len(CLASSES), dtype=bool)].min() > 20


def test_thing_labels_shift_things_and_merge_stuff():
    labels = np.array([0, 7, 8, 13], dtype=np.uint8)
    assert to_thing_labels(labels).tolist() == [1, 8, 0, 0]


def test_validation_split_is_the_recorded_one(written):
    assert scenes.compute_digests(written) == scenes.VALIDATION_SHA256
    assert sum(1 for _ in written.rglob("*.png")) == 3 * scenes.NUM_VALIDATION


def test_no_scratch_folder_is_left(written):
    assert [path.name for path in written.parent.iterdir()] == ["pocket"]


def test_second_call_writes_nothing(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*.png")}
    ensure_scenes(written)
    assert before == {path: path.stat().st_mtime_ns for path in written.rglob("*.png")}


@pytest.mark.parametrize("damage", ["pixels", "missing", "not an image"])
def test_damaged_split_names_folder_and_remedy(four_scenes, tmp_path, damage):
    root = tmp_path / "pocket"
    ensure_scenes(root)
    victim = root / "annotations_thing" / "val" / "0002.png"
    if damage == "pixels":
        victim.write_bytes((root / "annotations_thing" / "val" / "0001.png").read_bytes())
    elif damage == "missing":
        victim.unlink()
    else:
        victim.write_text("not a PNG")
    with pytest.raises(ValueError, match="If it is a damaged copy, move it away") as caught:
        ensure_scenes(root)
    assert str(root) in str(caught.value)


def test_interrupted_writing_leaves_nothing(four_scenes, tmp_path, monkeypatch):
    def stop(pixels):
        raise KeyboardInterrupt

    monkeypatch.setattr(scenes, "_encode_png", stop)
    with pytest.raises(KeyboardInterrupt):
        ensure_scenes(tmp_path / "pocket")
    assert list(tmp_path.iterdir()) == []


def test_empty_folder_is_filled(four_scenes, tmp_path):
    (tmp_path / "pocket").mkdir()
    assert _ensure_and_count(tmp_path / "pocket") == 12


def test_two_processes_at_once(four_scenes, tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        counts = pool.map(_ensure_and_count, [tmp_path / "new" / "pocket"] * 2)
    assert counts == [12, 12]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pocket"]


def test_command_line_writes_and_checks(four_scenes, tmp_path, capsys):
    root = tmp_path / "pocket"
    scenes.main(["--root", str(root)])
    assert capsys.readouterr().out == f"4 scenes in {root}\n"
    (root / "images" / "val" / "0000.png").unlink()
    with pytest.raises(SystemExit, match="1"):
        scenes.main(["--root", str(root)])
    assert "If it is a damaged copy, move it away" in capsys.readouterr().err
