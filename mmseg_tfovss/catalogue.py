"""Methods and configs by name: what the commands and ``mmseg_tfovss.load`` take, and what is said of each method."""

import ast
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mmseg_tfovss.own_configs import config_files, configs_folder

POCKET = "pocket"
PRETRAINED, ARCH = "model.backbone.pretrained", "model.backbone.arch"
_BACKBONE = "ViT-B-16"
_FILE_ENDINGS = (".py", ".json", ".yaml", ".yml")  # of what MMEngine reads
# Leaves of a method that stand for it, whatever the words are: neither has a background.
_PLAIN, _PLAIN_POCKET = "voc20", "pocket_all"
_LEAF = re.compile(r"(?P<folder>.+)_(?P<backbone>vit-[a-z0-9]+)(?:-(?P<setting>[a-z0-9-]+))?_(?P<dataset>.+)")
_FIRST_LINE = re.compile(r"(?P<title>[^:]+): (?P<idea>[^.]+)\. (?P<paper>.+?)\.?")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_NO_COMPANIONS = ("backbone", "decode_head", "data_preprocessor", "test_cfg", "base")


class MethodFacts(NamedTuple):
    """What is known of a method without loading it.

    Attributes:
        title: as its authors write it.
        idea: one line.
        paper: authors, venue and arXiv number.
        url: of the paper.
        companions: networks beside CLIP, and where their weights come from.
        setting: which of the authors' settings, or which other method it is put around; empty: the usual ones.
    """

    title: str
    idea: str
    paper: str
    url: str
    companions: tuple[str, ...]
    setting: str


def config_folder() -> Path:
    """Where the configs lie: inside an installed package, or beside it in a checkout.

    Raises:
        FileNotFoundError: there are none.
    """
    folder = configs_folder()
    if folder is None:
        raise FileNotFoundError(
            "The configs of this package are missing: install it as a wheel, or work in a clone of the repository."
        )
    return folder


def method_names() -> list[str]:
    """Names of methods, with their settings (``lht_clip_naclip``: LHT-CLIP around NACLIP)."""
    return sorted({*configs_on(_PLAIN), *configs_on(_PLAIN_POCKET)})


def config_names() -> list[str]:
    """Names of all configs: of their files, without ``.py``."""
    return sorted(config_files())


def list_methods() -> dict[str, MethodFacts]:
    """The methods that :func:`mmseg_tfovss.load` takes by name: paper, companions, and the idea in one line.

    Returns:
        Facts by name. ``lht_clip_naclip`` is LHT-CLIP around NACLIP, ``dslo_op`` DSLO with the optimal path.

    Example:
        >>> import mmseg_tfovss as tf
        >>> facts = tf.list_methods()["proxyclip"]
        >>> facts.idea
        "attend by another network's features"
        >>> facts.paper
        'Lan et al., ECCV 2024, arXiv:2408.04883'
        >>> facts.companions
        ('DINO',)
    """
    return {name: facts_of(name) for name in method_names()}


def resolve(name: str | Path, options: Mapping[str, Any] | None = None) -> tuple[Path, dict[str, Any]]:
    """What a name means: a file, else a config of this package, else a method of it.

    A method's name means its settings for any words under the unified protocol: those for the CLIP that the options
    name (``model.backbone.arch``), by default ViT-B/16, or those for the pocket CLIP.

    Args:
        name: a path, a config's name (``sclip_vit-b16_voc21``), or a method's in any spelling (``sclip``,
            ``LHT-CLIP``).
        options: dotted names and their values.

    Returns:
        The file, which need not exist if ``name`` is a path, and the options with those that the name implies.

    Raises:
        ValueError: the name is none of these, or the method has no settings for the CLIP.
    """
    given = dict(options or {})
    if given.get(PRETRAINED) == POCKET:
        given.setdefault(ARCH, "auto")  # its file tells
    path = find_config(name)
    if path is not None:
        return path, given
    backbone = str(given.get(ARCH) or _BACKBONE)
    leaf = find_method(os.fspath(name), backbone, pocket=given.get(PRETRAINED) == POCKET)
    return leaf, {"protocol": "unified", **given}


def find_config(name: str | Path) -> Path | None:
    """The file of a config that is named by its path or by its name; None: it is neither.

    What looks like a path is taken as it stands, whether there is such a file or not. A file in the current folder
    comes before a name; a folder does not.
    """
    text, path = os.fspath(name), Path(name).expanduser()
    if os.sep in text or path.suffix in _FILE_ENDINGS or path.is_file():
        return path
    is_method = squeezed(text) in map(squeezed, method_names())
    return config_files().get(text, path if path.is_dir() and not is_method else None)


