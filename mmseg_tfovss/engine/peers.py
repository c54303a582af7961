"""The other processes of a run: what ends one of them ends all, with its reason."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist
from mmengine.dist import broadcast_object_list, get_rank, get_world_size

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.engine.identity import differences
from mmseg_tfovss.engine.signals import StoppedError

_LOOK_EVERY = 1.0  # seconds
_MEETING = timedelta(minutes=10)  # by then all processes have begun
_PATIENCE = timedelta(days=7)  # with the slowest process
_NOTE_TAKES = 3.0  # seconds, until all processes see a file
_NOTES = ".failure-*.json"


class PeerError(ValueError):
    """Another process of this run has failed."""


class Peers:
    """Leaves a note in the run's folder when this process fails, and looks for those of others.

    All processes must construct it at the same time.

    Args:
        folder: the run's folder, which all processes see.
    """

    def __init__(self, folder: Path) -> None:
        self.several = get_world_size() > 1
        self._folder = folder
        self._next_look = 0.0
        start = [uuid.uuid4().hex[:8]]  # a process that is left over from an earlier start is no peer
        self._group = None
        if self.several:
            broadcast_object_list(start)
            # Gloo, unlike NCCL, notices a process that has gone; one that never came, after the group's patience.
            dist.new_group(backend="gloo", timeout=_MEETING)
            self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
            with suppress(OSError):  # the lock will say so
                folder.mkdir(parents=True, exist_ok=True)
        self._note = folder / _NOTES.replace("*", start[0])

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tell the others what ends this process, and give the reason of another's end where it ends this one.

        Raises:
            PeerError: another process has failed.
            StoppedError: another process was stopped by a signal.
        """
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            if self.several and _is_lost_connection(error):
                self._wait_for_note()
                lost = PeerError("Another process of this run has ended before its images were done.")
                self.announce(lost)
                raise lost from error
            self.announce(error)
            raise

    def clear(self) -> None:
        """Remove the notes of earlier starts; the first process calls this."""
        for note in self._folder.glob(_NOTES):
            if note != self._note:
                note.unlink(missing_ok=True)

    def announce(self, error: BaseException) -> None:
        """Tell the others why this process ends; the first reason stands."""
        if not self.several or isinstance(error, PeerError):
            return
        number = error.number if isinstance(error, StoppedError) else None
        reason = {"process": get_rank(), "message": sentence(error), "signal": number}
        try:
            with self._note.open("x", encoding="utf-8") as file:
                json.dump(reason, file)
        except OSError:  # there is one, or no folder, or the disk is full: the others notice that this process is gone
            return

    def agree(self, identity: Mapping[str, str]) -> None:
        """Refuse processes that would not count for the same run, as with other weights on one machine.

        Raises:
            ValueError: they differ.
        """
        first, *others = self.gather(dict(identity))
        for number, other in enumerate(others, start=1):
            told = differences(first, other, "{name} is {one} in the one and {other} in the other")
            if told:
                raise ValueError(f"Processes 0 and {number} of this run differ: {told}.")

    def gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """Every process's value, by number."""
        if not self.several:
            return [value]
        values = [None] * get_world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values

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
        """Wait until every process has got here."""
        if self.several:
            dist.barrier(self._group)

    def _wait_for_note(self) -> None:
        deadline = time.monotonic() + _NOTE_TAKES
        while time.monotonic() < deadline:
            self._look()
            time.sleep(_NOTE_TAKES / 20)

    def _look(self) -> None:
        try:
            reason = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none, or half-written
            return
        if reason["signal"] is not None:
            raise StoppedError(reason["signal"])
        raise PeerError(f"Process {reason['process']} of this run has failed: {reason['message']}")


def _is_lost_connection(error: BaseException) -> bool:
    """Whether torch says that a process is gone; it has no one type for that."""
    named = any(library in str(error) for library in ("gloo", "NCCL", "TCPStore"))
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and named)
