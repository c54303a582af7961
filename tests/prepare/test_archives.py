"""Archives: read without unpacking, and refused with the reason when they are damaged or point elsewhere."""

import errno
import gzip
import io
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager, suppress

import pytest

from mmseg_tfovss.prepare import archives as module
from mmseg_tfovss.prepare.archives import folder_file, member_names, read_members
from tests.prepare import hostile

FILES = {
    "val/1.png": random.Random(0).randbytes(3000),
    "val/2.png": b"",
    "val/deep/3.txt": b"3" * 512,
    "names.txt": b"abc",
}
KINDS = ["tar", "tar.gz", "zip"]


def tar_info(name, content=b"", **kwargs):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in kwargs.items():
        setattr(info, key, value)
    return info


def write_tar(path, members, mode="w", **kwargs):
    with tarfile.open(path, mode, **kwargs) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


def write(path, files, prefix=""):
    """An archive with a folder entry and `files`, of the kind that its suffix says."""
    if path.suffix == ".zip":
        return write_zip(path, [(prefix + "val/", b""), *((prefix + name, files[name]) for name in files)])
    members = [(tar_info(prefix + "val", type=tarfile.DIRTYPE), b"")]
    members += [(tar_info(prefix + name, files[name]), files[name]) for name in files]
    return write_tar(path, members, "w:gz" if path.suffix == ".gz" else "w")


def anything(name):
    return True


def reads(path):
    """Both ways to go through an archive."""
    return [lambda: member_names(path), lambda: list(read_members(path, anything))]


def assert_refused(path, pattern):
    for read in reads(path):
        with pytest.raises(ValueError, match=pattern) as caught:
            read()
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_come_in_order_without_folders(kind, prefix, tmp_path):
    path = write(tmp_path / f"a.{kind}", FILES, prefix)
    assert member_names(path) == list(FILES)
    assert list(read_members(path, anything)) == list(FILES.items())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_only_wanted_files_are_read(kind, tmp_path):
    path = write(tmp_path / f"a.{kind}", FILES, "./")
    asked = []
    found = dict(read_members(path, lambda name: asked.append(name) or name.startswith("val/deep/")))
    assert found == {"val/deep/3.txt": FILES["val/deep/3.txt"]}
    assert asked == list(FILES)


@pytest.mark.parametrize("kind", KINDS)
def test_suffix_does_not_matter(kind, tmp_path):
    path = write(tmp_path / f"a.{kind}", FILES).rename(tmp_path / "download")
    assert list(read_members(path, anything)) == list(FILES.items())


@pytest.mark.parametrize("kind", KINDS)
def test_what_macos_adds_is_skipped(kind, tmp_path):
    junk = ["__MACOSX/val/1.png", "val/._1.png", "val/.DS_Store", "._val", ".DS_Store"]
    kept = ["val/1.png", "val/x._1.png", "my__MACOSX/1.png", "val/.hidden"]
    path = write(tmp_path / f"a.{kind}", dict.fromkeys([kept[0], *junk, *kept[1:]], b"x"))
    assert member_names(path) == kept


def test_long_and_foreign_names_survive(tmp_path):
    names = ["val/" + "n" * 150 + ".png", "val/" + "f/" * 120 + "1.png", "données/é.png"]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = write_tar(tmp_path / "a.tar", [(tar_info(name, b"x"), b"x") for name in names], format=form)
        assert list(read_members(path, anything)) == [(name, b"x") for name in names]
    assert member_names(write(tmp_path / "a.zip", dict.fromkeys(names, b"x"))) == names


def test_tar_from_before_posix_is_read(tmp_path):
    path = write_tar(tmp_path / "a.tar", [(tar_info("a", b"x"), b"x")], format=tarfile.USTAR_FORMAT)
    raw = bytearray(path.read_bytes())
    raw[257:265] = bytes(8)  # the magic
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * 32 + sum(raw[156:512]))
    path.write_bytes(raw)
    assert list(read_members(path, anything)) == [("a", b"x")]


