"""Training-free open-vocabulary semantic segmentation on MMSegmentation.

>>> import mmseg_tfovss as tf
>>> segment = tf.load("sclip", pretrained="pocket")  # see :mod:`mmseg_tfovss.api`
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmseg_tfovss._version import __version__
from mmseg_tfovss.before_import import call_before_import
from mmseg_tfovss.collector import delay_first_collection

if TYPE_CHECKING:
    from mmseg_tfovss.api import Segmented, Segmenter, list_methods, list_vocabularies, load

__all__ = ["Segmented", "Segmenter", "__version__", "list_methods", "list_vocabularies", "load"]


def _guard_torchvision() -> None:
    from mmseg_tfovss._torchvision_guard import declare_missing_operators  # it imports torch, which takes seconds

    declare_missing_operators()


call_before_import("torch", delay_first_collection)
call_before_import("torchvision", _guard_torchvision)
# Nothing here uses mmcv's compiled operators; mmcv warns of their absence on every import.
warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import the interface when it is first used: that takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
