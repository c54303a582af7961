"""Settings of a dataset that cannot work, or would be recorded without acting."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import mmcv.transforms
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mmseg_tfovss.datasets.framework import BaseSegDataset
from mmseg_tfovss.registry import DATASETS, TRANSFORMS

_WHERE = "test_dataloader.dataset"
_USUALLY_IGNORED = 255
# What acts nowhere in a test, and what to do instead; the second one's default may be written out.
_WITHOUT_EFFECT = {
    "ignore_index": "set test_evaluator.ignore_index, which the scores follow",
    "max_refetch": "leave it out, for no image of a test is replaced by another one",
}
_ONLY_DEFAULT = {
    "lazy_init": (False, "leave it out, for a test lists its files at the start"),
    "filter_cfg": (None, "name the images that count in an ann_file"),
    "backend_args": (None, "leave it out, for files are read from the disks of this machine"),
    "test_mode": (True, "leave it True"),
}
# MMCV's loaders take what has lost its labels in compression, and much else; those of this package, which have the
# same names here, name the file.
_FOREIGN_LOADERS = {mmcv.transforms.LoadImageFromFile, mmcv.transforms.LoadAnnotations}
_SWITCHES = ("test_mode", "lazy_init", "serialize_data", "reduce_zero_label")
_FOLDERS = ("img_path", "seg_map_path")
_FACTS = ("classes", "palette", "ignore_index")  # of metainfo; what else there is, nobody reads
_LARGEST_COLOUR = 255


def check_dataset_options(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a dataset before its files are looked for.

    Args:
        settings: ``test_dataloader.dataset`` of a config; its type and the names of its options are known to exist.

    Raises:
        ValueError: the option is named, and what to do instead.
    """
    kind = DATASETS.get(settings["type"]) if isinstance(settings["type"], str) else settings["type"]
    if not (inspect.isclass(kind) and issubclass(kind, BaseDataset)):
        raise ValueError(f"{_WHERE}.type must be a dataset itself, not one made of others, but got {settings['type']}.")
    _check_effects(settings, kind)
    _check_values(settings)
    _check_pipeline(settings.get("pipeline"))
    if issubclass(kind, BaseSegDataset):
        _check_folders(settings, kind)
        _check_facts(settings.get("metainfo"), kind)


def check_ignored(config: Config, dataset: BaseDataset) -> None:
    """Refuse a label for reduced zeros that is not the one which the scores ignore.

    Raises:
        ValueError: both options are named.
    """
    ignored = config.test_evaluator.get("ignore_index", "auto")
    if ignored == "auto":
        ignored = dataset.metainfo.get("ignore_index", _USUALLY_IGNORED)
    for number, step in enumerate(config.test_dataloader.dataset.get("pipeline") or ()):
        if step.get("type") not in ("LoadAnnotations", "LoadLabels"):
            continue
        where = f"{_WHERE}.pipeline.{number}.ignore_index"
        reduced = step.get("ignore_index", _USUALLY_IGNORED)
        if getattr(dataset, "reduce_zero_label", False):
            if reduced != ignored:
                raise ValueError(
                    f"reduce_zero_label turns 0 into {reduced}, but the scores ignore {ignored}: set {where} and"
                    " test_evaluator.ignore_index to one label."
                )
        elif "ignore_index" in step:
            raise ValueError(f"{where} has no effect without reduce_zero_label: set test_evaluator.ignore_index.")


def _check_effects(settings: Mapping[str, Any], kind: type) -> None:
    filters = getattr(kind, "filter_data", None) is not BaseDataset.filter_data
    for name, instead in _WITHOUT_EFFECT.items():
        if name in settings:
            raise ValueError(f"{_WHERE}.{name} has no effect on a test: {instead}.")
    for name, (usual, instead) in _ONLY_DEFAULT.items():
        if settings.get(name, usual) != usual and not (name == "filter_cfg" and filters):
            raise ValueError(f"{_WHERE}.{name}={settings[name]!r} has no effect on a test: {instead}.")


def _check_values(settings: Mapping[str, Any]) -> None:
    for name in _SWITCHES:
        if not isinstance(settings.get(name, False), bool):
            raise ValueError(f"{_WHERE}.{name} must be True or False, but got {settings[name]!r}.")
    for name in ("img_suffix", "seg_map_suffix"):
        if not isinstance(settings.get(name, "."), str) or settings.get(name) == "":
            raise ValueError(f"{_WHERE}.{name} must be what the files' names end in, but got {settings[name]!r}.")
    indices = settings.get("indices")
    chosen = [indices] if isinstance(indices, int) else indices
    if chosen is None:
        return
    listed = isinstance(chosen, Sequence) and not isinstance(chosen, str) and len(chosen)
    if not listed or any(isinstance(one, bool) or not isinstance(one, int) for one in chosen) or indices == 0:
        raise ValueError(
            f"{_WHERE}.indices must be a number of images (below 0: the last ones) or a list of their numbers, but got"
            f" {indices!r}."
        )


