"""Two processes on one GPU, or on two: they must count what one process counts."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import mmseg_tfovss
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section

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
CONFIG = "sclip_vit-pocket_pocket_all"
SCENES = 40
_LEAST, _MOST = 60.0, 180.0  # seconds of a run, before it counts as hanging
_KEPT = ("metrics", "per_class", "num_images")
_LOOK_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Run:
    """How ``tfovss test`` is started.

    Attributes:
        folder: of the run's result and logs.
        processes: how many.
        backend: that they talk by; empty: of one process, or the usual one of the device.
        cards: numbers of the GPUs that they see, each process the next one; empty: they run on the CPU.
        scenes: images.
    """

    folder: Path
    processes: int = 1
    backend: str = ""
    cards: tuple[int, ...] = ()
    scenes: int = SCENES

    def command(self) -> list[str]:
        """The command line of each process."""
        options = [f"test_dataloader.dataset.subset={self.scenes}"]
        options += [f"env_cfg.dist_cfg.backend={self.backend}"] if self.cards and self.backend else []
        launcher = "pytorch" if self.processes > 1 else "none"
        start = [sys.executable, "-m", "mmseg_tfovss", "test", CONFIG, "--work-dir", str(self.folder)]
        return [*start, "--launcher", launcher, "--cfg-options", *options]

    def environment(self, rank: int, port: int) -> dict[str, str]:
        """Of one process, with the variables that torchrun sets.

        Processes that share a GPU have the same local rank: MMEngine takes it for the number of the GPU.
        """
        package = str(Path(mmseg_tfovss.__file__).parents[1])
        known = os.environ.get("PYTHONPATH")
        return {
            **os.environ,
            "PYTHONPATH": f"{package}{os.pathsep}{known}" if known else package,
            "CUDA_VISIBLE_DEVICES": ",".join(visible_cards(self.cards)),
            "RANK": str(rank),
            "WORLD_SIZE": str(self.processes),
            "LOCAL_RANK": str(rank % max(len(self.cards), 1)),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }


def visible_cards(cards: Sequence[int]) -> list[str]:
    """The names of GPUs for ``CUDA_VISIBLE_DEVICES`` of another process, by their numbers in this one."""
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return [names[card] if names else str(card) for card in cards]


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
    """
    own, both = _cards(device)
    one = Run(scratch / "one", cards=own, scenes=scenes)
    expected, seconds = _result(one, deadline)
    yield _row(one, expected, seconds, expected)
    backends = ("nccl", "gloo") if device.type == "cuda" else ("gloo",)
    for backend in backends:
        run = Run(scratch / backend, 2, backend, both, scenes)
        try:
            result, seconds = _result(run, deadline)
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
    return all(one[key] == other[key] for key in _KEPT)


def _result(run: Run, deadline: Deadline) -> tuple[dict[str, Any], float]:
    """What a run writes, and its seconds.

    Raises:
        RuntimeError: it failed, with its last word.
    """
    run.folder.mkdir(parents=True)
    logs = [run.folder / f"process-{rank}.log" for rank in range(run.processes)]
    start = time.perf_counter()
    codes = _run_all(run, logs, min(max(deadline.left(), _LEAST), _MOST))
    if any(codes):
        raise RuntimeError(last_word("\n".join(log.read_text(errors="replace") for log in logs)))
    result: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
    return result, time.perf_counter() - start


def _run_all(run: Run, logs: Sequence[Path], most: float) -> list[int]:
    """Exit codes; when one process fails, or time is up, the others are ended."""
    port = _free_port()
    processes = []
    try:
        for rank, log in enumerate(logs):
            with log.open("w") as output:
                processes.append(
                    subprocess.Popen(
                        run.command(),
                        env=run.environment(rank, port),
                        cwd=run.folder.parent,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        deadline = Deadline(most)
        while any(process.poll() is None for process in processes) and not deadline.over():
            time.sleep(_LOOK_EVERY)
        if any(process.poll() is None for process in processes):
            raise RuntimeError(f"The run took more than {most:.0f} seconds, and was ended.")
    finally:
        for process in processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return [process.wait() for process in processes]


def last_word(log: str) -> str:
    """Of the output of processes, the line that says best why they ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for sign in ("Duplicate GPU", "error:", "Error:"):
        for line in reversed(lines):
            if sign in line:
                return line
    return lines[-1] if lines else "it ended without a word."


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
