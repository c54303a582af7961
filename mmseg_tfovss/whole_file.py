"""Files that appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
    scratch = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):  # most often it is gone: renamed, or never made
            scratch.unlink()
