"""Heads: from patch features to logits over words."""

from mmseg_tfovss.heads.text_head import TextHead

__all__ = ["TextHead"]