def find_method(name: str, backbone: str, *, pocket: bool = False) -> Path:
    """The config with a method's settings for any words.

    Args:
        name: of the method, in any spelling (``LHT-CLIP``, ``lht_clip``, ``LHTCLIP``).
        backbone: CLIP's architecture. A method without settings for it has those of ViT-B/16.
        pocket: the settings for the pocket CLIP.

    Raises:
        ValueError: no such method, or one without settings for the pocket CLIP, or with settings for that only.
    """
    plain = {squeezed(known): known for known in method_names()}
    known = plain.get(squeezed(name))
    if known is None:
        raise ValueError(_no_such(name))
    ready = configs_on(_PLAIN_POCKET if pocket else _PLAIN)
    if known not in ready:
        kind = "the pocket CLIP (pretrained=pocket)" if pocket else "any but the pocket CLIP: set pretrained=pocket"
        others = f" Those that have: {', '.join(sorted(ready))}." if pocket else ""
        raise ValueError(f"The method {known} has no settings for {kind}.{others}")
    leaves = ready[known]
    return leaves.get(_tag(backbone)) or next(iter(leaves.values()))


def _no_such(name: str) -> str:
    """That something is neither a method nor a config."""
    methods, configs = method_names(), config_names()
    plain = {squeezed(known): known for known in [*configs, *methods]}
    close = [plain[found] for found in difflib.get_close_matches(squeezed(name), plain, n=3)]
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return (
        f"{name!r} is neither a method nor a config.{hint} Methods: {', '.join(methods)}. Configs: a path, or a name"
        f" such as sclip_vit-b16_voc21 ({len(configs)} in {config_folder()})."
    )


@cache
def configs_on(dataset: str) -> dict[str, dict[str, Path]]:
    """Method -> backbone -> config for a dataset; the usual backbone comes first."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(config_folder().glob(f"*/*_{dataset}.py")):
        match = _LEAF.fullmatch(path.stem)
        if match and match["folder"] == path.parent.name and match["dataset"] == dataset:
            name = "_".join(filter(None, (match["folder"], match["setting"])))
            found.setdefault(name.replace("-", "_"), {})[match["backbone"]] = path
    return found


def _usual(name: str) -> Path:
    """The config that a method's facts are read from."""
    leaves = configs_on(_PLAIN).get(name) or configs_on(_PLAIN_POCKET)[name]
    return leaves.get(_tag(_BACKBONE)) or next(iter(leaves.values()))


@cache
def facts_of(name: str) -> MethodFacts:
    """What :func:`list_methods` says of one method."""
    from mmengine.config import Config  # names are looked up where seconds count

    path = _usual(name)
    source = Path(__file__).parent / "methods" / f"{path.parent.name}.py"
    first = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    match = _FIRST_LINE.fullmatch(first)
    assert match, f"{source} does not begin with the method, its idea and its paper"
    arxiv = _ARXIV.search(match["paper"])
    url = f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else ""
    config = Config.fromfile(path)
    setting = name.removeprefix(path.parent.name).lstrip("_")
    companions = tuple(dict.fromkeys(_companions(config.model)))
    return MethodFacts(match["title"], match["idea"], match["paper"], url, companions, setting)


def _companions(model: Mapping[str, Any]) -> Iterator[str]:
    """Networks that a model's settings name beside CLIP, those of its base too."""
    if isinstance(model.get("base"), Mapping):
        yield from _companions(model["base"])
    for option, settings in model.items():
        if option == "masks" and settings:
            yield "recorded masks"
        elif option not in _NO_COMPANIONS and isinstance(settings, Mapping) and "type" in settings:
            yield " ".join(_words(settings["type"], settings.get("pretrained")))


def _words(*parts: object) -> Iterable[str]:
    return (str(part) for part in parts if part)


def squeezed(name: str) -> str:
    """A name without signs and capitals: ``LHT-CLIP`` and ``lht_clip`` -> ``lhtclip``; ``LPOSS+`` -> ``lpossplus``."""
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "plus"))


def _tag(backbone: str) -> str:
    """``ViT-B-16`` -> ``vit-b16``."""
    first, _, rest = backbone.lower().replace("/", "-").partition("-")
    return f"{first}-{rest.replace('-', '')}"
