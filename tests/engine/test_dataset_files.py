"""A dataset is what its files hold, by name, wherever it lies; also one of a user's own."""

import json
import shutil

import numpy as np
import pytest
from mmengine.dataset import BaseDataset, ConcatDataset

from mmseg_tfovss.engine.dataset_files import dataset_files, dataset_hash
from tests.engine.test_contents import edit_and_compare, reads

__all__ = ["reads"]


class Folder:
    """A dataset of a user's own: no more than what the loop needs, and no ``data_root`` unless given."""

    def __init__(self, root, **facts):
        self.images, self.facts = sorted(root.glob("*.png")), facts

    def __len__(self):
        return len(self.images)

    def get_data_info(self, number):
        return {"img_path": str(self.images[number]), "seg_map_path": str(self.images[number]), **self.facts}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").write_text(name)
    return folder


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_the_identity_of_a_dataset_follows_content_by_name(tmp_path, reads, monkeypatch, seed):
    edit_and_compare(tmp_path, seed, 40, monkeypatch, lambda root: dataset_hash(Folder(root)))


def test_a_dataset_without_data_root_may_move(root, tmp_path):
    before = dataset_hash(Folder(root))
    moved = shutil.copytree(root, tmp_path / "elsewhere/data")
    assert dataset_hash(Folder(moved)) == before
    (moved / "a.png").write_text("A")
    assert dataset_hash(Folder(moved)) != before
    (tmp_path / "link").symlink_to(root)
    assert dataset_hash(Folder(tmp_path / "link")) == before


def test_batches_differ_where_their_files_do(root):
    before = dataset_files(Folder(root))
    (root / "b.png").write_text("B")
    after = dataset_files(Folder(root))
    assert (before.batch_hashes(1) != after.batch_hashes(1)).tolist() == [False, True, False]
    assert (before.batch_hashes(2) != after.batch_hashes(2)).tolist() == [True, False]
    assert before.changed(range(3)) == [root / "b.png"]
    assert before.changed([0, 2]) == []


def test_further_files_of_a_sample_count(root):
    (root / "depth.npy").write_text("1")
    (root / "nothing").mkdir()
    dataset = Folder(root, depth_path=str(root / "depth.npy"), other_path=str(root / "nothing"))
    before = dataset_hash(dataset)
    (root / "depth.npy").write_text("2")
    assert dataset_hash(dataset) != before


FACTS = [
    {"label_map": {1: 2}},
    {"label_map": {1: 3}},
    {"label_map": None},
    {"reduce_zero_label": True},
    {"box": np.arange(3)},
    {"box": np.arange(3, dtype=np.int32)},
    {"box": np.array([0, 1, 3])},
    {"kinds": {"b", "a"}},
    {"scale": 0.5},
]


def test_what_a_dataset_says_of_its_samples_counts(root):
    hashes = [dataset_hash(Folder(root, **facts)) for facts in FACTS]
    assert hashes == [dataset_hash(Folder(root, **facts)) for facts in FACTS]
    assert len(set(hashes)) == len(FACTS)
    assert dataset_hash(Folder(root, made_by=object())) == dataset_hash(Folder(root, made_by=object()))
    assert dataset_hash(Folder(root, sample_idx=5)) == dataset_hash(Folder(root))


def test_places_among_the_facts_may_move(root, tmp_path):
    moved = shutil.copytree(root, tmp_path / "moved")
    hashes = {dataset_hash(Folder(place, origin=[str(place / "x.zip")])) for place in (root, moved)}
    assert len(hashes) == 1


class Listed(BaseDataset):
    """MMEngine's own, of a list with more than names in it."""

    METAINFO = {"classes": ("a", "b")}  # noqa: RUF012


def listed(root, **more):
    samples = [{"img_path": f"{name}.png", "seg_map_path": str(root / f"{name}.png"), **more} for name in "abc"]
    (root / "list.json").write_text(json.dumps({"metainfo": {}, "data_list": samples}))
    return Listed(ann_file="list.json", data_root=str(root), data_prefix={"img_path": ""}, pipeline=[])


def test_the_file_that_lists_a_dataset_counts(root):
    crops = ({}, {"crop": [0, 0, 9, 9]}, {"crop": [0, 0, 9, 8]})
    hashes = [dataset_hash(listed(root, **crop)) for crop in (*crops, *crops)]
    assert hashes[:3] == hashes[3:]
    assert len(set(hashes)) == 3
    dataset = listed(root)
    before = dataset_hash(dataset)
    (root / "list.json").write_text((root / "list.json").read_text() + " ")  # which an own dataset may read again
    assert dataset_hash(dataset) != before


def test_several_datasets_in_one(root, tmp_path):
    other = shutil.copytree(root, tmp_path / "other")

    def hashed():
        return dataset_hash(ConcatDataset([listed(root), listed(other)]))

    before = hashed()
    assert hashed() == before
    (other / "c.png").write_text("C")
    assert hashed() != before


def test_missing_files_are_named(root):
    dataset = Folder(root)
    (root / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        dataset_hash(dataset)


def test_no_samples_at_all(tmp_path):
    assert dataset_files(Folder(tmp_path)).batch_hashes(2).tolist() == []
