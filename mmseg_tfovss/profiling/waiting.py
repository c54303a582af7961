"""The two kinds of waiting that ``tfovss benchmark`` can show: of a GPU and its host, and for images."""

from pathlib import Path

from mmengine.config import Config
from rich.table import Table

from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.batch import batch_of
from mmseg_tfovss.profiling.host_syncs import host_syncs, sync_table
from mmseg_tfovss.profiling.loading import loading_table, time_loading

_BATCH = 2


def show_host_syncs(model: OpenVocabSegmentor, name: str, path: Path) -> Table:
    """Where a batch of two images makes a GPU and its host wait."""
    found = host_syncs(model, batch_of([read_image(path)] * _BATCH, path))
    return sync_table(f"{name}: where a GPU and its host wait, in a batch of {_BATCH} images", found)


def show_loading(model: OpenVocabSegmentor, config: Config, path: Path, count: int, scratch: Path) -> Table:
    """How long a run over ``count`` images waits for them."""
    if "test_dataloader" not in config:
        raise ValueError(f"--loader needs a config with a dataset, but {config.run_name} has none.")
    return loading_table(config.run_name, time_loading(model, config, path, count, scratch))
