"""Copies of networks that are read once, for tests that may change them: ``copy.deepcopy``, several times faster."""

import copy
from collections import OrderedDict
from unittest.mock import patch

from torch import nn

_PLAIN = {bool, int, float, str, type(None), tuple}
_CONTAINERS = {dict, OrderedDict, set, list}


def copy_network(network, shared=()):
    """A copy of a network, or of what holds networks, that shares no tensor with it but those named."""
    # Most of what a module has is empty: its hooks. To look through that anew takes longer than to copy its weights.
    with patch.object(nn.Module, "__deepcopy__", _copy_module, create=True):
        return copy.deepcopy(network, {id(tensor): tensor for tensor in shared})


def _copy_module(module, memo):
    copied = memo[id(module)] = object.__new__(type(module))
    copied.__dict__.update({name: _copy_value(value, memo) for name, value in vars(module).items()})
    return copied


def _copy_value(value, memo):
    kind = type(value)
    if kind in _PLAIN and (kind is not tuple or not value):
        return value
    return copy.deepcopy(value, memo) if value is not None and (kind not in _CONTAINERS or value) else kind()
