"""A config's benchmark: whether it is here, and what has to be fetched to make it."""

import logging
import urllib.error
import urllib.request
from pathlib import Path

from huggingface_hub import constants
from mmengine.config import Config

from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.downloads.plan import Item
from mmseg_tfovss.prepare.build import prepare
from mmseg_tfovss.prepare.download import Archive
from mmseg_tfovss.prepare.layout import LAYOUTS
from mmseg_tfovss.prepare.recipes import RECIPES
from mmseg_tfovss.prepare.sources import find_prepared, find_source
from mmseg_tfovss.prepare.terms import CONDITIONS, ROUNDED_SIZES

_SECONDS = 10.0  # that a server may take to say how large a file is


def plan_data(config: Config, archives: Path, *, ask: bool) -> list[Item]:
    """What is to be done for a config's dataset.

    Args:
        config: with a dataset.
        archives: folder of archives, or of what they unpack to.
        ask: ask servers for sizes that are not known.

    Returns:
        Nothing for data that draw themselves.

    Raises:
        ValueError: the config has no dataset.
    """
    if "dataset" not in config or "test_dataloader" not in config:
        raise ValueError(f"The config {config.run_name} has no dataset: leave --data out.")
    key, folder = _key(config), Path(config.test_dataloader.dataset.get("data_root") or "")
    if draws_itself(config):
        return []
    root = root_of(config)
    if root is None:  # data of the user's own, or in another layout
        remedy = f"test_dataloader.dataset.data_root={folder} does not exist; set it to the folder that holds the data"
        return [Item(key, "here" if folder.is_dir() else "missing", folder, remedy=remedy)]
    if LAYOUTS[key].complete(root, FACTS[key].images):
        return [Item(f"{key}, prepared", "here", folder)]
    elsewhere = None if RECIPES[key].official else find_prepared(LAYOUTS[key], archives, FACTS[key].images)
    if elsewhere is not None:
        return [Item(f"{key}, prepared", "here", elsewhere / LAYOUTS[key].folder)]
    terms = CONDITIONS[key]
    items = [_archive(archive, archives, folder, ask=ask) for archive in RECIPES[key].archives]
    return [*items, Item(key, "make", folder, terms.disk, exact=False, terms=terms.terms)]


def draws_itself(config: Config) -> bool:
    """Whether the images are made when they are needed."""
    return _key(config).startswith("pocket_")


def root_of(config: Config) -> Path | None:
    """The folder of all datasets that a config's dataset is below; None if ``tfovss prepare`` does not make it so."""
    if _key(config) not in RECIPES:
        return None
    folder = Path(config.test_dataloader.dataset.get("data_root") or "")
    below = Path(LAYOUTS[_key(config)].folder).parts
    return Path(*folder.parts[: -len(below)]) if folder.parts[-len(below) :] == below else None


def make_data(config: Config, archives: Path, workers: int) -> Path | None:
    """Fetch and make a config's dataset, unless it is there; with ``HF_HUB_OFFLINE``, make it of what is here.

    Returns:
        Its folder; None for data that ``tfovss prepare`` does not make.

    Raises:
        OSError: no connection, no space.
        ValueError: what was fetched is not the official file.
    """
    root = root_of(config)
    if root is None:
        return None
    return prepare(_key(config), root, archives, fetch=not constants.HF_HUB_OFFLINE, workers=workers).folder


def _key(config: Config) -> str:
    """The name under which ``tfovss prepare`` makes a config's files."""
    return str(config.get("prepared_by", config.dataset))


def _archive(archive: Archive, archives: Path, made: Path, *, ask: bool) -> Item:
    logger = logging.getLogger("mmseg_tfovss.prepare")
    level = logger.level
    logger.setLevel(logging.ERROR)  # what is strange about a file is said when it is read
    try:
        found = find_source(archive, archives, made, fetch=False)
    except FileNotFoundError:
        found = None
    finally:
        logger.setLevel(level)
    if found is not None:
        return Item(archive.name, "here", found, found.stat().st_size if found.is_file() else None)
    if archive.url is None:
        remedy = f"its download needs an account; get it from {archive.page}, put it into {archives}, and run again"
        return Item(archive.name, "missing", archives, remedy=remedy)
    if constants.HF_HUB_OFFLINE:
        remedy = f"HF_HUB_OFFLINE is set; unset it, or get the file from {archive.url} and put it into {archives}"
        return Item(archive.name, "missing", archives, remedy=remedy)
    size = archive.size or (_asked(archive.url) if ask else None)
    rounded = ROUNDED_SIZES.get(archive.name)
    return Item(archive.name, "fetch", archives, size or rounded, exact=size is not None, source=archive.url)


def _asked(url: str) -> int | None:
    """How large the server says a file is; None: it does not."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS) as answer:
            length = answer.headers.get("Content-Length", "")
    except (OSError, ValueError):  # the download will say why
        return None
    return int(length) if length.isdecimal() else None
