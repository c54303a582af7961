"""One config of ours beside the official code of its method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.table import Table

from mmseg_tfovss.engine.single import build_method, load_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.pairs import (
    give_words,
    official_labels,
    our_labels,
    pairs_table,
    time_pairs,
)
from mmseg_tfovss.profiling.official.weights import words_from_patches, write_random_clip


def time_against(
    config: Config,
    checkout: Checkout,
    image: Path,
    *,
    changes: Mapping[str, Any],
    precisions: Sequence[str],
    device: torch.device,
    repeats: int,
    scratch: Path,
) -> Table:
    """Time a config and the official code in turn, with the same random weights, text features and image.

    Args:
        config: ours, which names the benchmark and the number of words.
        checkout: the official repository.
        image: the file that both label.
        changes: of the official settings, by name.
        precisions: of ours; the official code runs in float32, or in its own precision on a GPU.
        device: where both run.
        repeats: measured rounds.
        scratch: folder for the random weights.

    Raises:
        ValueError: the repository has no settings for this benchmark, or cannot be run.
    """
    settings = checkout.settings(config.dataset)
    unknown = set(changes) - set(settings) - checkout.options()
    if unknown:
        raise ValueError(
            f"--official: {checkout.segmentor.name} has no option {', '.join(sorted(unknown))}."
            f" It has: {', '.join(sorted(checkout.options()))}."
        )
    weights = write_random_clip(scratch / "random_clip.pt", config.model.backbone.arch)
    config.model.backbone.update(arch="auto", pretrained=str(weights), quick_gelu=True)
    ours = {precision: _build(config, precision, device) for precision in precisions}
    first = next(iter(ours.values()))
    words = words_from_patches(first, load_image(first, image)[1])
    for model in ours.values():
        model.decode_head.text_features = words
    (scratch / "words.txt").write_text("one\ntwo\n")  # theirs are replaced by ours
    official = checkout.build({**settings, **changes}, weights, scratch / "words.txt", device)
    give_words(official, first)
    pairs = time_pairs(
        official_labels(official, checkout, first.data_preprocessor.short_side, device),
        {precision: our_labels(model, image) for precision, model in ours.items()},
        image,
        repeats,
    )
    return pairs_table(f"{config.run_name} beside {checkout.title}", pairs)


def _build(config: Config, precision: str, device: torch.device) -> OpenVocabSegmentor:
    config.model.precision = precision
    return build_method(config, device).eval()
