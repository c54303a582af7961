"""torch's operations on the pretended device, and which of them wait."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_tfovss.profiling.pretend.places import HostSync, caller
from mmseg_tfovss.profiling.pretend.tensors import PRETEND, FarTensor, each_of, leaves_of, near_of

_HOST = torch.device("cpu")
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
# Results whose size, or whose success, the host must know before it can go on.
_WAITING = frozenset(
    {"_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "histc", "multinomial", "_coalesce"}
    | {"_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"}
    | {"_linalg_check_errors", "_linalg_eigh", "linalg_eig", "_linalg_svd", "linalg_lstsq"}
)
_AT_ONCE = frozenset({"linear", "matmul", "einsum", "scaled_dot_product_attention"})  # known to wait for nothing


class PretendDevice(TorchDispatchMode):
    """While this is entered, torch's operations go through :meth:`run`.

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
        leaves = [*leaves_of(args), *leaves_of(kwargs.values())]
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
        near = func(*each_of(near_of, args), **{key: _on_host(key, value) for key, value in kwargs.items()})
        written = _written(func, args, kwargs)
        if written:
            return written[0] if isinstance(near, Tensor) else tuple(written) if near is not None else None
        return each_of(self.far, near) if stays else near

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


@cache
def _name_of(func: Any) -> str:  # noqa: ANN401
    name: str = func._schema.name
    return name.removeprefix("aten::")


@cache
def _is_composite(func: Any) -> bool:  # noqa: ANN401
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), _COMPOSITE))


def _on_host(key: str, value: Any) -> Any:  # noqa: ANN401
    if key == "device":
        return None if value is None else _HOST
    return False if key in ("non_blocking", "pin_memory") else each_of(near_of, value)


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """The arguments that an operation writes to."""
    return [kwargs[name] if name in kwargs else args[index] for index, name in _writable(func)]


@cache
def _writable(func: Any) -> list[tuple[int, str]]:  # noqa: ANN401
    slots = enumerate(func._schema.arguments)
    return [(i, slot.name) for i, slot in slots if slot.alias_info is not None and slot.alias_info.is_write]
