"""Files of torch.save, looked through before torch is given them."""

import pickle
import zipfile

import pytest
import torch

from mmseg_tfovss.encoders.torch_archives import check_torch_file

NESTED_KEY = b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s."  # torch.load ends with a segmentation fault on it


def archive(path, pickled, **options):
    """An archive of torch's with another pickle."""
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w", **options) as new:
        for name, content in members.items():
            new.writestr(name, pickled if pickled and name.endswith("/data.pkl") else content)
    return path


@pytest.mark.parametrize("is_archive", [True, False])
def test_checkpoints_pass(is_archive, tmp_path):
    network = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    content = {"model": network.state_dict(), "optimizer": optimizer.state_dict(), "size": torch.Size([1, 2])}
    content |= {"shape": ((1, 2), (3, (4,))), "names": {"a", "b"}, "device": torch.device("cpu"), "type": torch.float16}
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=is_archive)
    check_torch_file(tmp_path / "x.pt")
    assert set(torch.load(tmp_path / "x.pt", weights_only=True)) == set(content)


@pytest.mark.parametrize("protocol", range(6))
def test_deep_tuples_are_refused_in_every_protocol(protocol, tmp_path):
    nested = ()
    for _ in range(90):
        nested = (nested,)
    (tmp_path / "x.pt").write_bytes(5 * pickle.dumps({nested: 1}, protocol))
    check_torch_file(tmp_path / "x.pt")
    for _ in range(20):
        nested = (nested,)
    (tmp_path / "x.pt").write_bytes(5 * pickle.dumps({nested: 1}, protocol))
    with pytest.raises(ValueError, match="tuples are inside each other without end"):
        check_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "pickled",
    [
        NESTED_KEY,
        b"\x80\x02}" + b")" + b"\x85q\x00h\x00" * 200 + b"K\x01s.",  # through the memo
        b"\x80\x02}(" + b"(" * 200 + b"t" * 200 + b"K\x01u.",
        b"\x80\x02}(K\x05" + b"(" * 200 + b"t" * 200 + b"K\x01K\x02u.",
        b"\x80\x02ccollections\nOrderedDict\n(])" + b"\x85" * 200 + b"K\x01\x86atR.",
    ],
    ids=["key", "memo", "marks", "items", "ordered"],
)
def test_keys_that_end_the_process_are_refused(pickled, tmp_path):
    with pytest.raises(ValueError, match="tuples are inside each other without end"):
        check_torch_file(archive(tmp_path / "x.pt", pickled))


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path):
    with pytest.raises(ValueError, match="compressed, unlike those of torch"):
        check_torch_file(archive(tmp_path / "x.pt", b"", compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match="holds too much beside its tensors"):
        check_torch_file(archive(tmp_path / "x.pt", b"\x80\x02" + b"}" * (5 * 2**20) + b"."))
    (tmp_path / "x.pt").write_bytes(b"\x80\x02N." * 3 + b"\x80\x02X\x00\x00\x50\x00" + b"a" * (5 * 2**20) + b"N.")
    with pytest.raises(ValueError, match="holds too much beside its tensors"):
        check_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize("length", [2**31, 2**40, 2**62])
def test_a_length_in_a_pickle_asks_for_no_memory(length, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"\x80\x04\x8d" + length.to_bytes(8, "little") + b"abc.")
    with pytest.raises(ValueError, match="bytes in a unicodestring8, but only 4 remain"):
        check_torch_file(tmp_path / "x.pt")
