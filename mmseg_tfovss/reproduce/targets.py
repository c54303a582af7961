"""Which published number a method, a dataset and a backbone mean, and the config that repeats it."""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmseg_tfovss.catalogue import configs_on, method_names, squeezed
from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.facts import FACTS, PREPARED
from mmseg_tfovss.downloads.needs import needs_of
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.leaderboard.published import JOIN, Published, is_of, published_numbers

# In a source: others than the authors of the method have printed or run it.
_SECOND_HAND = re.compile(r"\bas (quoted|listed)\b|\brepeats? it\b|\blists it\b|\bits run of\b")
_ANY_WORDS = "voc20"  # every method has a config for it
_OF_OTHERS = "as "  # begins the setting of a number that another paper quotes or has run


@dataclass(frozen=True)
class Target:
    """A number to repeat.

    Attributes:
        path: of the config.
        config: as it stands in the file.
        number: what is to be repeated: the authors' own where they have printed one.
        others: further printed numbers: of the same run, then those that other papers quote, in whatever setting.
    """

    path: Path
    config: Config
    number: Published
    others: tuple[Published, ...] = ()


def find_target(method: str, dataset: str, backbone: str) -> Target:
    """Find the config of a method's paper on a dataset, and the numbers that are printed for it.

    Args:
        method: as :func:`mmseg_tfovss.list_methods` has it (``lht_clip_clearclip``: around ClearCLIP), in any spelling.
        dataset: its key.
        backbone: e.g. ``vit-b16`` or ``ViT-B-16``.

    Raises:
        ValueError: no such method, dataset or config, or no printed number of it; the message says which there are.
    """
    name = _known(method)
    _check_dataset(dataset)
    path = configs_on(dataset).get(name, {}).get(_tag(backbone))
    if path is not None:
        config = load_config(path)
        numbers = published_numbers({dataset})
        exact = sorted(_of_config(config, numbers), key=lambda number: bool(_SECOND_HAND.search(number.source)))
        if exact:
            quoted = tuple(_of_other_papers(config, numbers))
            return Target(path, config, exact[0], (*exact[1:], *quoted))
    raise ValueError(f"No number of {name} with {_tag(backbone)} on {dataset} is published{_instead(name)}")


def _known(method: str) -> str:
    names = {squeezed(name): name for name in method_names()}
    if squeezed(method) in names:
        return names[squeezed(method)]
    close = [names[found] for found in difflib.get_close_matches(squeezed(method), names, n=3)]
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"Unknown method {method!r}.{hint} Valid: {', '.join(method_names())}.")


def _check_dataset(dataset: str) -> None:
    if dataset not in FACTS:
        close = difflib.get_close_matches(dataset, FACTS, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"Unknown dataset {dataset!r}.{hint} Valid: {', '.join(PREPARED)}.")


def _tag(backbone: str) -> str:
    """``ViT-B-16``, ``vit_b_16`` and ``vit-b16`` -> ``vit-b16``."""
    plain = squeezed(backbone)
    return f"vit-{plain.removeprefix('vit')}"


def _of_config(config: Config, numbers: Collection[Published]) -> list[Published]:
    """Printed numbers that are, by dataset, method, setting and networks, of a config."""
    networks = JOIN.join(need.network for need in needs_of(config) if need.network)
    names = (str(config.dataset), str(config.model.type), setting_of(config), networks)
    return [number for number in numbers if is_of(number, *names)]


def _of_other_papers(config: Config, numbers: Collection[Published]) -> list[Published]:
    """What other papers quote for the method on the same architecture, whatever they have run."""
    method, arch = squeezed(str(config.model.type)), squeezed(config.model.backbone.get("arch", "ViT-B-16"))
    return [
        number
        for number in numbers
        if number.setting.startswith(_OF_OTHERS) and squeezed(number.method) == method
        if arch in squeezed(number.backbone)
    ]


def _instead(name: str) -> str:
    """For which datasets and backbones there is a number: of this method, or else of it in other settings."""
    numbers = published_numbers(set(FACTS))
    own = _with_numbers(name, numbers)
    if own:
        return f". There are numbers for {own}."
    others = {other: _with_numbers(other, numbers) for other in _other_settings(name)}
    told = [f"{other} ({found})" for other, found in others.items() if found]
    return f", nor for another dataset or backbone{'; there are numbers of ' if told else ''}{', '.join(told)}."


def _with_numbers(name: str, numbers: Collection[Published]) -> str:
    """Backbones and datasets of a method for which there is a number; empty: none."""
    found: dict[str, list[str]] = {}
    for dataset in PREPARED:
        for backbone, path in configs_on(dataset).get(name, {}).items():
            if _of_config(load_config(path), numbers):
                found.setdefault(backbone, []).append(dataset)
    return "; ".join(f"{backbone} on {', '.join(datasets)}" for backbone, datasets in found.items())


def _other_settings(name: str) -> list[str]:
    """Names of the same method in other settings: their configs lie in the same folder."""
    folders = {other: {path.parent for path in paths.values()} for other, paths in configs_on(_ANY_WORDS).items()}
    return [other for other in folders if other != name and folders[other] & folders.get(name, set())]
