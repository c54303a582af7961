"""Masks on disk: recorded in several forms, or found once and kept."""

import numpy as np
import pytest
import torch

from mmseg_tfovss.encoders.mask_files import cached_masks, recorded_masks

SIZE = (6, 21)


@pytest.fixture
def masks():
    found = np.zeros((3, *SIZE), dtype=bool)
    found[0, :4, 2:9] = found[1, 3:, 5:20] = True
    found[2] = ~found[:2].any(axis=0)
    return found


def save_packed(path, masks):
    np.savez(path, other=np.zeros(3), masks=np.packbits(masks, axis=-1))


WRITERS = {
    "packed.npz": save_packed,
    "numbers.npz": lambda path, masks: np.savez(path, first=masks.astype(np.uint8)),
    "array.npy": np.save,
    "packed.npy": lambda path, masks: np.save(path, np.packbits(masks, axis=-1)),
    "tensor.pth": lambda path, masks: torch.save(torch.from_numpy(masks).to(torch.uint8), path),
    "truth.pt": lambda path, masks: torch.save(torch.from_numpy(masks), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_recorded_masks_are_read_in_every_form(name, masks, tmp_path):
    WRITERS[name](tmp_path / name, masks)
    found = recorded_masks(tmp_path / name, "", SIZE)
    assert found.dtype == bool
    assert np.array_equal(found, masks)
    assert np.array_equal(recorded_masks(tmp_path, f"/elsewhere/{name.split('.')[0]}.jpg", SIZE), masks)


def test_a_folder_has_a_file_for_each_image(masks, tmp_path):
    save_packed(tmp_path / "a.b.npz", masks)
    assert np.array_equal(recorded_masks(tmp_path, "a.b.png", SIZE), masks)
    with pytest.raises(FileNotFoundError, match=r"has no file c\.npz or c\.npy .* for the image images/c\.png"):
        recorded_masks(tmp_path, "images/c.png", SIZE)
    with pytest.raises(ValueError, match=r"has a file for each image, but this image has no path: name one file"):
        recorded_masks(tmp_path, "", SIZE)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda masks: masks[0],
        lambda masks: masks[:0],
        lambda masks: masks[:, 1:],
        lambda masks: masks[:, :, 1:],
        lambda masks: 2.0 * masks,
        lambda masks: masks.astype(str),
    ],
    ids=["one", "none", "rows", "columns", "numbers", "words"],
)
def test_what_is_no_masks_of_the_image_is_refused(spoil, masks, tmp_path):
    np.save(tmp_path / "a.npy", spoil(masks))
    with pytest.raises(ValueError, match=r"a\.npy must hold masks \(M, H, W\) of 0 and 1.* for the image b of 6x21"):
        recorded_masks(tmp_path / "a.npy", "b", SIZE)


def test_the_last_mask_must_be_the_rest(masks, tmp_path):
    np.save(tmp_path / "a.npy", masks[:2])
    with pytest.raises(ValueError, match=r"the last mask of .*a\.npy must hold the pixels that are in no other mask"):
        recorded_masks(tmp_path / "a.npy", "", SIZE)
    np.save(tmp_path / "a.npy", np.ones((1, *SIZE)))
    assert recorded_masks(tmp_path / "a.npy", "", SIZE).all()


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.pth"])
def test_a_damaged_file_is_one_sentence(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04 not masks")
    with pytest.raises(ValueError, match=rf"model\.masks: .*{name} is not a readable file of masks \("):
        recorded_masks(tmp_path / name, "", SIZE)


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="not a readable file of masks"):
        recorded_masks(tmp_path / "a.npy", "", SIZE)


class Finder:
    def __init__(self, masks):
        self.masks, self.calls = masks, 0

    def __call__(self):
        self.calls += 1
        return self.masks


def test_masks_are_found_once(masks, tmp_path):
    find = Finder(masks)
    for what, calls in (({"image": "a"}, 1), ({"image": "a"}, 1), ({"image": "b"}, 2), ({"image": "a"}, 2)):
        found = cached_masks(find, what, SIZE, tmp_path)
        assert found.dtype == bool
        assert np.array_equal(found, masks)
        assert find.calls == calls
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_entry_is_found_again(masks, tmp_path):
    find = Finder(masks)
    cached_masks(find, {}, SIZE, tmp_path)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert np.array_equal(cached_masks(find, {}, SIZE, tmp_path), masks)
    assert find.calls == 2
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_a_warning(masks, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert np.array_equal(cached_masks(Finder(masks), {}, SIZE, tmp_path / "file"), masks)
    assert "Masks could not be cached" in caplog.text


def test_the_users_cache_is_the_default(masks, tmp_path, monkeypatch):
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path))
    cached_masks(Finder(masks), {}, SIZE)
    assert len(list((tmp_path / "masks").glob("*.npz"))) == 1
