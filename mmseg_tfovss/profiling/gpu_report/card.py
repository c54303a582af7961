"""The machine, its software, and how fast it multiplies matrices."""

import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mmseg_tfovss.cores import cores
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section
from mmseg_tfovss.profiling.gpu_report.waits import wait_for

SECTION = Section(
    title="Machine",
    about="Matrix products are square, and their rate is the best of several runs: what the machine can do.",
    columns={"what": ("", ""), "value": ("", "")},
)
_SIDES = {"cuda": 8192}
_SIDE = 1024  # on other devices
_MOST_SECONDS = 1.0  # for one type
_RUNS = 5  # between two looks at the clock


def describe(device: torch.device) -> Found:
    """Facts on the device and the software."""
    for what, value in {**_device_facts(device), **_software_facts()}.items():
        yield {"what": what, "value": value}


def matmul_rates(device: torch.device, deadline: Deadline) -> Found:
    """A row for each type of numbers: TFLOP/s of a square product."""
    kinds = [("fp32", torch.float32, False), ("bf16", torch.bfloat16, False)]
    if device.type == "cuda":  # a CPU would take long for float16, and has no TF32
        kinds += [("fp16", torch.float16, False), ("fp32 as TF32", torch.float32, True)]
    side = _SIDES.get(device.type, _SIDE)
    for number, (name, kind, tf32) in enumerate(kinds):
        seconds = min(_MOST_SECONDS, deadline.left() / (len(kinds) - number))
        with _tf32(tf32):
            rate = matmul_rate(device, kind, side, seconds)
        value = f"{rate / 1e12:.2f} TFLOP/s (side {side})"
        yield {"what": f"matrix product, {name}", "value": value, "flops_per_second": rate, "side": side}


def matmul_rate(device: torch.device, kind: torch.dtype, side: int, seconds: float) -> float:
    """FLOP/s of a product of two random square matrices: the best of some runs.

    Args:
        device: where.
        kind: of the numbers.
        side: of the matrices.
        seconds: after which no further run begins.
    """
    one, other = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    deadline, best = Deadline(seconds), float("inf")
    _products(one, other, 1)
    while True:
        best = min(best, _products(one, other, _RUNS))
        if deadline.over():
            return 2 * side**3 / best


def _products(one: Tensor, other: Tensor, runs: int) -> float:
    """Seconds of one product."""
    wait_for(one.device)
    start = time.perf_counter()
    for _ in range(runs):
        one @ other
    wait_for(one.device)
    return (time.perf_counter() - start) / runs


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
