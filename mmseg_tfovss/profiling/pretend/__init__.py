"""A device beside the CPU that is none: it shows on any machine where a GPU and its host would wait for each other.

Tensors on it are wrappers around tensors of the CPU. Every operation on them goes through one place, which does it on
the CPU and notes what would wait: values that Python reads, results whose size depends on values, and copies between
the two sides. Mixing tensors of both sides is an error, as it is on a GPU.

torch's ``meta`` device lends its name, because no other is there on every machine.
"""

from mmseg_tfovss.profiling.pretend.doors import pretend_device
from mmseg_tfovss.profiling.pretend.places import HostSync, caller
from mmseg_tfovss.profiling.pretend.tensors import PRETEND, FarTensor

__all__ = ["PRETEND", "FarTensor", "HostSync", "caller", "pretend_device"]
