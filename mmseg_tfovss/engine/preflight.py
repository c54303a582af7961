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
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.words import THRESHOLDS, check_words
from mmseg_tfovss.registry import DATASETS, LOOPS, METRICS, MODELS
from mmseg_tfovss.vocabulary import Vocabulary, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_background

# torch's options; MMEngine's num_batch_per_epoch would leave images out.
_LOADER_OPTIONS = {*inspect.signature(DataLoader.__init__).parameters} - {"self"}
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
            raise ValueError(f"The config has no {key!r}: tools/test.py needs a config with a dataset.")
    check_settings(config.model, MODELS, "model")
    check_settings(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    check_settings(config.test_evaluator, METRICS, "test_evaluator")
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


def check_run(config: Config) -> None:
    """Refuse a run that cannot finish, before weights are loaded: a config as above, missing files.

    Raises:
        ValueError: see :func:`run_test`.
        FileNotFoundError: see :func:`run_test`.
    """
    vocabulary = check_config(config)
    dataset = build_dataset(config)
    check_files(dataset, _prepared_by(config))
    _warn_of_another_count(len(dataset), config.dataset)
    check_words(config, dataset, vocabulary, config.model.decode_head)


def check_files(dataset: BaseDataset, key: str) -> None:
    """Refuse a dataset with no image, or with images that lack their annotation.

    Args:
        dataset: its files are looked for.
        key: the benchmark's name, for the command that makes missing files.

    Raises:
        FileNotFoundError: the first missing files are named.
    """
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not samples:
        raise FileNotFoundError(
            f"No image found for {type(dataset).__name__} in {dataset.data_prefix.get('img_path')}{_remedy(key)}."
        )
    for kind, field in (("image", "img_path"), ("annotation", "seg_map_path")):
        missing = [sample[field] for sample in samples if not Path(sample[field]).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(samples)} samples lack their {kind}: {', '.join(missing[:_NAMED])}"
                f"{' ...' if len(missing) > _NAMED else ''}{_remedy(key)}"
            )


def build_dataset(config: Config) -> BaseDataset:
    """The dataset that a config names.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: its settings are wrong.
    """
    settings = config.test_dataloader.dataset
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        try:
            return DATASETS.build(dict(settings))
        except (FileNotFoundError, AssertionError) as error:  # MMSeg's datasets assert that their files exist
            missing = _first_missing(settings)
            if missing is None:
                raise
            raise FileNotFoundError(
                f"{missing} of the dataset {config.dataset} does not exist{_remedy(_prepared_by(config))}, or set"
                " test_dataloader.dataset.data_root to the folder that holds it."
            ) from error
        except (TypeError, KeyError, AttributeError, IndexError) as error:  # MMEngine's, of values of a wrong kind
            raise ValueError(f"The settings in test_dataloader.dataset do not make a dataset: {error!r}.") from error


def _prepared_by(config: Config) -> str:
    """The name under which tools/prepare_data.py makes a config's files."""
    return str(config.get("prepared_by", config.dataset))


def _remedy(key: str) -> str:
    return f": prepare it with python tools/prepare_data.py {key}" if key in PREPARED else ": put the dataset there"


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