def test_tar_that_has_a_zip_inside_is_a_tar(tmp_path):
    inner = write(tmp_path / "inner.zip", FILES).read_bytes()
    path = write_tar(tmp_path / "a.tar", [(tar_info("inner.zip", inner), inner)])
    assert member_names(path) == ["inner.zip"]


def test_empty_zip_has_no_names(tmp_path):
    assert member_names(write_zip(tmp_path / "a.zip", [])) == []


BAD_NAMES = ["../x", "val/../../x", "val/..", "/abs", "//abs", "..\\x", "val\\x", "C:x", "c:/x", "\\\\host\\x"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_name_that_leads_out_refuses_the_archive(kind, name, tmp_path):
    path = write(tmp_path / f"a.{kind}", {**FILES, name: b"x"})
    assert_refused(path, r"is refused: its member '.*' has (an absolute path or a backslash|'\.\.' in its path)")
    with pytest.raises(ValueError, match="is refused"):
        list(read_members(path, lambda name: False))


def test_bad_name_of_a_folder_refuses_the_archive_too(tmp_path):
    assert_refused(write_tar(tmp_path / "a.tar", [(tar_info("../x", type=tarfile.DIRTYPE), b"")]), "'../x' has '..'")
    assert_refused(write_zip(tmp_path / "a.zip", [("../x/", b"")]), "'../x/' has '..'")


def test_junk_with_a_bad_name_refuses_the_archive_too(tmp_path):
    assert_refused(write(tmp_path / "a.zip", {"../.DS_Store": b""}), "'..' in its path")


def test_zip_is_refused_before_its_first_file_is_read(tmp_path):
    path = write(tmp_path / "a.zip", {**FILES, "../x": b"x"})
    with pytest.raises(ValueError, match="is refused"):
        next(read_members(path, anything))


def test_dots_inside_a_name_are_harmless(tmp_path):
    assert member_names(write(tmp_path / "a.zip", {"a..b/c..png": b"", "...": b""})) == ["a..b/c..png", "..."]


def link_in_tar(tmp_path, name, target, kind=tarfile.SYMTYPE):
    members = [(tar_info("names.txt", b"x"), b"x"), (tar_info(name, type=kind, linkname=target), b"")]
    return write_tar(tmp_path / "a.tar", members)


def link_in_zip(tmp_path, name, target):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return write_zip(tmp_path / "a.zip", [("names.txt", b"x"), (info, target.encode())])


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../..", "C:\\x", "deep/../../../x"])
@pytest.mark.parametrize("link", [link_in_tar, link_in_zip])
def test_symbolic_link_out_of_the_archive_refuses_it(link, target, tmp_path):
    assert_refused(link(tmp_path, "val/link", target), "'val/link' is a link that points out of the archive, to '")


@pytest.mark.parametrize("target", ["1.png", "../names.txt", "./deep/3.txt", "deep/..", ".."])
@pytest.mark.parametrize("link", [link_in_tar, link_in_zip])
def test_symbolic_link_inside_is_skipped(link, target, tmp_path):
    path = link(tmp_path, "val/link", target)
    assert list(read_members(path, anything)) == [("names.txt", b"x")]
    assert member_names(path) == ["names.txt"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../x"])
def test_hard_link_out_of_the_archive_refuses_it(target, tmp_path):
    assert_refused(link_in_tar(tmp_path, "val/link", target, tarfile.LNKTYPE), "is a link that points out")


def test_hard_link_inside_counts_from_the_root_and_is_skipped(tmp_path):
    assert member_names(link_in_tar(tmp_path, "val/link", "names.txt", tarfile.LNKTYPE)) == ["names.txt"]


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_device_in_a_tar_refuses_it(kind, tmp_path):
    assert_refused(
        write_tar(tmp_path / "a.tar", [(tar_info("val/x", type=kind), b"")]), "'val/x' is a device or a pipe"
    )


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_device_in_a_zip_refuses_it(kind, tmp_path):
    info = zipfile.ZipInfo("val/x")
    info.external_attr = (kind | 0o644) << 16
    assert_refused(write_zip(tmp_path / "a.zip", [(info, b"")]), "'val/x' is a device or a pipe")


def test_encrypted_zip_is_refused(tmp_path):
    path = write(tmp_path / "a.zip", {"val/1.png": b"x"})
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.rindex(signature) + offset] |= 1
    path.write_bytes(raw)
    assert_refused(path, "its member 'val/1.png' is encrypted")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>" * 100, bytes(2000), b"PK but no zip"])
def test_other_files_are_no_archives(content, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert_refused(path, r"is not a tar, tar\.gz or zip archive: delete it and download it again\.$")


def test_missing_archive_is_named(tmp_path):
    for read in reads(tmp_path / "a.zip"):
        with pytest.raises(FileNotFoundError, match=r"The archive .*a\.zip does not exist\."):
            read()


DAMAGED = r"^The archive .* is damaged \(.+\): delete it and download it again\.$"


def assert_whole_until_the_error(path):
    members = read_members(path, anything)
    with suppress(ValueError):
        for name, content in members:
            assert content == FILES[name]


@pytest.mark.parametrize("kind", KINDS)
def test_archive_cut_anywhere_is_damaged(kind, tmp_path):
    path = write(tmp_path / f"a.{kind}", FILES)
    raw = path.read_bytes()
    end = raw.rindex(b"abc") + 512 if kind == "tar" else len(raw)  # a tar ends with zeros, more than it needs
    for length in range(512, end - 1, 83):
        path.write_bytes(raw[:length])
        assert_refused(path, DAMAGED)
        assert_whole_until_the_error(path)


def test_tar_cut_between_two_members_is_damaged(tmp_path):
    path = write(tmp_path / "a.tar", FILES)
    raw = path.read_bytes()
    for offset in (512, 512 + 512 + 3072, 512 + 512 + 3072 + 512):
        path.write_bytes(raw[:offset])
        assert_refused(path, r"damaged \(its end is missing\)")


def test_tar_with_a_broken_header_in_the_middle_is_damaged(tmp_path):
    path = write(tmp_path / "a.tar", FILES)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"val/2.png")] ^= 1
    path.write_bytes(raw)
    assert_refused(path, DAMAGED)


