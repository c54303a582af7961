"""Images per second at the best batch, and where the time goes."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.gpu_report.bench import Bench
from mmseg_tfovss.profiling.gpu_report.cases import Case
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section
from mmseg_tfovss.profiling.gpu_report.stages import PREPROCESS, STAGES, after_encoder_share, time_batch_stages
from mmseg_tfovss.profiling.gpu_report.waits import count_waits
from mmseg_tfovss.profiling.meters import PeakMemory

SECTION = Section(
    title="Throughput",
    about=(
        "From decoded images in memory to labels on the device: resizing and the way to the device are in images/s."
        " Stages are milliseconds per image at the best batch; each waits for the one before it, so their sum may be"
        " more than an image takes. *After the encoder* is the share of assemble, refine and label in the five stages."
        " *Memory* is above the weights. *Waits* are host synchronisations per batch that PyTorch notices."
    ),
    columns={
        "method": ("method", ""),
        "precision": ("precision", ""),
        "batch": ("best batch", "d"),
        "window_batch": ("windows at a time", "d"),
        "images_per_second": ("images/s", ".1f"),
        "single_ms": ("batch 1 (ms)", ".1f"),
        **{f"{stage}_ms": (f"{stage} (ms)", ".2f") for stage in (PREPROCESS, *STAGES)},
        "after_encoder": ("after the encoder", ".1%"),
        "memory_mb": ("memory (MiB)", ".0f"),
        "waits": ("waits", "d"),
    },
)
BATCHES = (1, 2, 4, 8, 16, 32)
WINDOW_BATCHES = (32, 64, 128, 256)
_HELPS = 1.02  # times as many images per second: less is noise
_PATIENCE = 2  # larger batches in a row that do not help, before the search ends
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
    yield from (f"{case.name}, aim on an H100 or H200: {aim.told(row)}." for aim in case.aims)
    tried = ", ".join(f"{b} ({w}): {r:.1f}" for (b, w), r in rates.items())
    yield f"{case.name}, images/s by batch (and windows at a time): {tried}.{ended}"
    places = list((row["waits_by_place"] or {}).items())[:_PLACES]
    if places:
        yield f"{case.name} waits most often at {', '.join(f'{place} ({count})' for place, count in places)}."


def search_batches(
    rate_of: Callable[[int, int | None], tuple[float, int]], deadline: Deadline, largest: int = BATCHES[-1]
) -> tuple[dict[tuple[int, int], float], str]:
    """Larger batches until that no longer helps, and then more windows at a time, likewise.

    Args:
        rate_of: images per second of a batch with so many windows at a time (``None``: the method's own number), and
            that number.
        deadline: after which nothing further is tried.
        largest: batch; 1: nothing is searched.

    Returns:
        Images per second by batch and windows at a time, in the order of the trials; and a sentence, with a space
        before it, if the search did not end by itself.
    """
    rates: dict[tuple[int, int], float] = {}
    pairs: list[tuple[int, int | None]] = [(batch, None) for batch in BATCHES if batch <= largest]
    ended = _climb(rates, rate_of, pairs, deadline)
    if largest == 1 or ended:
        return rates, ended
    (batch, own), _ = max(rates.items(), key=lambda item: item[1])
    larger: list[tuple[int, int | None]] = [(batch, windows) for windows in WINDOW_BATCHES if windows > own]
    return rates, _climb(rates, rate_of, larger, deadline)


def _climb(
    rates: dict[tuple[int, int], float],
    rate_of: Callable[[int, int | None], tuple[float, int]],
    pairs: list[tuple[int, int | None]],
    deadline: Deadline,
) -> str:
    """Add the rates of pairs until they no longer help, or time or memory ends."""
    in_vain = 0
    for batch, windows in pairs:
        if rates and (in_vain == _PATIENCE or deadline.over()):
            return "" if in_vain == _PATIENCE else " Time ended the search."
        best = max(rates.values(), default=0.0)
        found = _unless_memory_ends(partial(rate_of, batch, windows))
        if found is None:
            if not rates:
                raise ValueError("A single image does not fit into the memory of the device.")
            return f" Memory ended the search at batch {batch}" + (f" with {windows} windows." if windows else ".")
        rate, used = found
        rates[batch, used] = rate
        in_vain = 0 if rate > _HELPS * best else in_vain + 1
    return ""


def _unless_memory_ends(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the work returns
    """What it returns, or None; the memory that it had is free again."""
    try:
        return work()
    except torch.cuda.OutOfMemoryError:
        pass
    torch.cuda.empty_cache()  # here, where no traceback holds tensors any longer
    return None


def _rate_of(
    bench: Bench, model: OpenVocabSegmentor, case: Case, batch: int, windows: int | None
) -> tuple[float, int]:
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
    _wait(device)
    deadline, start, runs = Deadline(most), time.perf_counter(), 0
    while not runs or not deadline.over():
        work()
        runs += 1
    _wait(device)
    return (time.perf_counter() - start) / runs


def _at_best(bench: Bench, model: OpenVocabSegmentor, data: dict[str, Any], deadline: Deadline) -> Row:
    """Memory, waits and stages of a batch."""
    memory = PeakMemory(bench.device)
    model.test_step(_anew(data))
    peak = memory.megabytes()
    places = count_waits(lambda: model.test_step(_anew(data)), bench.device)
    seconds = time_batch_stages(model, lambda: _anew(data), bench.device, Deadline(deadline.left() / 2))
    return {
        **{f"{name}_ms": 1e3 * value / len(data["inputs"]) for name, value in seconds.items()},
        "after_encoder": after_encoder_share(seconds),
        "memory_mb": peak,
        "waits": None if places is None else sum(places.values()),
        "waits_by_place": places,
    }


def _anew(data: dict[str, Any]) -> dict[str, Any]:
    """The same images with new samples: a step writes its labels into those that it gets."""
    return {"inputs": data["inputs"], "data_samples": [sample.clone() for sample in data["data_samples"]]}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
