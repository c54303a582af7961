"""Where a number comes from: commit, package, versions, memory."""

import base64
import hashlib
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from mmseg_tfovss._version import __version__

_PACKAGE = Path(__file__).resolve().parents[1]
# What packages that numbers depend on are called when they are installed, and when they are imported.
_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "open_clip_torch": "open_clip",
    "opencv-python": "cv2",
    "transformers": "transformers",
    "diffusers": "diffusers",
}
_FRAMEWORK = {"mmengine": "mmengine", "mmcv": "mmcv", "mmsegmentation": "mmseg"}
RECORDED = frozenset({*_PACKAGES.values(), *_FRAMEWORK.values()})  # packages whose versions are in every result
# Either the maintained forks or the originals are installed, never both.
_OPENMMLAB = {name: (f"onedl-{name}", name) for name in _FRAMEWORK}
_GIT_SECONDS = 30.0  # a file server may be slow
_NO_BYTECODE = ":(exclude,glob)**/__pycache__/**"
# What sends git to another repository than the one that a file lies in; hooks of git set some of them.
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_LITERAL_PATHSPECS",
)


class MadeBy(NamedTuple):
    """Which code a run goes through; asked for when it starts, for a checkout may have moved on when it ends."""

    git_commit: str | None
    package: str
    versions: dict[str, str]


def made_by() -> MadeBy:
    """The code of this process."""
    return MadeBy(git_commit(), package_source(), package_versions())


def git_commit() -> str | None:
    """Commit of the repository that tracks this package's files; None for an installed package, and without git.

    A repository that merely surrounds them, as one with a virtual environment in it, does not count. A copy of the
    package that is part of another repository has that one's commit. ``-dirty`` is appended when files of the package
    differ from the commit or are not in it; what else the repository holds does not matter.
    """
    try:
        _git(_PACKAGE, "ls-files", "--error-unmatch", "--", "__init__.py", "engine/provenance.py")
        commit = _git(_PACKAGE, "rev-parse", "--verify", "HEAD")
        changed = _git(_PACKAGE, "status", "--porcelain", "--untracked-files=normal", "--", ".", _NO_BYTECODE)
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}-dirty" if changed else commit


def package_source() -> str:
    """This package's version, and whether it runs from source or from a wheel, which has a hash of its files.

    The hash is of the names and hashes in the wheel's ``RECORD``, so that it is the same wherever it is installed;
    files that have been changed since are told.
    """
    record = _recorded_files()
    name = f"{_PACKAGE.name} {__version__}"
    if not record:
        return f"{name}, source"
    text = "".join(f"{file} {found}\n" for file, found in sorted(record.items()))
    changed = sum(_recorded_hash(_PACKAGE.parent / file) != found for file, found in record.items())
    told = f", {changed} of its files changed" if changed else ""
    return f"{name}, wheel with files of sha256 {hashlib.sha256(text.encode()).hexdigest()}{told}"


def package_versions() -> dict[str, str]:
    """Versions of Python, this package, and the packages that numbers depend on."""
    versions = {"python": sys.version.split()[0], "mmseg_tfovss": __version__}
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
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    environment["GIT_OPTIONAL_LOCKS"] = "0"  # to look must not get in the way of the user's own commands
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, errors="replace", env=environment, timeout=_GIT_SECONDS
    )
    return done.stdout.strip()


def _recorded_files() -> dict[str, str]:
    """Files of this package and their hashes, as the wheel it was installed from has them; empty from source."""
    try:
        files = metadata.files(_PACKAGE.name) or []
    except metadata.PackageNotFoundError:
        return {}
    own = [file for file in files if file.parts[0] == _PACKAGE.name and file.hash is not None]
    here = any(Path(str(file.locate())).resolve() == _PACKAGE / "__init__.py" for file in own)
    return {file.as_posix(): f"{file.hash.mode}={file.hash.value}" for file in own if file.hash} if here else {}


def _recorded_hash(path: Path) -> str:
    """A file's hash as ``RECORD`` writes it."""
    try:
        digest = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return "absent"
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
