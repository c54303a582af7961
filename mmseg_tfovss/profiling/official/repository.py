"""A checkout of an official repository, whose modules are imported beside those that are installed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from unittest.mock import patch

import torch

from mmseg_tfovss.profiling.official.machine import named_errors, on_device


class Repository:
    """An official repository on this disk.

    Args:
        folder: of the repository.
        option: of the command line that named it, for messages.
        what: should be there, likewise.

    Attributes:
        folder: its absolute path.
        used: packages that its code really uses, among those that most repositories only import.

    Raises:
        FileNotFoundError: no such folder.
    """

    used: frozenset[str] = frozenset()

    def __init__(self, folder: Path, option: str = "--against", what: str = "the official repository") -> None:
        self.folder = folder.expanduser().absolute()
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{option} {folder}: no such folder. Clone {what} there.")
        self._modules: dict[str, ModuleType] = {}

    @property
    def title(self) -> str:
        """The repository's folder, its commit, and whether its Python files differ from it."""
        if not self._git("ls-tree", "--name-only", "HEAD"):  # no repository, or another one around the folder
            return f"{self.folder.name} @ unknown commit"
        with TemporaryDirectory() as scratch:  # an index of its own: what is staged is not what runs
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            self._git("read-tree", "HEAD", **index)
            changed = self._git("status", "--porcelain", "--untracked-files=no", "--", "*.py", **index)
        return f"{self.folder.name} @ {self._git('rev-parse', '--short', 'HEAD')}{', changed' if changed else ''}"

    def _git(self, *arguments: str, **variables: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(self.folder), *arguments]
        environment = {**os.environ, **variables}
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        except OSError:  # no git here
            return ""
        return done.stdout.strip()

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        """While this lasts, the repository's code runs: its own modules, on this device.

        Raises:
            ValueError: it needs a package that is not installed, or stops.
        """
        with named_errors(self.folder.name), self.modules(), on_device(device, self.used):
            yield

    @contextmanager
    def modules(self) -> Iterator[None]:
        """While this lasts, ``import`` finds the repository's modules first, such as its own ``clip``.

        Nothing is written into the folder, and what its code sets in the environment is taken back.
        """
        own = {path.stem for path in self.folder.glob("*.py")}
        own |= {path.name for path in self.folder.iterdir() if path.is_dir() and any(path.glob("*.py"))}
        own |= {name.partition(".")[0] for name in self._modules}
        outside, where, search = _take(own), Path.cwd(), list(sys.path)
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.folder))
        os.chdir(self.folder)
        try:
            with patch.dict(os.environ), patch.object(sys, "dont_write_bytecode", True):
                yield
        finally:
            os.chdir(where)
            sys.path[:] = search
            self._modules = _take(own | self._from_here())
            sys.modules.update(outside)

    def _from_here(self) -> set[str]:
        """Modules that its code has found by folders that it added to the path."""
        found = set()
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and Path(file).is_relative_to(self.folder):
                found.add(name.partition(".")[0])
        return found


def _take(names: set[str]) -> dict[str, ModuleType]:
    """Remove the modules of these packages from those that are imported, and return them."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in names}
