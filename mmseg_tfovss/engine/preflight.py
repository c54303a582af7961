"""What can be refused before weights are loaded."""

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmseg_tfovss.config import check_loader, check_names, check_settings
from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.engine.dataset_options import check_dataset_options, check_ignored
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.samples import check_lines, check_samples, walk
from mmseg_tfovss.engine.words import THRESHOLDS, check_words
from mmseg_tfovss.evaluation.metric import SegmentationMetric
from mmseg_tfovss.registry import DATASETS, LOOPS, METRICS, MODELS
from mmseg_tfovss.vocabulary import Vocabulary, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_background

# torch's options; MMEngine's num_batch_per_epoch would leave images out.
_LOADER_OPTIONS = {*inspect.signature(DataLoader.__init__).parameters} - {"self"}
_ENDINGS = {"img_path": "img_suffix", "seg_map_path": "seg_map_suffix"}  # MMSeg's options
_NAMED = 3  # missing files named in a message
_logger = logging.getLogger(__name__)


def check_config(config: Config) -> Vocabulary:
    """Refuse a config that cannot be tested on any machine: unknown names, wrong words. Data may lie elsewhere.

    Returns:
        Its vocabulary.

    Raises:
        ValueError: see :func:`run_test`.
        FileNotFoundError: see :func:`run_test`.
    """
    for key in ("dataset", "test_dataloader", "test_evaluator", "test_cfg"):
        if key not in config:
            raise ValueError(f"The config has no {key!r}: tfovss test needs a config with a dataset.")
    check_settings(config.model, MODELS, "model")
    check_settings(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    check_dataset_options(config.test_dataloader.dataset)
    _check_evaluator(config)
    check_settings(config.test_cfg, LOOPS, "test_cfg")
    if LOOPS.get(config.test_cfg.type) is not ResumableTestLoop:
        raise ValueError(f"test_cfg.type must be ResumableTestLoop, but got {config.test_cfg.type!r}.")
    check_names(config.test_dataloader, _LOADER_OPTIONS, "test_dataloader")
    check_loader(config)
    head = config.model.decode_head
    vocabulary = load_vocabulary(head.vocabulary, head.get("background"))
    for name in THRESHOLDS:
        check_background(vocabulary, name, head.get(name))
    return vocabulary


def _check_evaluator(config: Config) -> None:
    if isinstance(config.test_evaluator, Mapping):
        check_settings(config.test_evaluator, METRICS, "test_evaluator")
        kind = METRICS.get(config.test_evaluator["type"])
        if inspect.isclass(kind) and issubclass(kind, SegmentationMetric):
            return
    raise ValueError(
        "test_evaluator must be one SegmentationMetric, or a class made from it, for the counts of others cannot be"
        f" resumed, but got {config.test_evaluator!r}."
    )


def check_run(config: Config) -> None:
    """Refuse a run that cannot finish, before weights are loaded: a config as above, missing files.

    Raises:
        ValueError: see :func:`run_test`.
        FileNotFoundError: see :func:`run_test`.
    """
    vocabulary = check_config(config)
    dataset = build_dataset(config)
    check_files(dataset, _prepared_by(config))
    check_ignored(config, dataset)
    chosen = (config.test_dataloader.dataset.get(option) for option in ("subset", "indices"))
    if all(part is None for part in chosen):  # else the settings say so, and the result with them
        _warn_of_another_count(len(dataset), config.dataset)
    check_words(config, dataset, vocabulary, config.model.decode_head)


def check_files(dataset: BaseDataset, key: str) -> None:
    """Refuse a dataset with no image, with images that lack their annotation, or with files that it leaves out.

    Args:
        dataset: its files are looked for.
        key: the benchmark's name, for the command that makes missing files.

    Raises:
        FileNotFoundError: the first missing files are named.
        ValueError: so are files that would be counted twice or left out, see :func:`check_samples`.
    """
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not samples:
        raise FileNotFoundError(_no_image(dataset, key))
    for kind, field in (("image", "img_path"), ("annotation", "seg_map_path")):
        if not all(sample.get(field) for sample in samples):
            raise ValueError(
                f"{type(dataset).__name__} does not say where its {kind}s are: its samples need {field!r}."
            )
        missing = [sample[field] for sample in samples if not Path(sample[field]).is_file()]
        if missing:
            check_lines(dataset)  # which may say why
            raise FileNotFoundError(
                f"{len(missing)} of {len(samples)} samples lack their {kind}: {', '.join(missing[:_NAMED])}"
                f"{' ...' if len(missing) > _NAMED else ''}"
                f"{(len(missing) == len(samples) and _wrong_ending(dataset, field)) or _remedy(key)}"
            )
    check_samples(dataset, samples)


def build_dataset(config: Config) -> BaseDataset:
    """The dataset that a config names.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: its settings are wrong.
    """
    settings = config.test_dataloader.dataset
    if not settings.get("ann_file"):
        _check_links(settings)
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        try:
            return _built(settings)
        except (FileNotFoundError, AssertionError) as error:  # MMSeg's datasets assert that their files exist
            missing = _first_missing(settings)
            if missing is None:
                raise ValueError(_no_dataset(error)) from error
            raise FileNotFoundError(
                f"{missing} of the dataset {config.dataset} does not exist{_remedy(_prepared_by(config))}, or set"
                " test_dataloader.dataset.data_root to the folder that holds it."
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{settings.get('ann_file')} of the dataset {config.dataset} is no UTF-8 text.") from error
        except IndexError as error:
            if settings.get("indices") is None:
                raise ValueError(_no_dataset(error)) from error
            raise ValueError(
                f"test_dataloader.dataset.indices={settings['indices']!r} names an image that {config.dataset} does not"
                " have: they are numbered from 0."
            ) from error
        except (TypeError, KeyError, AttributeError) as error:  # MMEngine's, of values of a wrong kind
            raise ValueError(_no_dataset(error)) from error


def _built(settings: Mapping[str, Any]) -> BaseDataset:
    try:
        return DATASETS.build(dict(settings))
    except ValueError as error:
        if "need at least one array" not in str(error):
            raise
        # NumPy's, when MMEngine packs a dataset without any image. Unpacked, it can be asked why.
        return DATASETS.build({**settings, "serialize_data": False})


def _check_links(settings: Mapping[str, Any]) -> None:
    """Refuse links between folders, which MMEngine may follow for ever."""
    folder = Path(settings.get("data_root") or "", (settings.get("data_prefix") or {}).get("img_path") or "")
    if settings.get("data_prefix") and folder.is_dir():
        for _ in walk(folder):
            pass


def _no_dataset(error: Exception) -> str:
    return f"The settings in test_dataloader.dataset do not make a dataset: {error!r}."


def _no_image(dataset: BaseDataset, key: str) -> str:
    """Why there may be none."""
    folder = dataset.data_prefix.get("img_path")
    start = f"No image found for {type(dataset).__name__} in {folder}"
    if dataset.ann_file:
        return f"{start}: {dataset.ann_file} names none."
    if hint := _wrong_ending(dataset, "img_path"):
        return f"{start}{hint}."
    return f"{start}{_remedy(key)}."


def _wrong_ending(dataset: BaseDataset, field: str) -> str:
    """That no file in a folder of the dataset ends as the dataset says, if so; the end of a sentence about it."""
    folder, name = (getattr(dataset, "data_prefix", None) or {}).get(field), _ENDINGS[field]
    ending = getattr(dataset, name, None)
    found = sorted(entry.name for entry in walk(Path(folder))) if folder and Path(folder).is_dir() else []
    if not found or (isinstance(ending, str) and any(file.endswith(ending) for file in found)):
        return ""
    which = f"its {len(found)} files" if field == "img_path" else f"the {len(found)} files in {folder}"
    return (
        f": none of {which} ({', '.join(found[:_NAMED])}{' ...' if len(found) > _NAMED else ''}) ends in {ending!r};"
        f" set test_dataloader.dataset.{name}"
    )


def _prepared_by(config: Config) -> str:
    """The name under which tfovss prepare makes a config's files."""
    return str(config.get("prepared_by", config.dataset))


def _remedy(key: str) -> str:
    return f": prepare it with tfovss prepare {key}" if key in PREPARED else ": put the dataset there"


def _warn_of_another_count(images: int, key: str) -> None:
    facts = FACTS.get(key)
    if facts and images != facts.images and is_main_process():
        _logger.warning(
            "warning: %s has %d images here, but the benchmark has %d: the scores are of another set.",
            key,
            images,
            facts.images,
        )


def _first_missing(settings: Mapping[str, Any]) -> Path | None:
    root = Path(settings.get("data_root") or "")
    parts = [settings.get("ann_file"), *(settings.get("data_prefix") or {}).values()]
    paths = [root, *(root / part for part in parts if part)]
    return next((path for path in paths if not path.exists()), None)
