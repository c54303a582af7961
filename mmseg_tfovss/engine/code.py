"""Which code a run goes through, so that another method, or a new table, does not make its numbers out of date."""

import ast
import hashlib
import inspect
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.registry import DATASETS, LOOPS, METRICS, MODELS, TRANSFORMS

PACKAGE = Path(__file__).parents[1]
_NAME = PACKAGE.name
_START = PACKAGE / "engine" / "run.py"
_DATA = ("pocket", "encoders/rankings")  # what no import shows; vocabularies have a hash of their own
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def code_hash(config: Config) -> str:
    """sha256 of the source files of :func:`code_files`, and of the weights and rankings that come with the package."""
    data = [path for folder in _DATA for path in (PACKAGE / folder).rglob("*") if path.is_file()]
    return _hash(frozenset(code_files(config)) | {path for path in data if path.suffix not in (".py", ".pyc")})


def code_files(config: Config) -> set[Path]:
    """Sources of the test, of every class that a config names, of their base classes, and of what these import.

    Of code outside this package, which may be a user's own method: the file of the class, and what it imports of its
    folder; what is installed has a version instead.
    """
    waiting = [_START, *_class_files(config.to_dict())]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


def _class_files(settings: object) -> Iterator[Path]:
    """Files of the classes named by ``type`` anywhere in settings, and of their base classes."""
    if isinstance(settings, Mapping):
        for kind in inspect.getmro(_find_class(settings.get("type"))):
            path = _source(kind)
            if path is not None:
                yield path
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for part in settings:
            yield from _class_files(part)


def _find_class(kind: object) -> type:
    """A class by its name, as building would find it, or as it is; ``object`` if it is neither."""
    if isinstance(kind, str):
        found = (registry.get(kind) for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, LOOPS))
        kind = next(filter(None, found), None)
    return kind if isinstance(kind, type) else object


@cache
def _source(kind: type) -> Path | None:
    """A class's file, unless it is installed; None for classes without one."""
    try:
        path = Path(inspect.getsourcefile(kind) or "").absolute()
    except (TypeError, OSError):  # of C, or typed in
        return None
    installed = str(path).startswith(_INSTALLED) and not path.is_relative_to(PACKAGE)
    return path if path.is_file() and not installed else None


@cache
def _imports(path: Path) -> list[Path]:
    """Modules of this package that a file imports, anywhere in it; of a user's file also those beside it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names += [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
    parts = [name.split(".") for name in names if name]
    bases = [PACKAGE.joinpath(*part[1:]) for part in parts if part[0] == _NAME]
    if not path.is_relative_to(PACKAGE):
        bases += [path.parent.joinpath(*part) for part in parts]
    return [file for base in bases for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]


@cache
def _hash(files: frozenset[Path]) -> str:
    named = {path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else Path(path.name): path for path in files}
    digest = hashlib.sha256()
    for name, path in sorted(named.items()):
        digest.update(f"{name.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
