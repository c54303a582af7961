"""What the layers and heads of a frozen CLIP know about space and meaning. Zhou et al., TMLR 2026, arXiv:2510.23894.

Per image, with the network as it was trained (whatever the config's method changes) and the whole image at once:

    VD  ROC-AUC of "same class" by the cosine of two patches, for x^l (behind block l) and X^{l,h} = A_h V_h W_o,h
    SA  accuracy of argmax_c cos(v_i, t_c) with v = proj(ln_post(W_o W_v LN1(x_i^l))), weights of the last block
    H   Hoyer score of every patch, and what the patches above tau have in common (:mod:`.abnormal_tokens`)

VD is a mean over images; images without two classes, or without two patches of one class, have none. SA is over all
patches that have a class. The last block is left out, unless asked for, because methods change it.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmseg_tfovss.config import config_hash
from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.engine.finished import run_key
from mmseg_tfovss.engine.preflight import check_run
from mmseg_tfovss.engine.provenance import git_commit, package_versions
from mmseg_tfovss.engine.single import build_method
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.registry import DATASETS
from mmseg_tfovss.studies.discriminability.abnormal_tokens import Sums
from mmseg_tfovss.studies.discriminability.dataset_split import take_split
from mmseg_tfovss.studies.discriminability.patch_pairs import find_patch_classes
from mmseg_tfovss.studies.discriminability.state import State, count_down
from mmseg_tfovss.studies.discriminability.sums import Options, measure_image, summarise
from mmseg_tfovss.whole_file import whole_file

SCHEMA_VERSION = 1
RESULT_NAME, LAYERS_NAME, HEADS_NAME, STATE_NAME = "discriminability.json", "layers.csv", "heads.csv", "unfinished.pt"
_LAYER_COLUMNS = ("block", "VD", "SA", "mean_class_SA", "hoyer", "abnormal_share")
_DIGITS = 6


def analyse(
    config: Config, folder: Path, device: str, options: Options | None = None, command: str = ""
) -> dict[str, Any]:
    """Look at a config's dataset, image by image, and write what was found.

    What was summed up is kept on disk: the same call continues where an earlier one was interrupted.

    Args:
        config: with a dataset; of its method only the network, the precision and the words are used.
        folder: where ``discriminability.json``, ``layers.csv`` and ``heads.csv`` are written.
        device: where the network runs.
        options: see :class:`Options`.
        command: recorded as it is.

    Returns:
        What ``discriminability.json`` holds.

    Raises:
        ValueError: an option that does not fit, no image with two classes, or another unfinished analysis there.
        FileNotFoundError: missing data or weights.
    """
    options = options or Options()
    if "test_dataloader" not in config:
        raise ValueError("The config has no 'test_dataloader': discriminability needs a config with a dataset.")
    config = take_split(config, options.split)
    check_run(config)
    model = build_plain_method(config, device)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        dataset = DATASETS.build(dict(config.test_dataloader.dataset))
    indices = choose_images(len(dataset), options)
    weights_hash = model.backbone.weights_hash
    fingerprint = _fingerprint(config, weights_hash, indices, options)
    state = State.resume(folder / STATE_NAME, fingerprint)
    rest = indices[state.images :]
    if rest:
        dataset.get_subset_(rest)
        images = measure_images(model, config, dataset, options, state.images)
        for sums in count_down(images, len(rest), config.run_name):
            state.add(sums)
        if _fingerprint(config, weights_hash, indices, options) != fingerprint:
            state.forget()  # nobody knows what it has counted
            raise ValueError(
                "Files of the dataset, or that the config names, have changed during the analysis: wait until nothing"
                " writes there, then start it again."
            )
    if not state.sums["images_with_pairs"]:
        raise ValueError(
            f"None of the {state.images} images has patches of two classes, so there is nothing to tell apart."
        )
    result = {
        **_provenance(config, model, options, command),
        **summarise(state.sums),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_result(result, folder)
    state.forget()
    return result


# Of a config's model; all else is the method's.
_KEPT = (
    "backbone",
    "decode_head",
    "data_preprocessor",
    "precision",
    "short_side",
    "centre_square",
    "stretch_to_square",
)


def build_plain_method(config: Config, device: str) -> OpenVocabSegmentor:
    """Unmodified CLIP with a config's network, precision and words, on images of the config's size.

    Raises:
        ValueError: the config's network is not a CLIP of two blocks or more.
    """
    kept = {key: config.model[key] for key in _KEPT if key in config.model}
    plain = Config({"model": {"type": "CLIP", **kept, "test_cfg": {"mode": "whole"}}})
    model = build_method(plain, device)
    if not isinstance(model.backbone, CLIPImageEncoder) or len(model.backbone.blocks) < 2:
        raise ValueError(
            f"discriminability looks into a CLIP of 2 blocks or more, not into {config.model.backbone.type}."
        )
    model.prepare()
    return model


def choose_images(total: int, options: Options) -> list[int]:
    """Indices into the dataset, in its order."""
    if options.max_images is None or options.max_images >= total:
        return list(range(total))
    drawn = np.random.default_rng(options.seed).choice(total, options.max_images, replace=False)
    return sorted(drawn.tolist())


def measure_images(
    model: OpenVocabSegmentor, config: Config, dataset: BaseDataset, options: Options, first: int
) -> Iterator[Sums]:
    """What each image adds to the sums; ``first`` is the number of the dataset's first image."""
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        loader = Runner.build_dataloader({**config.test_dataloader, "dataset": dataset})
    number, classes = first, len(dataset.metainfo["classes"])
    for loaded in loader:
        data = model.data_preprocessor(loaded)
        for image, sample in zip(data["inputs"], data["data_samples"], strict=True):
            labels = sample.gt_sem_seg.data[0].cpu()
            size = (image.shape[-2], image.shape[-1])
            truth = find_patch_classes(labels, size, model.backbone.patch_size, classes).to(image.device)
            yield measure_image(model, image, truth, options, number)
            number += 1