def test_gzip_with_a_wrong_checksum_is_damaged(tmp_path):
    path = write(tmp_path / "a.tar.gz", FILES)
    raw = bytearray(path.read_bytes())
    raw[-8] ^= 1
    path.write_bytes(raw)
    assert_refused(path, r"damaged \(CRC check failed")


NO_DEFLATE_BLOCK = b"\x07"


def test_compressed_data_that_make_no_sense_are_damaged(tmp_path):
    begun = zlib.compressobj(wbits=31)  # gzip
    start = begun.compress(write(tmp_path / "a.tar", FILES).read_bytes()[:2000]) + begun.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "a.tar.gz").write_bytes(start + NO_DEFLATE_BLOCK * 100)
    raw = bytearray(write(tmp_path / "a.zip", {"1.txt": b"text" * 100}).read_bytes())
    raw[raw.index(b"1.txt") + len("1.txt")] = NO_DEFLATE_BLOCK[0]
    (tmp_path / "a.zip").write_bytes(raw)
    for name in ("a.tar.gz", "a.zip"):
        with pytest.raises(ValueError, match=r"damaged \(.*Error -3 while decompressing data"):
            list(read_members(tmp_path / name, anything))


PAX_NONSENSE = [{"size": "9" * 25}, {"size": "-512"}, {"size": "many"}, {"GNU.sparse.map": "0,x"}]


@pytest.mark.parametrize("headers", PAX_NONSENSE, ids=lambda headers: str(*headers.items()))
def test_tar_whose_sizes_make_no_sense_is_damaged(headers, tmp_path):
    members = [(tar_info("1.png", b"x", pax_headers=headers), b"x"), (tar_info("2.png", b"x"), b"x")]
    path = write_tar(tmp_path / "a.tar", members, format=tarfile.PAX_FORMAT)
    with pytest.raises(ValueError, match=DAMAGED):
        list(read_members(path, anything))


