"""A device beside the CPU that is none: it shows on any machine where a GPU and its host would wait for each other.

Tensors on it are wrappers around tensors of the CPU. Every operation on them goes through :meth:`PretendDevice.run`,
which does it on the CPU and notes what would wait: values that Python reads, results whose size depends on values, and
copies between the two sides. Mixing tensors of both sides is an error, as it is on a GPU.

torch's ``meta`` device lends its name, because no other is there on every machine.
"""

import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

PRETEND = torch.device("meta")
PACKAGE = Path(__file__).parents[1]
_HOST = torch.device("cpu")
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
# Results whose size, or whose success, the host must know before it can go on.
_WAITING = frozenset(
    {"_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "histc", "multinomial", "_coalesce"}
    | {"_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"}
    | {"_linalg_check_errors", "_linalg_eigh", "linalg_eig", "_linalg_svd", "linalg_lstsq"}
)
_AT_ONCE = frozenset({"linear", "matmul", "einsum", "scaled_dot_product_attention"})  # known to wait for nothing
_OWN = f"{PACKAGE}/"
# Files through which a sync is noticed, and which have not asked for it.
_WATCHING = (
    __file__,
    str(Path(__file__).with_name("host_syncs.py")),
    warnings.__file__,
    f"{Path(torch.__file__).parent}/",
)
_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray)


@dataclass(frozen=True)
class HostSync:
    """One moment in which the host and the device wait for each other.

    Attributes:
        operation: torch's name, with a remark where the name does not say why.
        place: file and line of this package that asked for it; of the caller's where the package did not.
    """

    operation: str
    place: str


class FarTensor(Tensor):
    """A tensor on the pretended device.

    Attributes:
        near: its values, on the CPU.
        owner: the device.
    """

    near: Tensor
    owner: "PretendDevice"

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def of(near: Tensor, owner: "PretendDevice") -> "FarTensor":
        """Wrap a tensor of the CPU."""
        with torch.inference_mode(mode=False):  # views of tensors from outside of inference mode need it
            far: FarTensor = torch.Tensor._make_wrapper_subclass(
                FarTensor, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, device=PRETEND
            )
        far.near, far.owner = near, owner
        return far

    def __repr__(self, **_: object) -> str:  # type: ignore[override]
        return f"FarTensor({self.near})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]  # noqa: ANN401
        leaves = [*_leaves(args), *_leaves((kwargs or {}).values())]
        owner = next(leaf.owner for leaf in leaves if isinstance(leaf, FarTensor))
        return owner.run(func, args, kwargs or {})


class PretendDevice(TorchDispatchMode):
    """See the module.

    Attributes:
        syncs: what would have waited, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.syncs: list[HostSync] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Do one of torch's operations, on the side where it belongs."""
        leaves = [*_leaves(args), *_leaves(kwargs.values())]
        is_far = any(isinstance(leaf, FarTensor) for leaf in leaves)
        devices = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
        if not is_far and PRETEND not in devices:
            return func(*args, **kwargs)
        name = _name_of(func)
        if name not in _AT_ONCE and _is_composite(func):
            with self:  # what it consists of
                return func._op_dk(_COMPOSITE, *args, **kwargs)
        stays = name != "_local_scalar_dense" and devices in ([], [PRETEND])
        self._look_at(name, args, kwargs, leaves, stays=stays)
        near = func(*_each(_near, args), **{key: _on_host(key, value) for key, value in kwargs.items()})
        written = _written(func, args, kwargs)
        if written:
            return written[0] if isinstance(near, Tensor) else tuple(written) if near is not None else None
        return _each(self.far, near) if stays else near

    def far(self, value: Any) -> Any:  # noqa: ANN401
        """A tensor of the CPU as one on the device; other values as they are."""
        return FarTensor.of(value, self) if isinstance(value, Tensor) and not isinstance(value, FarTensor) else value

    def note(self, operation: str) -> None:
        """Something waits."""
        self.syncs.append(HostSync(operation, caller()))

    def _look_at(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: Sequence[Any], *, stays: bool
    ) -> None:
        """Note what waits; refuse tensors on two sides."""
        if name in ("_to_copy", "copy_"):
            goes_far, source = (stays, args[0]) if name == "_to_copy" else (isinstance(args[0], FarTensor), args[1])
            if isinstance(source, FarTensor) != goes_far and not (kwargs.get("non_blocking") or args[2:] == (True,)):
                self.note("copy to the device" if goes_far else "copy to the host")
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"):
            self._look_at_index([index for index in args[1] if index is not None])
        elif name in _WAITING or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.note(name)
        elif any(isinstance(leaf, Tensor) and not isinstance(leaf, FarTensor) and leaf.ndim for leaf in leaves):
            raise RuntimeError(f"{name} was given tensors on two devices: {caller()}.")

    def _look_at_index(self, indices: Sequence[Tensor]) -> None:
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            self.note("indexing by a mask")
        if any(not isinstance(index, FarTensor) for index in indices):
            self.note("indexing by a tensor of the host")


