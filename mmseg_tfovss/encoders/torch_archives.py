"""Files of ``torch.save``, looked through before torch reads them: nothing in them may exhaust memory or the stack.

``torch.load(weights_only=True)`` runs no code, but believes what it reads: a compressed member may unpack to any size,
each byte of a pickle may become an object, and a key made of tuples inside tuples ends the process when it is hashed.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ZIP = b"PK\x03\x04"
_LARGEST_PICKLE = 2 * 2**20  # bytes, beside the tensors: four times what a checkpoint of the largest CLIP has
_DEEPEST = 100  # tuples inside each other
_TOO_MUCH = "it holds too much beside its tensors"
_MARK = -1
_PICKLES = 5  # of a file of torch before 1.6: magic number, version, system, content, names of storages


def check_torch_file(path: Path) -> None:
    """Refuse a file that torch should not be given.

    Args:
        path: of ``torch.save``, of any version.

    Raises:
        ValueError: it is not such a file, needs more memory than it has bytes, or nests tuples too deeply.
        zipfile.BadZipFile: it is a damaged archive.
    """
    with path.open("rb") as file:
        is_archive = file.read(len(ZIP)) == ZIP
        file.seek(0)
        if not is_archive:
            start = _start_of(file)
            for _ in range(_PICKLES):
                _check_pickle(start)
            return
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path.stat().st_size)
        for member in archive.infolist():
            if member.filename.endswith(".pkl"):
                with archive.open(member) as opened:
                    _check_pickle(_start_of(opened))


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Torch writes its members uncompressed, once each."""
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its members are compressed, unlike those of torch")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members are larger than the file")
    if any(member.file_size > _LARGEST_PICKLE for member in members if member.filename.endswith(".pkl")):
        raise ValueError(_TOO_MUCH)


def _start_of(file: IO[bytes]) -> io.BytesIO:
    """What may hold pickles, in memory: a file would be asked for as many bytes as a length in it says."""
    return io.BytesIO(file.read(_LARGEST_PICKLE))


def _check_pickle(file: io.BytesIO) -> None:
    """Read one pickle, and know of each object only how deep its tuples are; other objects count as flat."""
    stack: list[int] = []
    memo: dict[int, int] = {}
    for opcode, argument in _opcodes(file):
        if opcode.name.endswith("PUT") or opcode.name == "MEMOIZE":
            memo[len(memo) if argument is None else int(argument)] = stack[-1]
            continue
        if opcode.name.endswith("GET"):
            stack.append(memo[int(argument)])
            continue
        inside = _pop(stack, opcode)
        depth = 1 + max(inside, default=0) if opcode.name.startswith("TUPLE") else 0
        if depth > _DEEPEST:
            raise ValueError("its tuples are inside each other without end")
        stack.extend(_MARK if pushed is pickletools.markobject else depth for pushed in opcode.stack_after)


def _opcodes(file: io.BytesIO) -> Iterator[tuple[Any, Any]]:
    """Instructions and their arguments."""
    try:
        for opcode, argument, _ in pickletools.genops(file):
            yield opcode, argument
    except ValueError as error:
        if len(file.getbuffer()) < _LARGEST_PICKLE:
            raise
        raise ValueError(_TOO_MUCH) from error


def _pop(stack: list[int], opcode: Any) -> list[int]:  # noqa: ANN401 - pickletools.OpcodeInfo
    """Take what an instruction takes off the stack; containers that it fills are put back by its ``stack_after``."""
    before = opcode.stack_before
    taken: list[int] = []
    if pickletools.stackslice in before:
        while (item := stack.pop()) != _MARK:
            taken.append(item)
        before = before[: before.index(pickletools.markobject)]
    if before:
        taken += stack[-len(before) :]
        del stack[-len(before) :]
    return taken
