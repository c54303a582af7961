"""The tensors of a TorchScript archive, such as OpenAI's, read as data: none of the archive's code runs.

``torch.jit.load`` compiles and runs what an archive brings along (``__setstate__``), and that code may print, and
write files. Here the archive is a zip file with four kinds of members, of which nothing is executed:

    data.pkl       instructions that build the modules: a small interpreter that knows a dozen harmless ones
    data/<n>       the bytes of one storage
    code/*.py      read as text, for the names of each class's parameters and buffers
    byteorder      absent from older files

What the interpreter does not know is refused; so is a module that would restore itself by code of its own, because
its tensors are then no longer those that lie in the file.
"""

import itertools
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_LARGEST_PICKLE = 4 * 2**20  # bytes; OpenAI's have less than half a million
_LARGEST_CODE = 32 * 2**20  # bytes, of all source files once they are unpacked
_DEEPEST = 64  # modules inside each other
_MOST_MODULES = 100_000  # each as often as it is named: shared ones could be named without end
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_CLASS = re.compile(r"^class (\w+)\((\w+)\):\n((?:(?:[ \t].*)?\n)*)", re.MULTILINE)
_NAMES = r"^  {} = \[((?:\"[^\"\\\n]*\", )*)\]$"
_MARK = object()


@dataclass(frozen=True)
class _Global:
    """A name that a pickle asks for; it is never imported."""

    name: str


@dataclass
class _Module:
    """An object of one of the archive's own classes: its attributes, and nothing that acts."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Declared:
    """What the text of a class says of its attributes."""

    tensors: frozenset[str]
    restores_itself: bool


def is_torchscript(path: Path) -> bool:
    """Whether a zip file is a TorchScript archive, as torch tells it: by a member ``constants.pkl``."""
    with zipfile.ZipFile(path) as archive:
        return any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The state dict of a TorchScript archive, equal to that of ``torch.jit.load``, on the CPU.

    Args:
        path: the archive.

    Returns:
        Name -> parameter or persistent buffer, in the dtype of the file.

    Raises:
        ValueError: the archive is damaged, does not add up, or holds instructions other than those that build modules
            of tensors.
        zipfile.BadZipFile: its bytes are damaged.
    """
    with zipfile.ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
        members = _Members(archive, pickled.removesuffix("data.pkl"), path.stat().st_size)
        if members.has("byteorder") and members.read("byteorder", 16) != b"little":
            raise ValueError("its numbers are big-endian")
        root = _Interpreter(_Storages(members)).run(members.read("data.pkl", _LARGEST_PICKLE))
        if not isinstance(root, _Module):
            raise ValueError("it holds no module")
        return dict(_Walk(_read_classes(members)).tensors(root))


class _Members:
    """Members of an archive, in no more memory than the file has bytes; code may be compressed."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, size: int) -> None:
        self.archive, self.folder, self.left = archive, folder, size
        self.infos = {info.filename: info for info in archive.infolist()}
        if len(self.infos) != len(archive.infolist()):
            raise ValueError("two of its members have the same name")

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return f"{self.folder}{name}" in self.infos

    def read(self, name: str, largest: int) -> bytes:
        """A member that torch does not compress, whole."""
        info = self.infos[f"{self.folder}{name}"]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{name} is compressed")
        self.left -= info.file_size
        if info.file_size > largest or self.left < 0:
            raise ValueError(f"{name} is larger than it can be")
        return self.archive.read(info)

    def sources(self) -> Iterator[tuple[str, str]]:
        """Dotted module name and text of each source file."""
        start, left = f"{self.folder}code/", _LARGEST_CODE
        for name, info in self.infos.items():
            if name.startswith(start) and name.endswith(".py"):
                with self.archive.open(info) as file:
                    content = file.read(left + 1)
                left -= len(content)
                if left < 0:
                    raise ValueError("its code is larger than it can be")
                yield name.removeprefix(start).removesuffix(".py").replace("/", "."), content.decode()


class _Storages:
    """Storages by their number, each read once."""

    def __init__(self, members: _Members) -> None:
        self.members = members
        self.read: dict[str, Tensor] = {}

    def find(self, reference: object) -> Tensor:
        """The flat tensor of a persistent id ``("storage", type, number, device, length)``; the device is ignored."""
        _, kind, number, _, length = _typed(reference, tuple)
        dtype = _STORAGES.get(_typed(kind, _Global).name.removeprefix("torch."))
        if dtype is None or not re.fullmatch(r"[0-9]{1,20}", _typed(number, str)):
            raise ValueError(f"it has a storage of an unknown kind ({kind})")
        if number not in self.read:
            content = self.members.read(f"data/{number}", self.members.left)
            self.read[number] = _flat(content, dtype)
        found = self.read[number]
        if found.dtype != dtype or len(found) != _typed(length, int):
            raise ValueError(f"its storage {number} does not have the size or type that is said of it")
        return found


def _flat(content: bytes, dtype: torch.dtype) -> Tensor:
    if len(content) % dtype.itemsize:
        raise ValueError("a storage ends within a number")
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


class _Interpreter:
    """Runs the pickle instructions that TorchScript's writer uses; all others are refused.

    Nothing is imported or called but the functions below, no value is hashed save strings and numbers, and memory is
    in proportion to the instructions.
    """

    def __init__(self, storages: _Storages) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> object:
        """The object that a pickle describes."""
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                (result,) = self.stack
                return result
            if opcode.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _LITERALS:
                self.stack.append(argument)
            elif opcode.name in _INSTRUCTIONS:
                _INSTRUCTIONS[opcode.name](self, argument)
            else:
                raise ValueError(f"its pickle has the instruction {opcode.name}, which no module of tensors needs")
        raise ValueError("its pickle does not end")

    def pop_to_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        start = len(self.stack) - 1
        while self.stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise ValueError("its pickle is damaged")
        found = self.stack[start + 1 :]
        del self.stack[start:]
        return found

    def push_global(self, argument: str) -> None:
        """Note a name, ``module name``."""
        self.stack.append(_Global(argument.replace(" ", ".", 1)))

    def push_tuple(self, count: int | None) -> None:
        """Of the last items; of all since the mark for None."""
        if count is None:
            self.stack.append(tuple(self.pop_to_mark()))
            return
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def append(self, items: list[Any]) -> None:
        """To the list on top."""
        _typed(self.stack[-1], list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Keys and values by turns, of the dictionary on top."""
        target = _typed(self.stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key if isinstance(key, int) else _typed(key, str)] = value

    def new_object(self) -> None:
        """Of a class of the archive: a shell for its attributes."""
        arguments, kind = self.stack.pop(), self.stack.pop()
        name = _typed(kind, _Global).name
        if arguments != () or not name.startswith("__torch__."):
            raise ValueError(f"it asks for an object of {name}")
        self.stack.append(_Module(name))

    def build(self) -> None:
        """Give an object its attributes."""
        state, target = self.stack.pop(), _typed(self.stack[-1], _Module)
        if not isinstance(state, dict) or target.attributes:
            raise ValueError(f"a {target.kind} restores itself by code of its own")
        target.attributes.update(state)

    def reduce(self) -> None:
        """Call one of the functions below."""
        arguments, function = _typed(self.stack.pop(), tuple), _typed(self.stack.pop(), _Global)
        if function.name not in _FUNCTIONS:
            raise ValueError(f"it asks for a call of {function.name}")
        self.stack.append(_FUNCTIONS[function.name](*arguments))