class _Doors(TorchFunctionMode):
    """Ways from Python's values to tensors, and back, that torch does not show to a :class:`TorchDispatchMode`."""

    def __init__(self, device: PretendDevice) -> None:
        super().__init__()
        self.device = device

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


@contextmanager
def pretend_device() -> Iterator[PretendDevice]:
    """While this lasts, ``module.to(PRETEND)`` and ``tensor.to(PRETEND)`` work, and are noted."""
    device = PretendDevice()
    with ExitStack() as stack:
        stack.enter_context(patch("mmseg_tfovss.ops.threads.ThreadPoolExecutor", _ThisThread))
        stack.enter_context(_Doors(device))
        stack.enter_context(device)
        yield device


def caller() -> str:
    """File and line, of this package where possible, that torch was called from."""
    stack = traceback.walk_stack(sys._getframe())  # the innermost first
    lines = [(frame.f_code.co_filename, line) for frame, line in stack]
    lines = [(name, line) for name, line in lines if not name.startswith(_WATCHING)]
    name, line = next((place for place in lines if place[0].startswith(_OWN)), lines[0])
    return f"{name.removeprefix(_OWN) if name.startswith(_OWN) else Path(name).name}:{line}"


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


@cache
def _name_of(func: Any) -> str:  # noqa: ANN401
    name: str = func._schema.name
    return name.removeprefix("aten::")


@cache
def _is_composite(func: Any) -> bool:  # noqa: ANN401
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _COMPOSITE))


def _near(value: Any) -> Any:  # noqa: ANN401
    return value.near if isinstance(value, FarTensor) else value


def _on_host(key: str, value: Any) -> Any:  # noqa: ANN401
    if key == "device":
        return None if value is None else _HOST
    return False if key in ("non_blocking", "pin_memory") else _each(_near, value)


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """The arguments that an operation writes to."""
    return [kwargs[name] if name in kwargs else args[index] for index, name in _writable(func)]


@cache
def _writable(func: Any) -> list[tuple[int, str]]:  # noqa: ANN401
    slots = enumerate(func._schema.arguments)
    return [(i, slot.name) for i, slot in slots if slot.alias_info is not None and slot.alias_info.is_write]


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    """Arguments, and what is in lists of them; torch's own way takes longer than its operations."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _each(change: Callable[[Any], Any], value: Any) -> Any:  # noqa: ANN401
    """The same of a change of each."""
    return [_each(change, one) for one in value] if isinstance(value, list | tuple) else change(value)


def _index(index: Any) -> Any:  # noqa: ANN401
    """Lists in an index as tensors of the host: torch would make them without asking."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    return torch.tensor(index) if isinstance(index, list) else index


def _value(target: FarTensor, value: Any) -> Any:  # noqa: ANN401
    """Likewise a number that is assigned."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=target.dtype)
