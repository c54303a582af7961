"""How often a method makes a GPU and its host wait for each other, and where.

On a GPU torch itself reports it. Elsewhere a pretended device shows it (:mod:`mmseg_tfovss.profiling.pretend`).
"""

import copy
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from rich.table import Table
from rich.text import Text

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.plain import printable
from mmseg_tfovss.profiling.pretend import PRETEND, HostSync, caller, pretend_device

_REPORT = "synchronizing CUDA operation"  # in torch's warning


def host_syncs(model: OpenVocabSegmentor, batch: Mapping[str, Any]) -> list[HostSync]:
    """What one ``test_step`` waits for.

    Constants are copied to a device once. So the batch is labelled twice, and the second time counts.

    Args:
        model: on its device, which it keeps.
        batch: as a data loader gives it; it stays as it is.

    Returns:
        In order. A copy that does not block the host is not among them.

    Raises:
        ValueError: the method uses what the pretended device does not have, such as sparse matrices.
    """
    model.prepare()
    if model.decode_head.query_class.is_cuda:
        model.test_step(copy.deepcopy(dict(batch)))
        with reported_by_cuda() as found:
            model.test_step(copy.deepcopy(dict(batch)))
        return found
    try:
        return _pretended(copy.deepcopy(model), batch)
    except RuntimeError as error:
        model.test_step(copy.deepcopy(dict(batch)))  # an error of the method itself comes again
        raise ValueError(
            f"The waits of {type(model).__name__} can be counted on a GPU only: without one, the pretended device lacks"
            f" an operation that it uses ({str(error).splitlines()[0]})."
        ) from error


def _pretended(model: OpenVocabSegmentor, batch: Mapping[str, Any]) -> list[HostSync]:
    with pretend_device() as device:
        model.to(PRETEND)
        model.test_step(copy.deepcopy(dict(batch)))
        device.syncs.clear()
        model.test_step(copy.deepcopy(dict(batch)))
    return device.syncs


@contextmanager
def reported_by_cuda() -> Iterator[list[HostSync]]:
    """What CUDA waits for while this lasts, as far as torch reports it."""
    found: list[HostSync] = []

    def note(message: Warning | str, *_: object, **__: object) -> None:
        if _REPORT in str(message):
            found.append(HostSync("wait", caller()))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)


def sync_table(title: str, syncs: Sequence[HostSync]) -> Table:
    """Counts by place, for the terminal."""
    table = Table(title=Text(printable(title)))
    for name in ("place", "what waits"):
        table.add_column(name)
    table.add_column("times in a batch", justify="right")
    for sync, count in Counter(syncs).items():
        table.add_row(sync.place, sync.operation, str(count))
    table.add_row("total", "", str(len(syncs)))
    return table
