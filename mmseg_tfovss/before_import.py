"""Do something right before a module is imported for the first time, wherever that happens."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _Watch(MetaPathFinder):
    """Finds no module: it calls a function when one is looked for, and then goes."""

    def __init__(self, module: str, action: Callable[[], object]) -> None:
        self.module, self.action = module, action

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Call the function if it is the module; the finders behind this one find it."""
        if fullname == self.module and self in sys.meta_path:
            sys.meta_path.remove(self)  # first: the function may look for the module, too
            self.action()


def call_before_import(module: str, action: Callable[[], object]) -> None:
    """Call a function once, right before a module is imported for the first time.

    So the function may need what is slow to import, and costs nothing where the module is never needed.

    Args:
        module: its full name; if it has been imported already, the function is not called.
        action: the function.
    """
    if module not in sys.modules:
        sys.meta_path.insert(0, _Watch(module, action))