def _check_pipeline(steps: object) -> None:
    where = f"{_WHERE}.pipeline"
    named = isinstance(steps, Sequence) and all(isinstance(step, Mapping) and "type" in step for step in steps)
    if not steps or not named or not isinstance(steps, Sequence):
        raise ValueError(f"{where} must be a list of steps, [dict(type='LoadImageFromFile'), ...], but got {steps!r}.")
    for number, step in enumerate(steps):
        kind = TRANSFORMS.get(step["type"]) if isinstance(step["type"], str) else step["type"]
        if _FOREIGN_LOADERS.intersection(inspect.getmro(kind) if inspect.isclass(kind) else ()):
            name = str(step["type"]).rpartition(".")[2]
            raise ValueError(f"{where}.{number}.type={step['type']} takes damaged and lossy files: use {name}.")


def _check_folders(settings: Mapping[str, Any], kind: type[BaseSegDataset]) -> None:
    folders = settings.get("data_prefix")
    if kind is BaseSegDataset and not settings.get("data_root") and not (folders or {}).get("img_path"):
        raise ValueError(f"{_WHERE} names no folder: set its data_root, and data_prefix to folders below it.")
    if folders is None:
        return
    if (
        not isinstance(folders, Mapping)
        or {*folders} != {*_FOLDERS}
        or any(not isinstance(folders[n], str) for n in folders)
    ):
        found = dict(folders) if isinstance(folders, Mapping) else folders
        raise ValueError(
            f"{_WHERE}.data_prefix must name two folders below data_root, dict(img_path=..., seg_map_path=...), but got"
            f" {found!r}."
        )


def _check_facts(facts: object, kind: type[BaseSegDataset]) -> None:
    if facts is not None and not isinstance(facts, Mapping):
        raise ValueError(f"{_WHERE}.metainfo must be dict(classes=(...)), but got {facts!r}.")
    given = dict(facts or {})
    for name in given:
        if name not in {*_FACTS, *kind.METAINFO}:
            raise ValueError(f"{_WHERE}.metainfo.{name} has no effect: valid are {', '.join(_FACTS)}.")
    own = kind.METAINFO.get("classes")
    classes = given.get("classes", own)
    if classes is None:
        raise ValueError(
            f"The dataset has no classes: set {_WHERE}.metainfo=dict(classes=('cat', 'dog', ...)), one name per label,"
            " in their order."
        )
    _check_classes(classes)
    foreign = [name for name in classes if own is not None and name not in own]
    if foreign:
        raise ValueError(
            f"{_WHERE}.metainfo.classes: {foreign[0]!r} is none of the {len(own or ())} classes of {kind.__name__}."
        )
    ignored = given.get("ignore_index")
    if ignored is not None and (isinstance(ignored, bool) or not isinstance(ignored, int)):
        raise ValueError(f"{_WHERE}.metainfo.ignore_index must be a label or None, but got {ignored!r}.")
    if "palette" in given:
        _check_palette(given["palette"], len(classes))


def _check_classes(classes: object) -> None:
    where = f"{_WHERE}.metainfo.classes"
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not classes:
        raise ValueError(f"{where} must be a list of names, ('cat', 'dog', ...), but got {classes!r}.")
    for number, name in enumerate(classes):
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"{where} must be a list of names, but number {number} is {name!r}.")
        if name in classes[:number]:
            raise ValueError(f"{where} has {name!r} twice, as number {classes.index(name)} and {number}.")


def _check_palette(palette: object, count: int) -> None:
    where = f"{_WHERE}.metainfo.palette"
    colours = palette if isinstance(palette, Collection) and not isinstance(palette, str | Mapping) else None
    if colours is None or len(colours) != count:
        found = repr(palette) if colours is None else f"{len(colours)}"
        raise ValueError(
            f"{where} must have one colour for each of the {count} classes, but got {found}: leave it out for"
            " usual ones."
        )
    for number, colour in enumerate(colours):
        parts = [*colour] if isinstance(colour, Collection) and not isinstance(colour, str) else []
        if len(parts) != 3 or any(not isinstance(p, int) or not 0 <= p <= _LARGEST_COLOUR for p in parts):
            raise ValueError(
                f"{where}: colour number {number} must be [red, green, blue], 0 .. 255, but is {colour!r}."
            )
