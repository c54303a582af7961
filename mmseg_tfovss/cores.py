"""How many processes or threads have a core each."""

import os


def cores() -> int:
    """Cores that this process may use: under a scheduler or in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
