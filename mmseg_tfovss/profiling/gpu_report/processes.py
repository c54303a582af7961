"""Two processes on one GPU, or on two: they must count what one process counts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, LeftOutError, Row, Section
from mmseg_tfovss.profiling.gpu_report.launching import SCENES, Run, result_of

SECTION = Section(
    title="Two processes",
    about=(
        "`tfovss test` with SCLIP on scenes of the bundled benchmark, by one process and by two, which share the"
        " images. *Same counts*: all scores of all classes are equal, to the last digit."
    ),
    columns={
        "processes": ("processes", "d"),
        "backend": ("backend", ""),
        "cards": ("GPUs", "d"),
        "images": ("images", "d"),
        "miou": ("mIoU", ".2f"),
        "same": ("same counts", ""),
        "seconds": ("seconds, with start", ".1f"),
    },
)
_KEPT = ("metrics", "per_class", "num_images")


def compare_processes(device: torch.device, scratch: Path, deadline: Deadline, scenes: int = SCENES) -> Found:
    """Rows for one process and for two.

    Args:
        device: of the report; two processes also take the next GPU, if there is one.
        scratch: folder for the runs.
        deadline: by which they shall end.
        scenes: images.

    Raises:
        RuntimeError: a run failed, though not because NCCL wants a GPU for each process.
        ValueError: two processes count something else than one.
        LeftOutError: the deadline came first.
    """
    own, both = _cards(device)
    one = Run(scratch / "one", cards=own, scenes=scenes)
    expected, seconds = result_of(one, deadline)
    yield _row(one, expected, seconds, expected)
    backends = ("nccl", "gloo") if device.type == "cuda" else ("gloo",)
    for number, backend in enumerate(backends):
        run = Run(scratch / backend, 2, backend, both, scenes)
        if deadline.left() < seconds:  # two take about as long as one: most of it is their start
            raise LeftOutError("too little time was left for two processes; --minutes gives more.")
        try:
            result, seconds = result_of(run, Deadline(deadline.left() / (len(backends) - number)))
        except LeftOutError as reason:
            if backend == backends[-1]:
                raise
            yield f"{backend.upper()} was left out: {reason}"
            continue
        except RuntimeError as error:
            if backend != "nccl" or len(both) > 1:
                raise
            yield f"NCCL did not run two processes on one GPU, as is usual: {error}"
            continue
        yield _row(run, result, seconds, expected)
        if not _same(result, expected):
            raise ValueError(f"Two processes over {backend} count something else than one process.")


def _cards(device: torch.device) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The GPUs for one process and for two."""
    if device.type != "cuda":
        return (), ()
    first, count = device.index or 0, torch.cuda.device_count()
    return (first,), (first, (first + 1) % count) if count > 1 else (first,)


def _row(run: Run, result: Mapping[str, Any], seconds: float, expected: Mapping[str, Any]) -> Row:
    return {
        "processes": run.processes,
        "backend": run.backend or None,
        "cards": len(run.cards),
        "images": result["num_images"],
        "miou": result["metrics"]["mIoU"],
        "same": None if run.processes == 1 else "yes" if _same(result, expected) else "**no**",
        "seconds": seconds,
    }


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    # As text, for a class that does not occur has a score that is not a number.
    return all(json.dumps(one[key]) == json.dumps(other[key]) for key in _KEPT)
