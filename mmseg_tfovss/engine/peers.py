"""The other processes of a run: what ends one of them ends all, with its reason."""

import json
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.engine.signals import StoppedError

_LOOK_EVERY = 1.0  # seconds
_PATIENCE = timedelta(days=7)  # with the slowest process


class PeerError(ValueError):
    """Another process of this run has failed."""


class Peers:
    """Leaves a note in the run's state folder when this process fails, and looks for those of others.

    All processes must construct it at the same time.

    Args:
        folder: the run's state folder, which all processes see.
    """

    def __init__(self, folder: Path) -> None:
        self.several = get_world_size() > 1
        self._note = folder / "failure.json"
        self._next_look = 0.0
        # Gloo's, unlike NCCL's, notices a process that has gone.
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE) if self.several else None

    def clear(self) -> None:
        """Remove the note of an earlier session; the first process calls this."""
        self._note.unlink(missing_ok=True)

    def announce(self, error: BaseException) -> None:
        """Tell the others why this process ends; the first reason stands."""
        if not self.several or isinstance(error, PeerError):
            return
        number = error.number if isinstance(error, StoppedError) else None
        reason = {"process": get_rank(), "message": sentence(error), "signal": number}
        try:
            with self._note.open("x", encoding="utf-8") as file:
                json.dump(reason, file)
        except OSError:  # there is one, or the disk is full: the others notice that this process is gone
            return

    def check(self) -> None:
        """Look for a note, at most once a second.

        Raises:
            PeerError: another process has failed.
            StoppedError: another process was stopped by a signal.
        """
        if self.several and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_EVERY
            self._look()

    def wait(self) -> None:
        """Wait until every process has got here.

        Raises:
            PeerError: one never will.
            StoppedError: one was stopped by a signal.
        """
        if not self.several:
            return
        try:
            dist.barrier(self._group)
        except RuntimeError as error:
            self._look()
            raise PeerError("Another process of this run has ended before its images were done.") from error

    def _look(self) -> None:
        try:
            reason = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, or half-written
            return
        if reason["signal"] is not None:
            raise StoppedError(reason["signal"])
        raise PeerError(f"Process {reason['process']} of this run has failed: {reason['message']}")
