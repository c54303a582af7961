"""Run a function in a process of its own: memory that earlier work has left there cannot hide what it takes."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class EndedError(Exception):
    """The process has ended without an answer."""


def run_separately(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what it returns
    """The result of a function of a module, called in a new process.

    A server process imports the function's module once. It runs nothing, so every new process starts as a copy of it,
    without threads and without memory in use.

    Args:
        function: defined at the top level of a module.
        *arguments: for it; they and the result are pickled.

    Raises:
        EndedError: the process was killed, most often for lack of memory.
        Exception: what the function has raised.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, function, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise EndedError(f"The process has ended with the exit code {process.exitcode}.") from None
    finally:
        process.terminate()
        process.join()
    if error is not None:
        raise error
    return result


def _answer(sender: Connection, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends this one
    try:
        result = function(*arguments)
    except Exception as error:
        sender.send((None, error))
    else:
        sender.send((result, None))
