"""Words: class lists, prompt templates and the cache of the features computed from them."""

from mmseg_tfovss.vocabulary.classes import (
    Vocabulary,
    available_backgrounds,
    available_vocabularies,
    load_vocabulary,
)
from mmseg_tfovss.vocabulary.templates import available_templates, load_templates

__all__ = [
    "Vocabulary",
    "available_backgrounds",
    "available_templates",
    "available_vocabularies",
    "load_templates",
    "load_vocabulary",
]
