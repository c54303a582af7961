"""Frozen networks, each behind one small interface."""

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor

__all__ = ["CLIPBlock", "CLIPImageEncoder", "CLIPPreprocessor"]