def _typed(value: Any, kind: type) -> Any:  # noqa: ANN401
    if not isinstance(value, kind):
        raise ValueError(f"it has a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> Tensor:
    flat = _typed(storage, Tensor)
    numbers = [_typed(number, int) for number in (offset, *_typed(size, tuple), *_typed(stride, tuple))]
    first, sides, steps = numbers[0], numbers[1 : 1 + len(size)], numbers[1 + len(size) :]  # type: ignore[arg-type]
    if min(numbers) < 0 or len(sides) != len(steps) or len(sides) > 16:
        raise ValueError("a tensor has an impossible shape")
    count = 1
    for side in sides:
        count *= side
    last = first + sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
    if first > len(flat) or count > len(flat) or (count and last >= len(flat)):
        raise ValueError("a tensor reaches beyond its storage")
    return flat.as_strided(sides, steps, first)


def _ordered_dict() -> dict[str, Any]:
    return {}


def _first(value: object, *_: object) -> object:
    return value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _first,
    "collections.OrderedDict": _ordered_dict,
    "torch.jit._pickle.build_intlist": _first,
    "torch.jit._pickle.build_doublelist": _first,
    "torch.jit._pickle.build_boollist": _first,
    "torch.jit._pickle.build_tensorlist": _first,
    "torch.jit._pickle.restore_type_tag": _first,
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_INSTRUCTIONS: dict[str, Callable[[_Interpreter, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "TUPLE": lambda machine, _: machine.push_tuple(None),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": lambda machine, place: machine.memo.__setitem__(place, machine.stack[-1]),
    "LONG_BINPUT": lambda machine, place: machine.memo.__setitem__(place, machine.stack[-1]),
    "BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "GLOBAL": lambda machine, name: machine.push_global(name),
    "NEWOBJ": lambda machine, _: machine.new_object(),
    "BUILD": lambda machine, _: machine.build(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BINPERSID": lambda machine, _: machine.stack.append(machine.storages.find(machine.stack.pop())),
}


def _read_classes(members: _Members) -> dict[str, _Declared]:
    """Every class of the archive by its dotted name, from the text of the code."""
    found: dict[str, _Declared] = {}
    for module, text in members.sources():
        for name, _, body in _CLASS.findall(f"{text}\n"):
            kind = f"{module}.{name}"
            if kind in found:
                raise ValueError(f"it has two classes {kind}")
            tensors = frozenset(_names(body, "__parameters__") + _names(body, "__buffers__"))
            found[kind] = _Declared(tensors, "def __setstate__" in body)
    return found


def _names(body: str, kind: str) -> list[str]:
    lines = re.findall(_NAMES.format(kind), body, re.MULTILINE)
    return re.findall(r'"([^"]*)"', lines[0]) if len(lines) == 1 else []


class _Walk:
    """From a module to the parameters and buffers of all that is inside."""

    def __init__(self, classes: dict[str, _Declared]) -> None:
        self.classes = classes
        self.visits = itertools.count()

    def tensors(self, module: _Module, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
        """Dotted names and tensors."""
        if depth > _DEEPEST or next(self.visits) > _MOST_MODULES:
            raise ValueError("its modules are inside each other without end")
        declared = self.classes.get(module.kind)
        if declared is None or declared.restores_itself:
            why = "has no code" if declared is None else "restores itself by code of its own"
            raise ValueError(f"a {module.kind} {why}")
        for name, value in module.attributes.items():
            if isinstance(value, _Module):
                yield from self.tensors(value, f"{prefix}{name}.", depth + 1)
            elif isinstance(value, Tensor) and name in declared.tensors:
                yield f"{prefix}{name}", value
