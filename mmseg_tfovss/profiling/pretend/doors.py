"""How tensors come to the pretended device, and go from it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mmseg_tfovss.profiling.pretend.operations import PretendDevice
from mmseg_tfovss.profiling.pretend.tensors import PRETEND, FarTensor

_HOST = torch.device("cpu")
_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)


@contextmanager
def pretend_device() -> Iterator[PretendDevice]:
    """While this lasts, ``module.to(PRETEND)`` and ``tensor.to(PRETEND)`` work, and are noted."""
    device = PretendDevice()
    with ExitStack() as stack:
        stack.enter_context(patch("mmseg_tfovss.ops.threads.ThreadPoolExecutor", _ThisThread))
        stack.enter_context(_Doors())
        stack.enter_context(device)
        yield device


class _Doors(TorchFunctionMode):
    """Ways from Python's values to tensors, and back, that torch does not show to a :class:`TorchDispatchMode`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        kwargs = dict(kwargs or {})
        first_is_far = bool(args) and isinstance(args[0], FarTensor)
        if func in _MAKERS and kwargs.get("device") is not None and torch.device(kwargs["device"]) == PRETEND:
            return func(*args, **{**kwargs, "device": _HOST}).to(PRETEND)
        if first_is_far and func is Tensor.new_tensor:
            return args[0].near.new_tensor(*args[1:], **kwargs).to(PRETEND)
        if first_is_far and func is Tensor.tolist:
            return args[0].to(_HOST).tolist()
        if first_is_far and func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _index(args[1]), *(_value(args[0], value) for value in args[2:]))
        return func(*args, **kwargs)


class _ThisThread:
    """Does a thread pool's work in the thread that asks for it: modes of torch belong to a thread."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> "_ThisThread":
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *args: object) -> "_Done":
        """Do it now."""
        return _Done(work(*args))


@dataclass(frozen=True)
class _Done:
    found: Any

    def result(self) -> Any:  # noqa: ANN401
        """What was found."""
        return self.found


def _index(index: Any) -> Any:  # noqa: ANN401
    """Lists in an index as tensors of the host: torch would make them without asking."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    return torch.tensor(index) if isinstance(index, list) else index


def _value(target: FarTensor, value: Any) -> Any:  # noqa: ANN401
    """Likewise a number that is assigned."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=target.dtype)
