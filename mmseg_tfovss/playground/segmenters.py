"""Methods that stay in memory, a few at a time."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from mmseg_tfovss.api import Segmenter


class Segmenters:
    """Loads a method when it is first used, and drops the one that has been unused for longest.

    One caller at a time uses a method: its networks are changed in place by new words.

    Args:
        load: loads a method by its name.
        most: how many are kept.
    """

    def __init__(self, load: Callable[[str], Segmenter], most: int) -> None:
        self._load, self._most = load, most
        self._kept: OrderedDict[str, Segmenter] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def use(self, name: str) -> Iterator[Segmenter]:
        """A method, for this caller alone inside the block.

        Raises:
            ValueError, FileNotFoundError: what :func:`mmseg_tfovss.load` refuses; nothing is kept then.
        """
        with self._lock:
            if name not in self._kept:
                self._make_room()
                self._kept[name] = self._load(name)
            self._kept.move_to_end(name)
            yield self._kept[name]

    def _make_room(self) -> None:
        """Drop before loading: two large models at once may not fit."""
        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)
