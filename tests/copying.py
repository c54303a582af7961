"""Copies of networks that are read once, for tests that may change them: ``copy.deepcopy``, several times faster."""

import copy
from collections import OrderedDict

from torch import nn

_PLAIN = {bool, int, float, str, type(None)}
_CONTAINERS = {dict, OrderedDict, set, list}


def copy_network(network, shared=()):
    """A copy of a network, or of what holds networks, which shares with it the modules and tensors named alone."""
    # Most of what a module has is empty: its hooks. To look through that anew takes longer than to copy its weights.
    nn.Module.__deepcopy__ = _copy_module
    try:
        return copy.deepcopy(network, {id(part): part for part in shared})
    finally:
        del nn.Module.__deepcopy__


def _copy_module(module, memo):
    copied = memo[id(module)] = object.__new__(type(module))
    copied.__dict__.update({name: _copy_value(value, memo) for name, value in vars(module).items()})
    return copied


def _copy_value(value, memo):
    kind = type(value)
    if kind in _PLAIN:
        return value
    return kind() if kind in _CONTAINERS and not value else copy.deepcopy(value, memo)
