"""Which code a run goes through, so that another method, or a new table, does not make its numbers out of date."""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mmseg_tfovss.engine.contents import read_contents
from mmseg_tfovss.engine.provenance import RECORDED
from mmseg_tfovss.registry import DATASETS, LOOPS, METRICS, MODELS, TRANSFORMS

PACKAGE = Path(__file__).parents[1]
_NAME = PACKAGE.name
_START = PACKAGE / "engine" / "run.py"
_DATA = ("pocket", "encoders/rankings")  # what no import shows; vocabularies have a hash of their own
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_PACKAGES = frozenset({"site-packages", "dist-packages"})  # also those of the user or the system
_REGISTRIES = (MODELS, DATASETS, TRANSFORMS, METRICS, LOOPS)
Component = type | FunctionType


def code_hash(config: Config) -> str:
    """sha256 of the source files of :func:`code_files`, and of the weights and rankings that come with the package.

    Of a class without a file, as in a notebook, what its functions do and its plain values count.
    """
    data = [path for folder in _DATA for path in (PACKAGE / folder).rglob("*") if path.is_file()]
    files = frozenset(code_files(config)) | {path for path in data if path.suffix not in (".py", ".pyc")}
    typed_in = sorted({_describe(part) for part in _components(config.to_dict()) if _file(part) is None} - {""})
    return hashlib.sha256("\n".join([_hash(files), *typed_in]).encode()).hexdigest() if typed_in else _hash(files)


def code_files(config: Config) -> set[Path]:
    """Sources of the test, of every class that a config names, of their base classes, and of what these import.

    Of code outside this package, which may be a user's own method, installed or not: the file of the class, the modules
    in ``custom_imports``, and what these import of their own package or of what is not installed. Packages of others
    have a version instead.
    """
    settings = config.to_dict()
    named = [path for path in map(_file, _components(settings)) if path and _is_code(path)]
    waiting = [_START, *named, *_imported(settings)]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path, _stamp(path))
    return found


def _components(settings: object) -> Iterator[Component]:
    """Classes and functions that are named by ``type`` anywhere in settings, and base classes."""
    if isinstance(settings, Mapping):
        kind = _find(settings.get("type"))
        yield from inspect.getmro(kind) if isinstance(kind, type) else [kind] if kind is not None else []
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for part in settings:
            yield from _components(part)


def _find(kind: object) -> Component | None:
    """A class or function by its name, as building would find it, or as it is."""
    if isinstance(kind, str):
        registry = _registry_of(kind, tuple(map(_size, _REGISTRIES)))
        kind = None if registry is None else registry.get(kind)
    return kind if isinstance(kind, type | FunctionType) else None


@cache
def _registry_of(name: str, sizes: tuple[int, ...]) -> Registry | None:
    """Where a name is registered; the sizes are there so that it is looked for again when something was registered.

    A registry that does not have a name looks for a module of that name on the disk, which takes a millisecond.
    """
    return next((registry for registry in _REGISTRIES if registry.get(name)), None)


def _size(registry: Registry | None) -> int:
    """How many names a registry and those that it inherits from have."""
    return 0 if registry is None else len(registry.module_dict) + _size(registry.parent)


def _imported(settings: Mapping[str, Any]) -> list[Path]:
    """Files of a user's modules that a config imports: they may change what others do."""
    names = (settings.get("custom_imports") or {}).get("imports") or ()
    modules = (sys.modules.get(name) for name in ([names] if isinstance(names, str) else names))
    files = [Path(file).absolute() for module in modules if (file := getattr(module, "__file__", None))]
    return [file for file in files if _is_code(file) and not file.is_relative_to(PACKAGE)]


@cache
def _file(component: Component) -> Path | None:
    """The file of a class or function; None for what is written in C, or was typed in."""
    try:
        path = Path(inspect.getsourcefile(component) or "").absolute()
    except (TypeError, OSError):
        return None
    return path if path.is_file() else None


