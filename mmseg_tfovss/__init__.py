"""Training-free open-vocabulary semantic segmentation on MMSegmentation."""

import warnings

from mmseg_tfovss._torchvision_guard import declare_missing_operators
from mmseg_tfovss._version import __version__

__all__ = ["__version__"]

declare_missing_operators()
# Nothing here uses mmcv's compiled operators; mmcv warns of their absence on every import.
warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")
