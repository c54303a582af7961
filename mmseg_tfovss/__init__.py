"""Training-free open-vocabulary semantic segmentation on MMSegmentation."""

import warnings

from mmseg_tfovss._version import __version__
from mmseg_tfovss.before_import import call_before_import

__all__ = ["__version__"]


def _guard_torchvision() -> None:
    from mmseg_tfovss._torchvision_guard import declare_missing_operators  # it imports torch, which takes seconds

    declare_missing_operators()


call_before_import("torchvision", _guard_torchvision)
# Nothing here uses mmcv's compiled operators; mmcv warns of their absence on every import.
warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")
