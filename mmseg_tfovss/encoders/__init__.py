"""Frozen networks, each behind one small interface."""

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.encoders.clip_graph import CLIPGraph
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.dino import DINO, MAE, DINOv2, DINOv2Registers
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.encoders.sam import SAM
from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion

__all__ = [
    "DINO",
    "MAE",
    "SAM",
    "CLIPBlock",
    "CLIPGraph",
    "CLIPImageEncoder",
    "CLIPPreprocessor",
    "Companion",
    "DINOv2",
    "DINOv2Registers",
    "StableDiffusion",
]
