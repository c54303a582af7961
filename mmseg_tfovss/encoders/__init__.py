"""Frozen networks, each behind one small interface."""

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.encoders.clip_graph import CLIPGraph
from mmseg_tfovss.encoders.dino import DINOGraph, DINOv2Encoder, DINOv2Graph, DINOv2RegistersGraph
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.encoders.sam import SAMMaskEncoder
from mmseg_tfovss.encoders.stable_diffusion import StableDiffusionGraph

__all__ = [
    "CLIPBlock",
    "CLIPGraph",
    "CLIPImageEncoder",
    "CLIPPreprocessor",
    "DINOGraph",
    "DINOv2Encoder",
    "DINOv2Graph",
    "DINOv2RegistersGraph",
    "SAMMaskEncoder",
    "StableDiffusionGraph",
]