def _is_own(path: Path) -> bool:
    """Whether a file is Python code that has no version: this package's, or a user's."""
    installed = _PACKAGES.intersection(path.parts) or any(path.is_relative_to(folder) for folder in _INSTALLED)
    return path.suffix == ".py" and path.is_file() and (path.is_relative_to(PACKAGE) or not installed)


def _is_code(path: Path) -> bool:
    """Whether a file that a config names is code whose version no result records: a user's, installed or not."""
    return path.suffix == ".py" and path.is_file() and _has_no_version(path)


@cache
def _has_no_version(path: Path) -> bool:
    """Whether a file belongs neither to Python nor to a package whose version results record."""
    installed = _PACKAGES.intersection(path.parts)
    pythons = path.is_relative_to(sysconfig.get_path("stdlib")) and not installed
    recorded = installed and RECORDED.intersection(path.parts)
    return path.is_relative_to(PACKAGE) or not (pythons or recorded)


def _package_of(path: Path) -> Path:
    """The folder of the topmost package that a file is in, or of the file itself."""
    top = path.parent
    while (top / "__init__.py").is_file() and (top.parent / "__init__.py").is_file():
        top = top.parent
    return top


@cache
def _imports(path: Path, stamp: str) -> list[Path]:
    """Modules of this package that a file imports, anywhere in it; of a user's file also other ones of the user's.

    The stamp is there so that a file that was edited is looked at again.
    """
    names: list[tuple[str, ...]] = []  # absolute
    inside: list[Path] = []  # of relative ones
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = tuple(filter(None, (node.module or "").split(".")))
            ends = [module, *((*module, alias.name) for alias in node.names)]
            if node.level:
                inside += [path.parents[node.level - 1].joinpath(*end) for end in ends if node.level <= len(path.parts)]
            else:
                names += ends
    bases = [PACKAGE.joinpath(*name[1:]) for name in names if name[0] == _NAME]
    if path.is_relative_to(PACKAGE):
        return _modules([*bases, *inside])
    siblings = _package_of(path)  # an installed method of a user's: what it imports of its own package
    foreign = {name[:end] for name in names if name[0] != _NAME for end in range(1, len(name) + 1)}
    roots = (path.parent, *(Path(entry).absolute() for entry in sys.path))
    found = _modules([*bases, *inside, *(root.joinpath(*name) for root in roots for name in foreign)], siblings)
    loaded = (getattr(sys.modules.get(".".join(name)), "__file__", None) for name in foreign)
    files = [Path(file).absolute() for file in loaded if file]
    return [*found, *(file for file in files if _is_own(file) or _is_beside(file, siblings))]


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def _modules(bases: Iterable[Path], siblings: Path | None = None) -> list[Path]:
    """Files that modules or packages of these names would be in, as far as there are such files."""
    files = (file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py"))
    return [file for file in files if _is_own(file) or _is_beside(file, siblings)]


def _is_beside(file: Path, package: Path | None) -> bool:
    return (
        package is not None and (package / "__init__.py").is_file() and file.is_relative_to(package) and _is_code(file)
    )


def _parse(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # it was found by its name only
        return ast.Module([], [])


@cache
def _describe(component: Component) -> str:
    """What the functions of a class do, and its plain values, wherever it was typed in; empty for those of C."""
    members = vars(component) if isinstance(component, type) else {component.__name__: component}
    told = []
    for name, value in sorted(members.items()):
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            told.append(f"{name} {_instructions(function.__code__)}")
        elif isinstance(value, bool | int | float | str | tuple) and not name.startswith("__"):
            told.append(f"{name} {value!r}")
    return "; ".join(told)


def _instructions(code: CodeType) -> str:
    constants = [_instructions(value) if isinstance(value, CodeType) else _plain(value) for value in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _plain(value: object) -> str:
    return str(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _hash(files: frozenset[Path]) -> str:
    inside, contents = PACKAGE.parent, read_contents(sorted(files), PACKAGE)
    named = [
        (path.relative_to(inside).as_posix() if path.is_relative_to(PACKAGE) else path.name, path) for path in files
    ]
    lines = sorted(f"{name} {contents[path].hash}" for name, path in named)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
