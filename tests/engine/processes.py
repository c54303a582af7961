"""Several processes of one run without starting Python anew, which takes seconds."""

import multiprocessing
import os
import socket
import sys
import traceback

_LONGEST = 120  # seconds: nothing may hang


def run_processes(world, work, folder):
    """Call ``work(rank)`` in ``world`` forked processes of one launcher.

    Returns:
        Exit codes, and what each has written to stderr.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    outputs = [folder / f"stderr-{rank}.txt" for rank in range(world)]
    processes = [fork.Process(target=_run, args=(rank, world, port, work, outputs[rank])) for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(_LONGEST)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes, [output.read_text() for output in outputs]


def _run(rank, world, port, work, output):
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    with output.open("w", buffering=1) as sys.stderr:
        try:
            work(rank)
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
            code = 1
        else:
            code = 0
    os._exit(code)
