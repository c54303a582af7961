"""A checkout of an official repository, whose modules are imported beside those that are installed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


class Repository:
    """An official repository on this disk.

    Args:
        folder: of the repository.
        option: of the command line that named it, for messages.

    Attributes:
        folder: its absolute path.

    Raises:
        FileNotFoundError: no such folder.
    """

    def __init__(self, folder: Path, option: str = "--against") -> None:
        self.folder = folder.expanduser().absolute()
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{option} {folder}: no such folder. Clone the official repository there.")
        self._modules: dict[str, ModuleType] = {}

    @property
    def title(self) -> str:
        """The repository's folder and commit."""
        done = subprocess.run(
            ["git", "-C", str(self.folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
        return f"{self.folder.name} @ {done.stdout.strip() or 'unknown commit'}"

    @contextmanager
    def modules(self) -> Iterator[None]:
        """While this lasts, ``import`` finds the repository's modules first, such as its own ``clip``."""
        own = {path.stem for path in self.folder.glob("*.py")}
        own |= {path.name for path in self.folder.iterdir() if path.is_dir() and any(path.glob("*.py"))}
        own |= {name.partition(".")[0] for name in self._modules}
        outside, where, search = _take(own), Path.cwd(), list(sys.path)
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.folder))
        os.chdir(self.folder)
        try:
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
