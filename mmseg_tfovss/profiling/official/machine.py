"""Let code that was written for a GPU and float16 run on any device in float32; results are the same."""

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import packaging.version
import torch
from torch import nn

# Imported by parts of official code that are not run here.
_UNUSED = ("openpyxl",)


@contextmanager
def on_device(device: torch.device) -> Iterator[None]:
    """While this lasts, ``cuda`` means this device, and ``half`` and ``float16`` mean float32.

    On a GPU nothing changes.
    """
    with ExitStack() as stack:
        stack.enter_context(_stand_ins())
        if device.type != "cuda":
            for owner in (torch.Tensor, nn.Module):
                stack.enter_context(patch.object(owner, "half", _itself))
                stack.enter_context(patch.object(owner, "cuda", _itself))
                stack.enter_context(patch.object(owner, "to", _moved(owner.to, device)))
            stack.enter_context(patch.object(torch.cuda, "empty_cache", lambda: None))
        yield


def _itself(self: Any, *_: object, **__: object) -> Any:  # noqa: ANN401 - a tensor or a module
    return self


def _moved(to: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """``to`` with devices and types that this machine has."""

    def mean(value: Any) -> Any:  # noqa: ANN401 - whatever ``to`` takes
        if isinstance(value, str | torch.device) and str(value).startswith("cuda"):
            return device
        return torch.float32 if value is torch.float16 else value

    @wraps(to)
    def call(self: Any, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        return to(self, *map(mean, args), **{name: mean(value) for name, value in kwargs.items()})

    return call


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Stand-ins for ``packaging`` in old setuptools, which ``clip/clip.py`` imports, and for packages that are not used.

    Other modules that are imported meanwhile stay.
    """
    resources = types.ModuleType("pkg_resources")
    resources.packaging = packaging  # type: ignore[attr-defined]
    given = {"pkg_resources": resources, **{name: types.ModuleType(name) for name in _UNUSED}}
    before = {name: sys.modules.get(name) for name in given}
    sys.modules.update(given)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
