"""Authors' files: what is a file, the network in it, its shapes and names."""

import pytest
import torch

from mmseg_tfovss.encoders.checkpoint import (
    Layout,
    check_shapes,
    count_blocks,
    find_network,
    names_a_file,
    rename,
)

LAYOUT = Layout("somebody/something", "proj.weight", lambda tensors: ({}, tensors), extras=r"head\.")


@pytest.mark.parametrize(
    ("name", "is_file"),
    [
        ("sam.pth", True),
        ("a/b.safetensors", True),
        ("facebook/dino-vitb8", False),
        ("x/net-1.5", False),
        ("pocket", False),
    ],
)
def test_names_of_files_are_told_by_their_ends(name, is_file):
    assert names_a_file(name) is is_file


def test_files_and_folders_that_are_there_are_told_by_what_they_are(tmp_path):
    (tmp_path / "weights").write_bytes(b"")
    (tmp_path / "folder.pth").mkdir()
    assert names_a_file(str(tmp_path / "weights"))
    assert not names_a_file(str(tmp_path / "folder.pth"))


@pytest.fixture
def path(tmp_path):
    """A file large enough for all tensors here."""
    file = tmp_path / "weights.pth"
    file.write_bytes(bytes(1000))
    return file


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {"teacher": {f"backbone.{name}": tensor for name, tensor in tensors.items()}, "epoch": 3},
        lambda tensors: {"student": {name: tensor + 1 for name, tensor in tensors.items()}, "teacher": tensors},
    ],
)
def test_the_network_is_found_without_its_wrapping(wrap, path):
    tensors = {"proj.weight": torch.ones(2, 2).half(), "norm.bias": torch.zeros(2), "head.weight": torch.zeros(1)}
    found = find_network(wrap(tensors), LAYOUT, path)
    assert set(found) == {"proj.weight", "norm.bias"}
    assert found["proj.weight"].dtype == torch.float32
    assert (found["proj.weight"] == 1).all()


def test_none_and_several_are_refused_with_a_reason(path):
    with pytest.raises(ValueError, match=r"^proj\.weight is missing; its first keys are a, b, c$"):
        find_network({name: torch.zeros(1) for name in "dcba"}, LAYOUT, path)
    two = {"model": {"proj.weight": torch.zeros(1)}, "net": {"module.proj.weight": torch.zeros(1)}}
    with pytest.raises(ValueError, match=r"^it holds 2 of them, model and net\.module$"):
        find_network(two, LAYOUT, path)


def test_what_is_not_plain_is_refused(path):
    with pytest.raises(ValueError, match=r"proj\.weight is not a plain tensor of floating-point numbers \(int64\)"):
        find_network({"proj.weight": torch.zeros(2, dtype=torch.int64)}, LAYOUT, path)


def test_shapes_are_compared_both_ways():
    expected = {"a": (2,), "b": (1, 3)}
    check_shapes({"a": torch.zeros(2), "b": torch.zeros(1, 3)}, expected)
    for tensors, reason in (
        ({"a": torch.zeros(2)}, "b is missing"),
        ({"a": torch.zeros(2), "b": torch.zeros(3)}, r"b is of shape \(3,\), but it must be \(1, 3\)"),
        (
            {"a": torch.zeros(2), "b": torch.zeros(1, 3), "c": torch.zeros(1)},
            "it has c, which such a network does not have",
        ),
    ):
        with pytest.raises(ValueError, match=reason):
            check_shapes(tensors, expected)


def test_blocks_are_counted_and_names_changed_in_order():
    tensors = {"blocks.0.a": torch.zeros(1), "blocks.11.a": torch.zeros(1), "other.12.a": torch.zeros(1)}
    assert count_blocks(tensors, "blocks.") == 12
    assert count_blocks(tensors, "layers.") == 0
    renamed = rename(tensors, ((r"^blocks\.", "layer."), (r"layer\.(\d+)", r"l\1")))
    assert list(renamed) == ["l0.a", "l11.a", "other.12.a"]
