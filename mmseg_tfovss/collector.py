"""Python's garbage collector, which would take a fifth of the time of importing torch and what is built on it."""

import gc

# About what these imports make, none of it garbage. One image leaves some dozens of objects to the collector.
OBJECTS = 1_000_000


def delay_first_collection(objects: int = OBJECTS) -> None:
    """Let the collector wait for so many new objects once; then it goes on as it was set. One that is off stays off."""
    usual = gc.get_threshold()

    def restore(_phase: str, _info: dict[str, int]) -> None:
        gc.callbacks.remove(restore)
        gc.set_threshold(*usual)

    if gc.isenabled() and usual[0]:
        gc.callbacks.append(restore)
        gc.set_threshold(max(objects, usual[0]), *usual[1:])
