"""Let code that was written for a GPU and float16 run on any device in float32; results are the same."""

import sys
import types
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch
from urllib.error import URLError

import packaging.version
import torch
from torch import nn

# Imported by parts of official code that are not run here: other networks than those compared, tables, plots.
_UNUSED = (
    "openpyxl",
    "segment_anything",
    "mae",
    "mae.pos_embed",
    "BLIP.models.blip_retrieval",
    "dinov2.dino_attention",
)
_UNUSED_IF_MISSING = ("einops", "ftfy")  # used by some repositories, and only imported by others
# What code raises that was not written for this input. A ValueError says itself what is wrong.
_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError)


@contextmanager
def on_device(device: torch.device, used: Collection[str] = ()) -> Iterator[None]:
    """While this lasts, ``cuda`` means this device, and ``half`` and ``float16`` mean float32.

    On a GPU nothing changes.

    Args:
        device: where official code runs.
        used: packages that it calls, among those that are left out for most.
    """
    with ExitStack() as stack:
        stack.enter_context(_stand_ins(used))
        if device.type != "cuda":
            for owner, half in ((torch.Tensor, torch.Tensor.float), (nn.Module, _itself)):
                stack.enter_context(patch.object(owner, "half", half))
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
def named_errors(repository: str) -> Iterator[None]:
    """Say whose code stopped, and which package it needs if that is why.

    Raises:
        ValueError: a package is not installed, or is of another version, or the code does not run.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(f"{repository} needs the package {error.name}: pip install {error.name}") from error
    except ImportError as error:
        raise ValueError(f"{repository} does not run with the packages installed here: {error}") from error
    except URLError as error:
        raise ValueError(
            f"The code of {repository} asks for a download ({error.reason}): this command has nothing to give it in its"
            " place."
        ) from error
    except _BUGS as error:
        lines = str(error).splitlines() or ["no message"]
        raise ValueError(
            f"The code of {repository} stopped: {type(error).__name__}: {lines[0]} (MMSEG_TFOVSS_TRACEBACK=1 shows"
            " where)."
        ) from error


class _StandIn(types.ModuleType):
    """A module that may be imported, but not used."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            package = self.__name__.partition(".")[0]
            raise ModuleNotFoundError(f"{self.__name__}.{name} is called, but left out", name=package)

        return missing


@contextmanager
def _stand_ins(used: Collection[str]) -> Iterator[None]:
    """Stand-ins for ``packaging`` in old setuptools, which ``clip/clip.py`` imports, and for modules that are not used.

    Other modules that are imported meanwhile stay.
    """
    missing = [name for name in _UNUSED_IF_MISSING if name not in sys.modules and find_spec(name) is None]
    given: dict[str, types.ModuleType] = {name: _StandIn(name) for name in {*_UNUSED, *missing} - {*used}}
    given["pkg_resources"] = types.ModuleType("pkg_resources")
    given["pkg_resources"].packaging = packaging  # type: ignore[attr-defined]
    before = {name: sys.modules.get(name) for name in given}
    sys.modules.update(given)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