def test_zip_whose_list_points_to_nowhere_is_damaged(tmp_path):
    path = write(tmp_path / "a.zip", {"1.png": b"x"})
    raw = bytearray(path.read_bytes())
    end = raw.rindex(b"PK\x05\x06")
    struct.pack_into("<I", raw, end + 16, struct.unpack_from("<I", raw, end + 16)[0] + 1000)
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=DAMAGED):
        list(read_members(path, anything))


def test_error_of_the_disk_is_no_damage(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    path = write(tmp_path / "a.zip", FILES)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", fail)
    with pytest.raises(OSError, match="Input/output error"):
        list(read_members(path, anything))


def test_gzip_of_something_else_is_damaged(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"text" * 1000))
    assert_refused(path, DAMAGED)


def test_zip_with_a_wrong_checksum_is_damaged(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("1.png", b"abc" * 1000)], zipfile.ZIP_STORED)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"abcabc", b"abcabd", 1))
    with pytest.raises(ValueError, match=r"damaged \(Bad CRC-32 for file '1\.png'\)"):
        list(read_members(path, anything))


def test_zip_with_an_unknown_compression_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("1.png", b"abc")], zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", raw, raw.index(signature) + offset, 99)
    path.write_bytes(raw)
    assert_refused(path, r"its member '1\.png' is compressed by another method than deflate")


# Archives that would fill the memory, or never end


MEGABYTE = 1 << 20


