"""Whether a run has been made already."""

from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.config import config_hash, input_files
from mmseg_tfovss.engine.code import code_hash
from mmseg_tfovss.engine.identity import dataset_hash, fingerprints
from mmseg_tfovss.engine.run import build_dataset
from mmseg_tfovss.evaluation.result import Result, read_result
from mmseg_tfovss.vocabulary import load_vocabulary


def finished_result(config: Config, folder: Path) -> Result | None:
    """The folder's result, if running the config again would give it once more.

    That is, if settings, words, code, input files and dataset are what they were, as far as can be seen without loading
    weights. Versions of packages are not compared. A dataset that is not on this machine counts as unchanged.

    Args:
        config: of :func:`mmseg_tfovss.config.load_config`.
        folder: the run's folder.

    Returns:
        The result, or None if there is none, or it is damaged or out of date.
    """
    try:
        result = read_result(folder)
        head = config.model.decode_head
        words = load_vocabulary(head.vocabulary, head.get("background")).hash
    except (OSError, ValueError):
        return None
    inputs = fingerprints([*input_files(config), *result["inputs"]])
    # The cheap comparisons first: a list of runs asks this for each.
    same = (
        (result["config_hash"], result["vocabulary_hash"], result["inputs"]) == (config_hash(config), words, inputs)
        and result["code_hash"] == code_hash(config)
        and _same_dataset(config, result)
    )
    return result if same else None


def _same_dataset(config: Config, result: Result) -> bool:
    try:
        dataset = build_dataset(config)
    except (OSError, ValueError):  # a login node need not have it
        return True
    try:
        return dataset_hash(dataset) == result["dataset_hash"]
    except OSError:  # some of its files are gone
        return False
