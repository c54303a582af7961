"""The whole report: which steps, in what order, and what each may take."""

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from mmseg_tfovss.earlier_files import keep_earlier
from mmseg_tfovss.engine.provenance import made_by
from mmseg_tfovss.profiling.gpu_report import card, parity, processes, throughput
from mmseg_tfovss.profiling.gpu_report.bench import METHODS, Bench
from mmseg_tfovss.profiling.gpu_report.cases import cases_of
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import FAILED, LEFT_OUT, Entry, Found, Step
from mmseg_tfovss.profiling.gpu_report.pages import JSON, MARKDOWN, write_pages
from mmseg_tfovss.profiling.gpu_report.schedule import run_steps

SECTIONS = {
    "machine": card.SECTION,
    "parity": parity.SECTION,
    "throughput": throughput.SECTION,
    "processes": processes.SECTION,
}
_NETWORKS = {
    "ViT-B-16": "ViT-B/16, DINO ViT-B/8 and Stable Diffusion 2, of their real sizes, with random weights",
    "pocket": "the bundled pocket networks, which are far smaller than real ones",
}


@dataclass(frozen=True)
class Report:
    """What the report is of.

    Attributes:
        folder: of the files.
        device: that is measured.
        network: ``ViT-B-16`` or ``pocket``.
        minutes: that it may take.
        image: that is labelled.
        scratch: folder for what is needed meanwhile.
    """

    folder: Path
    device: torch.device
    network: str
    minutes: float
    image: Path
    scratch: Path


def write_report(report: Report) -> Path:
    """Measure everything; both files are written anew whenever something is found.

    Files of an earlier report in the folder get a number.

    Returns:
        The Markdown file.

    Raises:
        RuntimeError: steps have failed; the files say which, and why.
    """
    facts = _facts(report)

    def save(entries: Sequence[Entry], *, complete: bool = False) -> None:
        write_pages(report.folder, facts, SECTIONS, entries, complete=complete)

    keep_earlier([report.folder / name for name in (MARKDOWN, JSON)])
    save([])  # a folder that cannot be written to is noticed now
    entries = run_steps(steps_of(report), 60 * report.minutes, save)
    save(entries, complete=True)
    failed = [f"{entry.section}: {entry.name}" for entry in entries if entry.state == FAILED]
    page = report.folder / MARKDOWN
    left_out = sum(entry.state == LEFT_OUT for entry in entries)
    if left_out:
        sys.stderr.write(f"{left_out} of {len(entries)} steps were left out: {page} says why.\n")
    if failed:
        raise FailedStepsError(f"{len(failed)} of {len(entries)} steps failed ({'; '.join(failed)}): see {page}.")
    return page


class FailedStepsError(ValueError):
    """The report is written, but some of it could not be measured."""


def steps_of(report: Report) -> list[Step]:
    """All steps, in order."""
    bench = Bench(report.network, report.device, report.image, report.scratch)
    device = report.device
    steps = [
        Step("machine", "device and software", lambda _: card.describe(device), 0.1),
        Step("machine", "matrix products", partial(card.matmul_rates, device), 0.5),
    ]
    steps += [Step("parity", method, partial(parity.compare_devices, bench, method)) for method in METHODS]
    steps += [
        Step("throughput", case.name, partial(throughput.measure_throughput, bench, case), 1 if case.single else 2)
        for case in cases_of(report.network, tuple(METHODS))
    ]
    steps.append(Step("processes", "SCLIP", partial(processes.compare_processes, device, report.scratch), 3))
    return [Step(step.section, step.name, partial(_cleared, step), step.weight) for step in steps]


def _cleared(step: Step, deadline: Deadline) -> Found:
    """A step, after the memory of those before it is free."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
    yield from step.work(deadline)


def _facts(report: Report) -> dict[str, str | float]:
    made = made_by()
    name = torch.cuda.get_device_name(report.device) if report.device.type == "cuda" else "CPU"
    facts: dict[str, str | float] = {
        "made by": f"tfovss benchmark --gpu-report, {made.package}, commit {made.git_commit or 'unknown'}",
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": f"{report.device}: {name}",
        "networks": f"{_NETWORKS[report.network]} ({report.network})",
        "minutes allowed": report.minutes,
        "versions": ", ".join(f"{package} {version}" for package, version in made.versions.items()),
    }
    return facts
