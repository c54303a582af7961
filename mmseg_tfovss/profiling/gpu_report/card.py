"""The machine, its software, and how fast it multiplies matrices."""

import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mmseg_tfovss.cores import cores
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section
from mmseg_tfovss.profiling.roofline import MatmulRate

SECTION = Section(
    title="Machine",
    about="Matrix products are square, and their rate is the best of several runs: what the machine can do.",
    columns={"what": ("", ""), "value": ("", "")},
)
_MOST_SECONDS = 1.0  # for one type


def describe(device: torch.device) -> Found:
    """Facts on the device and the software."""
    for what, value in {**_device_facts(device), **_software_facts()}.items():
        yield {"what": what, "value": value}


def matmul_rates(device: torch.device, deadline: Deadline) -> Found:
    """A row for each type of numbers: TFLOP/s of a square product."""
    kinds = [("fp32", False), ("bf16", False)]
    if device.type == "cuda":  # a CPU would take long for float16, and has no TF32
        kinds += [("fp16", False), ("fp32", True)]
    for number, (precision, tf32) in enumerate(kinds):
        seconds = min(_MOST_SECONDS, deadline.left() / (len(kinds) - number))
        with _tf32(tf32):
            rate = best_rate(device, precision, Deadline(seconds))
        value = f"{rate.best / 1e3:.2f} TFLOP/s (side {rate.side})"
        yield {
            "what": f"matrix product, {precision}{' as TF32' if tf32 else ''}",
            "value": value,
            "flops_per_second": 1e9 * rate.best,
            "side": rate.side,
        }


def best_rate(device: torch.device, precision: str, deadline: Deadline) -> MatmulRate:
    """The rate of matrix products, measured until the deadline is over."""
    rate = MatmulRate(device, precision)
    while not deadline.over():
        rate.measure()
    return rate


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _device_facts(device: torch.device) -> Row:
    facts: Row = {"processor": platform.processor() or platform.machine(), "cores for this process": cores()}
    facts["threads of torch"] = torch.get_num_threads()
    if device.type != "cuda":
        return {**facts, "GPU": "none was used"}
    card = torch.cuda.get_device_properties(device)
    return {
        **facts,
        "GPU": card.name,
        "GPUs visible": torch.cuda.device_count(),
        "memory of the GPU": f"{card.total_memory / 2**30:.1f} GiB",
        "compute capability": f"{card.major}.{card.minor}",
        "multiprocessors": card.multi_processor_count,
        "driver": _driver(),
    }


def _software_facts() -> Row:
    return {
        "PyTorch": torch.__version__,
        "CUDA of PyTorch": torch.version.cuda or "none",
        "cuDNN": torch.backends.cudnn.version() or "none",
        "TF32 in matrix products": torch.backends.cuda.matmul.allow_tf32,
        "TF32 in convolutions": torch.backends.cudnn.allow_tf32,
        "cuDNN looks for the fastest kernel": torch.backends.cudnn.benchmark,
    }


def _driver() -> str:
    """The driver's version, as nvidia-smi says it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown (no nvidia-smi)"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else "unknown"
