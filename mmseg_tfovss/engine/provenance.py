"""Where a number comes from: commit, versions, memory."""

import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

_PACKAGES = ("torch", "torchvision", "numpy", "open_clip_torch", "opencv-python")
# Either the maintained forks or the originals are installed, never both.
_OPENMMLAB = {name: (f"onedl-{name}", name) for name in ("mmengine", "mmcv", "mmsegmentation")}


def git_commit() -> str | None:
    """Commit of this package's checkout, with ``-dirty`` when tracked files were changed; None without git."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed else commit


def package_versions() -> dict[str, str]:
    """Versions of Python, this package, and the packages that numbers depend on."""
    versions = {"python": sys.version.split()[0], "mmseg_tfovss": metadata.version("mmseg_tfovss")}
    for name, candidates in {**{name: (name,) for name in _PACKAGES}, **_OPENMMLAB}.items():
        for candidate in candidates:
            try:
                versions[candidate] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
        else:
            versions[name] = "not installed"
    return versions


def peak_memory_mb() -> float:
    """GPU memory that was allocated at most, or the peak resident memory of this process without a GPU, in MiB."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux


def device_name(device: str | torch.device) -> str:
    """What a device is called by its maker."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
