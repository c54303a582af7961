"""One config of ours beside the official code of its method."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from rich.table import Table

from mmseg_tfovss.engine.single import build_method, load_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.cliptrase import CLIPtraseCheckout
from mmseg_tfovss.profiling.official.hub import instead_of_downloads, share_dino
from mmseg_tfovss.profiling.official.pairs import (
    Labels,
    give_words,
    official_labels,
    our_labels,
    pairs_table,
    time_pairs,
)
from mmseg_tfovss.profiling.official.settings import choose_settings
from mmseg_tfovss.profiling.official.ties import ties_alike
from mmseg_tfovss.profiling.official.weights import words_from_patches, write_random_clip

# Random weights of CLIP and perhaps DINO, our model, the device -> the official way to label, and its title.
_Prepare = Callable[[Path, Path | None, OpenVocabSegmentor, torch.device], tuple[Labels, str]]


def time_against(
    config: Config,
    folder: Path,
    image: Path,
    *,
    changes: Mapping[str, Any],
    precisions: Sequence[str],
    device: torch.device,
    repeats: int,
    scratch: Path,
    hub: Path | None = None,
) -> Table:
    """Time a config and the official code in turn, with the same random weights, text features and image.

    Args:
        config: ours, which names the benchmark and the number of words.
        folder: a checkout of the official repository.
        image: the file that both label.
        changes: of the official settings, by name.
        precisions: of ours; the official code runs in float32, or in its own precision on a GPU.
        device: where both run.
        repeats: measured rounds.
        scratch: folder for the random weights.
        hub: a checkout of facebookresearch/dino, for methods that ask torch.hub for a network of it.

    Raises:
        ValueError: the repository has no settings for this benchmark, or cannot be run.
    """
    prepare = _official_side(folder, config, changes, hub)
    dino = share_dino(config, scratch / "random_dino.pth")
    weights = write_random_clip(scratch / "random_clip.pt", config.model.backbone.arch)
    config.model.backbone.update(arch="auto", pretrained=str(weights), quick_gelu=True)
    ours = {precision: _build(config, precision, device) for precision in precisions}
    first = next(iter(ours.values()))
    words = words_from_patches(first, load_image(first, image)[1])
    for model in ours.values():
        model.decode_head.text_features = words
    ways = {precision: our_labels(model, image) for precision, model in ours.items()}
    with ties_alike():
        official, title = prepare(weights, dino, first, device)
        pairs = time_pairs(official, ways, image, repeats)
    return pairs_table(f"{config.run_name} beside {title}", pairs)


def _official_side(folder: Path, config: Config, changes: Mapping[str, Any], hub: Path | None) -> _Prepare:
    """Read the official settings, before anything slow; return what builds the official side."""
    if CLIPtraseCheckout.is_one(folder):
        if changes:
            raise ValueError("--official: CLIPtrase's settings are those of our config; change model.eps there.")
        functions = CLIPtraseCheckout(folder)
        arguments = functions.settings(config)
        return lambda weights, _, first, device: (functions.labels(arguments, weights, first, device), functions.title)
    checkout = Checkout(folder)
    settings = choose_settings(checkout, config, changes)

    def prepare(
        weights: Path, dino: Path | None, first: OpenVocabSegmentor, device: torch.device
    ) -> tuple[Labels, str]:
        words = weights.with_name("words.txt")
        words.write_text("one\ntwo\n")  # theirs are replaced by ours
        with instead_of_downloads(dino, hub):
            model = checkout.build(settings, weights, words, device)
        give_words(model, first)
        return official_labels(model, checkout, first.data_preprocessor.short_side, device), checkout.title

    return prepare


def _build(config: Config, precision: str, device: torch.device) -> OpenVocabSegmentor:
    config.model.precision = precision
    return build_method(config, device).eval()
