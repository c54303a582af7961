"""A kill at any moment, without a new process for each: an exception that nothing catches."""

import io
import os
from pathlib import Path

import numpy as np

from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.evaluation import metric
from mmseg_tfovss.evaluation.metric import SegmentationMetric


class Killed(BaseException):
    """Passes through every ``except Exception``, as kill -9 passes through everything."""


class Fate:
    """Kills after ``left`` further moments of interest; None: never."""

    def __init__(self, monkeypatch):
        self.left = None
        self._wrap(monkeypatch, SegmentationMetric, "process")
        self._wrap(monkeypatch, metric, "confusion_counts")  # between two images of a batch
        self._wrap(monkeypatch, os, "fsync")
        self._wrap(monkeypatch, Path, "replace")
        write = np.savez_compressed

        def write_in_halves(file, **arrays):
            buffer = io.BytesIO()
            write(buffer, **arrays)
            raw = buffer.getvalue()
            file.write(raw[: len(raw) // 2])
            file.flush()
            self.moment()
            file.write(raw[len(raw) // 2 :])

        monkeypatch.setattr(np, "savez_compressed", write_in_halves)
        # Nobody tidies up after kill -9.
        unlink = Path.unlink
        monkeypatch.setattr(Path, "unlink", lambda path, **options: None if self.dead else unlink(path, **options))

    @property
    def dead(self):
        return self.left is not None and self.left < 0

    def moment(self):
        if self.left is not None:
            self.left -= 1
            if self.dead:
                raise Killed

    def _wrap(self, monkeypatch, owner, name):
        function = getattr(owner, name)

        def wrapped(*args, **kwargs):
            self.moment()
            value = function(*args, **kwargs)
            self.moment()
            return value

        monkeypatch.setattr(owner, name, wrapped)


def interrupt(monkeypatch, after, also=lambda: None):
    """End the run when so many images were counted; ``also`` happens at the beginning."""
    iterate, begin, left = ResumableTestLoop.run_iter, ResumableTestLoop.begin, [after]

    def interrupted(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        iterate(*arguments)

    monkeypatch.setattr(ResumableTestLoop, "run_iter", interrupted)
    monkeypatch.setattr(ResumableTestLoop, "begin", lambda *given: (begin(*given), also()))
