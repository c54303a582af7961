"""Files that appear complete or not at all, and the check that they can, before the work for them begins."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SCRATCH_NAME = re.compile(r"\..+\.\d+(\.[^.]+)?")  # of files that are being written, or that a killed process has left
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf")  # both Pillow and matplotlib write them


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file under another name beside its place, and rename it when the block has succeeded.

    Args:
        path: where the file shall be; its folder is made if needed. What is there stays until the new file is complete.

    Yields:
        The scratch path to write to; it has the same suffix.

    Raises:
        OSError: with the file's name, e.g. for a full disk; nothing half-written is left.
    """
    scratch = _scratch(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):  # most often it is gone: renamed, or never made
            scratch.unlink()


def check_target(path: Path, option: str, endings: Sequence[str] = ()) -> None:
    """Refuse a file that could not be written, at once instead of after the work.

    Args:
        path: where the file shall be; nothing is made there, not even its folder.
        option: of the command line, for the message.
        endings: what the name may end in, in lower case; empty: anything.

    Raises:
        ValueError: a folder, another ending, or a place that cannot be written to.
    """
    if path.is_dir():
        example = path / f"picture{endings[0]}" if endings else path / "file"
        raise ValueError(f"{option} {path} is a folder: name a file, e.g. {example}.")
    if endings and path.suffix.lower() not in endings:
        found = f"the ending {path.suffix}" if path.suffix else "no ending"
        raise ValueError(f"{option} {path} has {found}: use one of {', '.join(endings)}.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    probe = folder / _scratch(path).name
    try:  # permissions do not tell: file systems are full, read-only, or refuse root
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(
            f"{option} {path} cannot be written ({folder}: {error.strerror}): name a folder that can be written to."
        ) from error


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
