"""Pure tensor functions shared by the papers."""

from mmseg_tfovss.ops.jbu import joint_bilateral_upsample

__all__ = ["joint_bilateral_upsample"]
