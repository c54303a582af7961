"""Measure all points one after the other; what has been measured is written at once."""

import sys
from pathlib import Path

import torch
from mmengine.config import Config

from mmseg_tfovss.cli import say
from mmseg_tfovss.earlier_files import keep_earlier
from mmseg_tfovss.profiling.complexity import device_and_threads
from mmseg_tfovss.profiling.scale.measure import Cost, measure
from mmseg_tfovss.profiling.scale.picture import write_picture
from mmseg_tfovss.profiling.scale.points import Point, Sweeps
from mmseg_tfovss.profiling.scale.report import write_report
from mmseg_tfovss.profiling.scale.separate import EndedError, run_separately
from mmseg_tfovss.profiling.scale.watch import Watch


def measure_scale(
    config: Config, sweeps: Sweeps, folder: Path, *, device: str, repeats: int
) -> dict[Point, Cost | None]:
    """Measure every point in a process of its own, and write ``scale.csv``, ``scale.md`` and ``scale.png``.

    The tables are written after every point. At the end they are printed, and the picture is drawn, also when the run
    is interrupted. Files of an earlier run in the folder get a number.

    Args:
        config: of the method; its vocabulary is replaced.
        sweeps: what to measure.
        folder: where the files go.
        device: what to run on.
        repeats: measured passes of a point, >= 1.

    Returns:
        The costs by point; None where memory was short.

    Raises:
        ValueError: what the config says cannot be built.
    """
    settings, title, watch = config.to_dict(), f"{config.run_name}, {config.model.precision}", Watch(sweeps)
    costs: dict[Point, Cost | None] = {}
    machine = (f"device: {device_and_threads(torch.device(device))}", f"passes: {repeats}")
    try:
        with watch.shown():
            for point in sweeps:
                with watch.at(point):
                    costs[point] = _cost(settings, point, device, repeats)
                if len(costs) == 1:  # not before: a run that measures nothing moves nothing
                    keep_earlier([folder / f"scale.{ending}" for ending in ("csv", "md", "png")])
                write_report(folder, title, sweeps, costs, machine)
    finally:
        if costs:
            write_picture(folder / "scale.png", title, sweeps, costs)
            tables = (folder / "scale.md").read_text(encoding="utf-8").splitlines()
            say(*tables, f"Written: {folder}/scale.{{md,csv,png}}")
    return costs


def _cost(settings: dict[str, object], point: Point, device: str, repeats: int) -> Cost | None:
    try:
        cost: Cost = run_separately(measure, settings, point, device, repeats)
    except (EndedError, torch.OutOfMemoryError) as error:
        sys.stderr.write(f"warning: {point}: {error}\n")
        return None
    return cost