def write_result(result: Mapping[str, Any], folder: Path) -> None:
    """Write the JSON file and the two tables."""
    with whole_file(folder / RESULT_NAME) as scratch:
        scratch.write_text(json.dumps(_rounded(result), allow_nan=False) + "\n")
    layers = [[row[name] for name in _LAYER_COLUMNS] for row in result["layers"]]
    heads = [[b, h, vd] for b, row in enumerate(result["head_VD"], start=1) for h, vd in enumerate(row)]
    for name, header, rows in ((LAYERS_NAME, _LAYER_COLUMNS, layers), (HEADS_NAME, ("block", "head", "VD"), heads)):
        with whole_file(folder / name) as scratch, scratch.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *_rounded(rows)])


def _provenance(config: Config, model: OpenVocabSegmentor, options: Options, command: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "config": config.run_name,
        "config_hash": config_hash(config),
        "overrides": config.overrides,
        "command": command,
        "dataset": str(config.dataset).removesuffix(f"/{options.split}"),
        **asdict(options),
        "short_side": config.model.short_side,
        "arch": model.backbone.name,
        "weights_hash": model.backbone.weights_hash,
        "blocks": len(model.backbone.blocks),
        "heads": model.backbone.blocks[0].heads,
        "precision": config.model.get("precision", "fp32"),
        "device": model.decode_head.query_class.device.type,
        "vocabulary": model.decode_head.vocabulary.source,
        "vocabulary_hash": model.decode_head.vocabulary.hash,
        "git_commit": git_commit(),
        "versions": package_versions(),
    }


def _fingerprint(config: Config, weights_hash: str, indices: Sequence[int], options: Options) -> str:
    content = [SCHEMA_VERSION, run_key(config, {}), weights_hash, list(indices), asdict(options)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, float):
        return round(value, _DIGITS)
    if isinstance(value, Mapping):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
