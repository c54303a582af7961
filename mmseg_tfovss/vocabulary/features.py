"""Text features of a vocabulary, computed once and kept on disk.

Per query w with templates T: e_t = normalise(encode(t(w))), feature = normalise(mean over t of e_t).
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmseg_tfovss.whole_file import whole_file

_logger = logging.getLogger(__name__)
_PROMPTS_PER_BATCH = 640
_FORMAT = "1"  # bump when the computation below changes its numbers
_SHOW_PROGRESS_ABOVE = 3000  # prompts; below this it is over before a bar would be read


def encode_queries(
    encoder: Callable[[Sequence[str]], Tensor], queries: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """Features (Q, D), unit length, of Q queries averaged over the templates.

    Args:
        encoder: maps T strings to features (T, D).
        queries: the words.
        templates: strings with one ``{}``.
    """
    per_batch = max(1, _PROMPTS_PER_BATCH // len(templates))
    starts = range(0, len(queries), per_batch)
    hidden = len(queries) * len(templates) < _SHOW_PROGRESS_ABOVE
    features = []
    for start in track(starts, description="Text features", disable=hidden, transient=True):
        chunk = queries[start : start + per_batch]
        prompts = [template.replace("{}", query) for query in chunk for template in templates]
        encoded = F.normalize(encoder(prompts), dim=-1).unflatten(0, (len(chunk), -1))  # (q, T, D)
        features.append(F.normalize(encoded.mean(dim=1), dim=-1))
    return torch.cat(features)


def cached_features(
    compute: Callable[[], Tensor],
    text_tower: str,
    queries: Sequence[str],
    templates: Sequence[str],
    folder: Path | None = None,
) -> Tensor:
    """Features from the disk cache, or computed and then stored there.

    A damaged entry is computed again; a folder that cannot be written costs a warning, never the run.

    Args:
        compute: gives the features (Q, D) when they are not cached.
        text_tower: identifies the text tower: weights, and what else changes its features.
        queries: the words.
        templates: strings with one ``{}``.
        folder: defaults to :func:`cache_folder`.

    Returns:
        (Q, D) float32 on the CPU, or on the device that ``compute`` used.
    """
    key = json.dumps([_FORMAT, text_tower, list(queries), list(templates)])
    path = (folder or cache_folder()) / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
    if path.is_file():
        try:
            features = load_file(path)["text_features"]
            if len(features) == len(queries) and bool(features.isfinite().all()):
                return features
        except (SafetensorError, KeyError, OSError) as error:
            _logger.info("Cached text features %s are damaged (%s): computed again.", path, error)
    features = compute().float()
    try:
        _store(features.cpu(), path)
    except OSError as error:
        _logger.warning("Text features could not be cached in %s: %s.", path.parent, error)
    return features


def cache_folder() -> Path:
    """``$MMSEG_TFOVSS_CACHE``, or ``mmseg_tfovss`` in the user's cache folder."""
    if os.environ.get("MMSEG_TFOVSS_CACHE"):
        return Path(os.environ["MMSEG_TFOVSS_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmseg_tfovss"


def _store(features: Tensor, path: Path) -> None:
    with whole_file(path) as scratch:
        try:
            save_file({"text_features": features.contiguous()}, scratch)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error
