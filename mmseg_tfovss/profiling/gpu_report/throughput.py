"""Images per second at the best batch, and where the time goes."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.gpu_report.bench import Bench
from mmseg_tfovss.profiling.gpu_report.cases import Case
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section
from mmseg_tfovss.profiling.gpu_report.search import BATCHES, search_batches, unless_memory_ends
from mmseg_tfovss.profiling.gpu_report.stages import PREPROCESS, STAGES, after_encoder_share, time_batch_stages
from mmseg_tfovss.profiling.host_syncs import reported_by_cuda
from mmseg_tfovss.profiling.meters import PeakMemory, wait_for

SECTION = Section(
    title="Throughput",
    about=(
        "From decoded images in memory to labels on the device: resizing and the way to the device are in images/s."
        " Stages are milliseconds per image at the best batch; each waits for the one before it, so their sum may be"
        " more than an image takes. *After the encoder* is the share of assemble, refine and label in the five stages."
        " *Memory* is above the weights. *Waits* are host synchronisations per batch that PyTorch notices,"
        " counted on a GPU only."
    ),
    columns={
        "method": ("method", ""),
        "precision": ("precision", ""),
        "batch": ("best batch", "d"),
        "window_batch": ("windows at a time", "d"),
        "images_per_second": ("images/s", ".4g"),
        "single_ms": ("batch 1 (ms)", ".1f"),
        **{f"{stage}_ms": (f"{stage} (ms)", ".2f") for stage in (PREPROCESS, *STAGES)},
        "after_encoder": ("after the encoder", ".1%"),
        "memory_mb": ("memory (MiB)", ".0f"),
        "waits": ("waits", "d"),
    },
)
_MOST_SECONDS = 1.0  # of a trial
_PLACES = 5  # of waits, that are named


def measure_throughput(bench: Bench, case: Case, deadline: Deadline) -> Found:
    """A row, and remarks on aims, on the batches tried, and on where the host waits.

    Args:
        bench: networks, image and device.
        case: what is timed.
        deadline: the search ends half-way to it.
    """
    model = bench.build(case.method, bench.half, **case.options)
    rate_of = partial(_rate_of, bench, model, case)
    rates, ended = search_batches(rate_of, Deadline(deadline.left() / 2), largest=1 if case.single else BATCHES[-1])
    (batch, window_batch), rate = max(rates.items(), key=lambda item: item[1])
    tried = ", ".join(f"{b} ({w}): {r:.4g}" for (b, w), r in rates.items())
    yield f"{case.name}, images/s by batch (and windows at a time): {tried}.{ended}"
    model.window_batch = window_batch
    row = {
        "method": case.name,
        "precision": bench.half,
        "batch": batch,
        "window_batch": window_batch,
        "images_per_second": rate,
        "single_ms": 1e3 / rates[next(iter(rates))],
        **_at_best(bench, model, bench.batch(batch, case.size), deadline),
        "trials": [{"batch": b, "window_batch": w, "images_per_second": r} for (b, w), r in rates.items()],
    }
    yield row
    yield from (f"{case.name}, aim for an H100 or H200: {aim.told(row)}." for aim in case.aims if aim.key in row)
    places = list((row["waits_by_place"] or {}).items())[:_PLACES]
    if places:
        yield f"{case.name} waits most often at {', '.join(f'{place} ({count})' for place, count in places)}."


def _rate_of(bench: Bench, model: OpenVocabSegmentor, case: Case, batch: int, windows: int | None) -> tuple[float, int]:
    if windows is not None:
        model.window_batch = windows
    data = bench.batch(batch, case.size)
    seconds = seconds_per_run(lambda: model.test_step(_anew(data)), bench.device, _MOST_SECONDS)
    return batch / seconds, model.window_batch


def seconds_per_run(work: Callable[[], object], device: torch.device, most: float) -> float:
    """Mean seconds of some work, run after run without waiting in between, after one run that warms up.

    Args:
        work: what is timed.
        device: that it runs on.
        most: seconds after which no further run begins.
    """
    work()
    wait_for(device)
    deadline, start, runs = Deadline(most), time.perf_counter(), 0
    while not runs or not deadline.over():
        work()
        runs += 1
    wait_for(device)
    return (time.perf_counter() - start) / runs


def _at_best(bench: Bench, model: OpenVocabSegmentor, data: dict[str, Any], deadline: Deadline) -> Row:
    """Memory, waits and stages of a batch."""
    memory = PeakMemory(bench.device)
    model.test_step(_anew(data))
    peak = memory.megabytes()
    places = _waits_by_place(model, data, bench.device)
    row = {
        "memory_mb": peak,
        "waits": None if places is None else sum(places.values()),
        "waits_by_place": places,
    }
    until = Deadline(deadline.left() / 2)
    # Between two stages, all that the first one has made is there at once.
    seconds = unless_memory_ends(lambda: time_batch_stages(model, lambda: _anew(data), bench.device, until))
    if seconds is None:
        return row
    stages = {f"{name}_ms": 1e3 * value / len(data["inputs"]) for name, value in seconds.items()}
    return {**row, **stages, "after_encoder": after_encoder_share(seconds)}


def _waits_by_place(model: OpenVocabSegmentor, data: dict[str, Any], device: torch.device) -> dict[str, int] | None:
    """How often a batch that has been labelled before is waited for at each place; ``None``: not counted here."""
    if device.type != "cuda":
        return None
    with reported_by_cuda() as found:
        model.test_step(_anew(data))
    return dict(Counter(sync.place for sync in found).most_common())


def _anew(data: dict[str, Any]) -> dict[str, Any]:
    """The same images with new samples: a step writes its labels into those that it gets."""
    return {"inputs": data["inputs"], "data_samples": [sample.clone() for sample in data["data_samples"]]}
