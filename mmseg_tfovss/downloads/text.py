"""Text features of a config, computed ahead: a node finds them in the cache and encodes no text."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseg_tfovss.config import check_settings
from mmseg_tfovss.downloads.needs import text_towers
from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.vocabulary.features import cache_folder


@dataclass(frozen=True)
class TextFeatures:
    """What was done.

    Attributes:
        folder: of the cached features.
        queries: number of words.
        templates: number of prompts for each.
        new: files that were not there before.
        size: bytes of these.
    """

    folder: Path
    queries: int
    templates: int
    new: int
    size: int


def text_folder(config: Config) -> Path:
    """Where a config's text features are cached."""
    own = config.model.decode_head.get("cache_dir")
    return Path(own) if own else cache_folder()


def cache_text_features(config: Config) -> TextFeatures:
    """Compute a config's text features, unless they are cached; of its networks only CLIP is loaded.

    Raises:
        OSError: the folder cannot be written, or weights are not here.
        ValueError: words or weights that cannot be used.
    """
    folder = text_folder(config)
    before = _files(folder)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        check_settings(config.model.decode_head, MODELS, "model.decode_head")
        head = MODELS.build(config.model.decode_head.to_dict())
        for settings in text_towers(config.model):
            with quiet():
                tower: Any = MODELS.build(dict(settings))
            head.features_by(tower.pop_text_encoder(), tower.weights_hash)
    new = _files(folder) - before
    if not _files(folder):
        raise OSError(f"The text features could not be written to {folder}: set MMSEG_TFOVSS_CACHE to another folder.")
    size = sum(path.stat().st_size for path in new)
    return TextFeatures(folder, len(head.vocabulary.queries), len(head.templates), len(new), size)


def _files(folder: Path) -> set[Path]:
    return set(folder.glob("*.safetensors"))
