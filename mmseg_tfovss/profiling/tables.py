"""Timings as tables: one config in several precisions, or several configs side by side."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from mmseg_tfovss.plain import printable
from mmseg_tfovss.profiling.benchmark import STAGES, Timing


def benchmark_table(title: str, timings: Mapping[str, Timing]) -> Table:
    """One column per precision; labels are compared with the first one's."""
    table = Table(title=Text(printable(title)))
    table.add_column("")
    for precision in timings:
        table.add_column(precision, justify="right")
    reference = next(iter(timings.values()))
    columns = [_cells(timing, reference) for timing in timings.values()]
    for name in columns[0]:
        table.add_row(name, *(cells[name] for cells in columns))
    return table


def _cells(timing: Timing, reference: Timing) -> dict[str, str]:
    same = (timing.labels == reference.labels).double().mean().item()
    return {
        **{f"{stage} (s)": f"{timing.seconds[stage]:.3f}" for stage in STAGES},
        **{f"of which {name} (s)": f"{seconds:.3f}" for name, seconds in timing.steps.items()},
        "total (s)": f"{timing.total_seconds:.3f}",
        "images / s": f"{timing.images_per_second:.2f}",
        "after the encoder": f"{100 * timing.after_encoder:.1f} %",
        "text features, once (s)": f"{timing.text_seconds:.2f}",
        "windows": str(timing.windows),
        "encoder GFLOP": f"{timing.flops / 1e9:.1f}",
        "encoder GFLOP / s": f"{timing.encoder_rate:.0f}",
        "matrix products by torch.matmul, GFLOP / s": f"{timing.plain_rate:.0f}",
        "by the faster way, GFLOP / s": f"{timing.matmul_rate:.0f}",
        "encoder, of that rate": f"{100 * timing.encoder_rate / timing.matmul_rate:.0f} %",
        "image tower parameters (M)": f"{timing.parameters / 1e6:.1f}",
        "peak memory above weights (MiB)": f"{timing.peak_memory_mb:.0f}",
        "labels as in first column": f"{100 * same:.2f} %",
    }


def summary_table(timings: Mapping[str, Timing]) -> Table:
    """One row per run, to compare several; times are relative to the first one's."""
    table = Table(title="Side by side")
    names = ("", "total (s)", "of the first", "encoder, of matrix products' rate", "after the encoder")
    for name in names:
        table.add_column(name, justify="right" if name else "left")
    first = next(iter(timings.values())).total_seconds
    for name, timing in timings.items():
        table.add_row(
            Text(printable(name)),
            f"{timing.total_seconds:.3f}",
            f"{timing.total_seconds / first:.2f}",
            f"{100 * timing.encoder_rate / timing.matmul_rate:.0f} %",
            f"{100 * timing.after_encoder:.1f} %",
        )
    return table
