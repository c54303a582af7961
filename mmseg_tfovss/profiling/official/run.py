"""One config of ours beside the official code of its method."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmseg_tfovss.engine.single import build_method, load_image, read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.complexity import device_and_threads
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.cliptrase import CLIPtraseCheckout
from mmseg_tfovss.profiling.official.code import OfficialCode, Shared, check_hub, check_known, check_method
from mmseg_tfovss.profiling.official.gem import GEMCheckout
from mmseg_tfovss.profiling.official.hub import share_dino
from mmseg_tfovss.profiling.official.pairs import our_labels, time_pairs
from mmseg_tfovss.profiling.official.report import Comparison
from mmseg_tfovss.profiling.official.surgery import SurgeryCheckout
from mmseg_tfovss.profiling.official.ties import ties_alike
from mmseg_tfovss.profiling.random_weights.clip import write_random_clip
from mmseg_tfovss.profiling.random_weights.regions import share_regions
from mmseg_tfovss.profiling.random_weights.text import use_random_text, words_from_patches, words_from_windows

# The first one that knows a folder runs it; most repositories have the form that Checkout knows.
_DRIVERS: tuple[type[OfficialCode], ...] = (CLIPtraseCheckout, Checkout, GEMCheckout, SurgeryCheckout)


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
) -> Comparison:
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
    image, hub = image.absolute(), hub and hub.expanduser().absolute()  # official code runs in its own folder
    size = "x".join(map(str, read_image(image).shape[:2]))
    code = choose_code(config, folder, changes, hub)
    shared = replace(_share(code, config, image, device, scratch), hub=hub)
    ours = {precision: _build(config, precision, device) for precision in precisions}
    first = next(iter(ours.values()))
    words = words_from_windows(first, image) if shared.masks else words_from_patches(first, load_image(first, image)[1])
    for model in ours.values():
        model.decode_head.text_features = words
    ways = {precision: our_labels(model, image) for precision, model in ours.items()}
    with ties_alike():
        pairs, stopped = time_pairs(code.labels(shared, first, device), ways, image, repeats)
    return Comparison(config.run_name, code.title, size, device_and_threads(device), pairs, repeats, stopped)


def choose_code(config: Config, folder: Path, changes: Mapping[str, Any], hub: Path | None) -> OfficialCode:
    """The code in a checkout, with settings for a config of ours; see :func:`time_against`.

    Raises:
        FileNotFoundError: no such folder, or none that a driver knows.
        ValueError: what is in it cannot be compared with the config.
    """
    check_known(config)
    driver = next((driver for driver in _DRIVERS if driver.is_one(folder)), Checkout)
    code = driver(folder)
    check_method(code, config)
    check_hub(code, hub)
    code.choose(config, changes)
    return code


def _share(code: OfficialCode, config: Config, image: Path, device: torch.device, scratch: Path) -> Shared:
    """Write the random networks, and let our config read them."""
    masks = share_regions(config, image, scratch / "regions", device)
    dino = share_dino(config, scratch)
    sam = None
    if config.model.get("sam"):
        sam = code.write_sam(scratch / "random_sam.pth")
        config.model.sam.pretrained = str(sam)
    clip = write_random_clip(scratch / "random_clip.pt", config.model.backbone.arch)
    config.model.backbone.update(arch="auto", pretrained=str(clip), quick_gelu=True)
    return Shared(clip=clip, image=image, dino=dino, sam=sam, masks=masks)


def _build(config: Config, precision: str, device: torch.device) -> OpenVocabSegmentor:
    config.model.precision = precision
    model = build_method(config, device).eval()
    use_random_text(model)  # until it is given words; its text tower would encode hundreds for nothing
    return model
