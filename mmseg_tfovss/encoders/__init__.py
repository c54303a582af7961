"""Frozen networks, each behind one small interface."""

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.encoders.dino import DINOv2Encoder
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.encoders.sam import SAMMaskEncoder

__all__ = ["CLIPBlock", "CLIPImageEncoder", "CLIPPreprocessor", "DINOv2Encoder", "SAMMaskEncoder"]
