"""50 scenes that stand for 200."""

import numpy as np
import pytest

from mmseg_tfovss.pocket.classes import THINGS
from mmseg_tfovss.pocket.subset import _areas, representative_order, scene_features, scenes_of_subset
from mmseg_tfovss.registry import DATASETS

# fmt: off
FIFTY = (
    2, 5, 9, 14, 16, 17, 22, 23, 29, 31, 37, 39, 44, 45, 49, 51, 52, 56, 58, 59, 62, 70, 74, 77, 78, 80, 81, 84, 88, 89,
    106, 107, 109, 132, 140, 145, 147, 152, 155, 157, 159, 165, 169, 173, 174, 176, 183, 187, 191, 194,
)
# fmt: on


def test_every_beginning_has_the_shares_of_the_whole():
    kinds = np.array([0] * 60 + [1] * 30 + [2] * 10)
    order = representative_order(np.eye(3, dtype=np.int64)[kinds])
    assert sorted(order) == list(range(100))
    for count in (10, 20, 50, 70):
        shares = [count * 6 // 10, count * 3 // 10, count // 10]
        assert np.bincount(kinds[order[:count]], minlength=3).tolist() == shares


def test_of_equal_samples_the_first_is_taken():
    assert representative_order(np.ones((4, 2), dtype=np.int64)) == [0, 1, 2, 3]
    assert representative_order(np.array([[9], [1], [5], [5]])) == [2, 3, 0, 1]


def test_features_are_classes_counts_and_areas():
    areas = np.zeros((2, 14), dtype=np.int64)
    areas[0, [0, 3, 8]] = 100, 50, 850  # two things on one ground
    areas[1, [0, 8, 9]] = 300, 350, 350
    features = scene_features(areas)
    assert features[:, :14].tolist() == (10 * (areas > 0)).tolist()
    assert features[:, 14:20].argmax(axis=1).tolist() == [2, 1]
    assert features[:, 20:22].argmax(axis=1).tolist() == [0, 1]
    assert features[:, 22].tolist() == [5, 15]  # half, and one and a half times the mean of that class
    assert features[:, 25].tolist() == [10, 0]


def test_the_fifty_are_those_of_every_earlier_result(written):
    assert scenes_of_subset(written, 50) == FIFTY
    assert set(scenes_of_subset(written, 20)) < set(FIFTY)


def test_the_fifty_stand_for_all(written):
    areas = _areas(written)
    part, there = areas[list(FIFTY)], areas > 0
    assert np.abs(there[list(FIFTY)].mean(axis=0) - there.mean(axis=0)).max() < 0.025
    assert np.abs(part.mean(axis=0) / areas.mean(axis=0) - 1).max() < 0.1
    things = there[:, : len(THINGS)].sum(axis=1)
    shares, whole = (np.bincount(one, minlength=6) / len(one) for one in (things[list(FIFTY)], things))
    assert np.abs(shares - whole).max() < 0.025


@pytest.mark.parametrize("name", ["PocketAllDataset", "PocketThingDataset"])
def test_a_dataset_has_these_scenes(name, written):
    dataset = DATASETS.build({"type": name, "data_root": str(written), "subset": 50, "test_mode": True})
    paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    assert paths == [f"{written}/images/val/{number:04d}.png" for number in FIFTY]


@pytest.mark.parametrize("count", [0, 200, True, 2.5, "50"])
def test_other_counts_are_refused(count, written):
    with pytest.raises(ValueError, match=rf"subset must be a number of scenes, 1 to 199, but got {count!r}: leave it"):
        scenes_of_subset(written, count)


@pytest.mark.parametrize("other", [{"indices": 3}, {"data_prefix": {"img_path": "images/train", "seg_map_path": "x"}}])
def test_one_choice_of_scenes_is_enough(other, written):
    with pytest.raises(ValueError, match=rf"subset chooses among all.*{next(iter(other))}: leave one of them out"):
        DATASETS.build({"type": "PocketAllDataset", "data_root": str(written), "subset": 5, **other})
