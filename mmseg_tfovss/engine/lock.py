"""One run at a time in a folder."""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

LOCK_NAME = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN)
_logger = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, which is made if needed; the system lets go of it when the process ends, however that is.

    The file ``.lock`` stays; without a living holder it means nothing.

    Raises:
        ValueError: another process holds the folder; it is named.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock's, not inherited by loading processes
        except OSError as error:
            if error.errno in _HELD:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise ValueError(
                    f"The folder {folder} is in use by {holder}: wait for that run, end it, or choose another folder."
                ) from error
            _logger.warning(
                "warning: the file system of %s has no locks (%s): start one run at a time there.",
                folder,
                error.strerror,
            )
        file.truncate(0)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}\n")
        file.flush()
        yield