@contextmanager
def little_memory():
    """Fail if what Python holds at once grows beyond a few megabytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    finally:
        tracemalloc.stop()


def lying_zip(path, content, method, size):
    """A zip whose list says that its one member has another size than it has."""
    write_zip(path, [("1.png", content)], method)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", raw, raw.index(signature) + offset, size)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("size", [10, 300 * MEGABYTE])
def test_zip_bomb_is_refused_in_little_memory(size, tmp_path):
    path = lying_zip(tmp_path / "a.zip", bytes(100 * MEGABYTE), zipfile.ZIP_DEFLATED, size)
    assert path.stat().st_size < MEGABYTE
    message = rf"{path} is (damaged|refused: its member '1\.png' has 314\.6 MB)"
    with little_memory(), pytest.raises(ValueError, match=message):
        list(read_members(path, anything))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_whose_unpacking_cannot_be_bounded_is_refused(method, tmp_path):
    path = lying_zip(tmp_path / "a.zip", bytes(30 * MEGABYTE), method, 10)
    with little_memory():
        assert_refused(path, r"its member '1\.png' is compressed by another method than deflate")


def test_file_that_no_dataset_has_is_refused_only_if_it_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_FILE", 1000)
    for kind in KINDS:
        path = write(tmp_path / f"a.{kind}", FILES)
        message = r"its member 'val/1\.png' has 3\.0 kB, but no official file has more than 1\.0 kB"
        with pytest.raises(ValueError, match=message):
            list(read_members(path, anything))
        assert [name for name, _ in read_members(path, lambda name: name != "val/1.png")] == [*FILES][1:]


def test_link_to_a_name_without_end_is_refused(tmp_path):
    path = link_in_zip(tmp_path, "val/link", "x" * (30 * MEGABYTE))
    with little_memory():
        assert_refused(path, "is a link to a name without end")


def tar_header(name, size, kind=tarfile.REGTYPE):
    info = tar_info(name, type=kind)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_note_on_a_member_without_end_is_refused(kind, tmp_path):
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(tar_header("note", 100 * MEGABYTE, kind))
        for _ in range(100):
            file.write(bytes(MEGABYTE))
    with little_memory():
        assert_refused(path, r"a note on a member has 104857\d\d\d bytes")


def test_many_notes_on_one_member_are_damage(tmp_path):
    path = tmp_path / "a.tar"
    note = b"11 path=abc\n"
    path.write_bytes((tar_header("note", len(note), tarfile.XHDTYPE) + note.ljust(512, b"\0")) * 3000)
    assert_refused(path, "is damaged")


@pytest.mark.parametrize("header", [("1.png", 200 * MEGABYTE), ("1.png", 12 * MEGABYTE), None])
def test_tar_gz_that_unpacks_without_end_is_refused(header, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_TAR", 10 * MEGABYTE)
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(tar_header(*header) if header else tar_header("1.png", 1) + bytes(512))
        file.write(bytes(20 * MEGABYTE))
    with little_memory():
        assert_refused(path, r"it would have more than 10\.5 MB")
        with pytest.raises(ValueError, match=r"it would have more than 10\.5 MB"):
            list(read_members(path, lambda name: False))


def test_member_of_negative_size_does_not_lead_in_circles(tmp_path):
    """As tarfile of Python 3.11.7 would let it; the sum of the header is right."""
    header = bytearray(tar_header("1.png", 0))
    for size in (-512, -1024, -(1 << 40)):
        header[124:136] = b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        path = tmp_path / "a.tar"
        path.write_bytes(tar_header("0.png", 0) + header + bytes(10240))
        assert_refused(path, "is damaged")


def test_holes_of_a_sparse_file_take_no_memory(tmp_path):
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    listing = b"1\n0\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    info = tar_info("1.png", listing, pax_headers={**headers, "GNU.sparse.name": "1.png"})
    path = write_tar(tmp_path / "a.tar", [(info, listing)], format=tarfile.PAX_FORMAT)
    with little_memory(), pytest.raises(ValueError, match=r"has 1\.1 TB|is damaged"):
        list(read_members(path, anything))


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_are_no_text_do_no_harm_where_they_are_not_wanted(kind, tmp_path):
    names = ["\x1b[31m.txt", "caf\udce9.txt" if kind != "zip" else "café.txt", "a\nb", "1.png"]
    path = write(tmp_path / f"a.{kind}", dict.fromkeys(names, b"x"))
    assert [name for name, _ in read_members(path, lambda name: name == "1.png")] == ["1.png"]


# Folders


def test_folder_has_the_names_that_an_archive_of_it_would_have(tmp_path, monkeypatch):
    for name, content in {**FILES, "val/._1.png": b"junk", ".DS_Store": b"junk"}.items():
        (tmp_path / "top/set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top/set" / name).write_bytes(content)
    expected = {f"top/set/{name}": content for name, content in FILES.items()}
    assert dict(read_members(tmp_path / "top/set", anything)) == expected
    assert set(member_names(tmp_path / "top/set")) == set(expected)
    monkeypatch.setattr(module, "LARGEST_FILE", 1000)
    with pytest.raises(ValueError, match=r"set is refused: its member 'top/set/val/1\.png' has 3\.0 kB"):
        list(read_members(tmp_path / "top/set", anything))
    for name in expected:
        assert folder_file(tmp_path / "top/set", name).read_bytes() == expected[name]


# Whatever the bytes are


def assert_whole_or_a_sentence(path, content):
    path.write_bytes(content)
    for read in reads(path):
        try:
            read()
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert str(error).isprintable()  # noqa: PT017


@pytest.mark.parametrize("rounds", [150, pytest.param(3_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_archives_never_give_another_error_than_a_sentence(kind, rounds, tmp_path):
    path = write(tmp_path / f"a.{kind}", {**FILES, "val/" + "n" * 150: b"long", "données/é.png": b"x"})
    link_in_tar(tmp_path, "val/link", "1.png")
    draw = random.Random(0)
    seeds = [path.read_bytes()] if kind != "tar" else [path.read_bytes(), (tmp_path / "a.tar").read_bytes()]
    for _ in range(rounds):
        assert_whole_or_a_sentence(path, hostile.mutate_bytes(draw.choice(seeds), draw))
    for _ in range(rounds // 3):  # behind the checksums: a gzip of a damaged tar
        inner = hostile.mutate_bytes(gzip.decompress(seeds[0]) if kind == "tar.gz" else seeds[0], draw)
        assert_whole_or_a_sentence(path, gzip.compress(inner, 1) if kind == "tar.gz" else inner)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_never_give_another_error_than_a_sentence(kind, tmp_path):
    path = write(tmp_path / f"a.{kind}", FILES)
    raw = path.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        broken = bytearray(raw)
        for _ in range(3):
            broken[draw.randrange(len(raw))] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        try:
            list(read_members(path, anything))
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
