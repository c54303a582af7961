"""Which weights and files a config needs, read from its settings; nothing is loaded."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip.pretrained
from huggingface_hub.utils import HFValidationError, validate_repo_id
from mmengine.config import Config

from mmseg_tfovss.encoders.checkpoint import names_a_file
from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.encoders.head_ranking import own_rankings
from mmseg_tfovss.encoders.pretrained import Network
from mmseg_tfovss.encoders.weights import POCKET_WEIGHTS
from mmseg_tfovss.encoders.weights import names_a_file as names_a_clip_file
from mmseg_tfovss.registry import MODELS

_ARCH, _TAG, _POCKET = "ViT-B-16", "openai", "pocket"  # defaults of CLIPImageEncoder, and the bundled networks
_CLIP_FILES = (open_clip.pretrained.HF_SAFE_WEIGHTS_NAME, open_clip.pretrained.HF_WEIGHTS_NAME)

_RANKING = (
    "it is made once for each CLIP, from labelled training images; docs/methods/lht_clip.md says how, and tfovss"
    " download --for another method's config fetches that CLIP"
)


@dataclass(frozen=True)
class Need:
    """One network's weights, or another file.

    Attributes:
        name: for people, e.g. ``CLIP ViT-B-16/openai``.
        network: as results and published numbers call it, e.g. ``ViT-B-16/openai``; empty: it is no network.
        option: of the config that names it.
        repository: on the Hugging Face hub; empty: a file or folder of this machine.
        path: that file or folder.
        patterns: files of the repository that are wanted; with ``first_only`` the first one that it has.
        required: groups of names; a complete copy has one of each.
        first_only: see ``patterns``.
        remedy: what to do if ``path`` does not exist; empty: put it there, or name another one.
    """

    name: str
    network: str
    option: str
    repository: str = ""
    path: Path | None = None
    patterns: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()
    first_only: bool = False
    remedy: str = ""


def needs_of(config: Config) -> list[Need]:
    """What a config needs: CLIP first, each repository and each file once.

    Raises:
        ValueError: a tag that open_clip does not know.
    """
    found = sorted(_of_settings(config.model, "model"), key=lambda need: need.option != "model.backbone.pretrained")
    return list({(need.repository or need.path): need for need in reversed(found)}.values())[::-1]


def clips_of(config: Config) -> list[Need]:
    """The CLIPs whose text towers a config asks for features."""
    return [need for settings in text_towers(config.model) for need in _clip(settings, "model.backbone.pretrained")]


def check_named(config: Config, options: Collection[str]) -> None:
    """Raise FileNotFoundError if a file or folder does not exist that one of these options of the config names."""
    for need in needs_of(config):
        if need.option in options and need.path and not need.path.exists():
            raise FileNotFoundError(f"{need.option}={need.path} does not exist: set {need.option} to an existing file.")


def text_towers(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Settings of the CLIPs whose text towers a method asks for features, those of the method that it is around too."""
    for option, settings in model.items():
        kind = _kind(settings)
        if kind is not None and issubclass(kind, CLIPImageEncoder):
            yield settings
        elif kind is not None and option == "base":
            yield from text_towers(settings)


def _of_settings(model: Mapping[str, Any], place: str) -> Iterator[Need]:
    for option in ("masks", "ranking"):
        if isinstance(model.get(option), str):
            yield Need(option, "", f"{place}.{option}", path=Path(model[option]).expanduser())
    if _ranks_heads(model):
        yield Need("ranking of heads", "", f"{place}.ranking", path=own_rankings(), remedy=_RANKING)
    for option, settings in model.items():
        kind, where = _kind(settings), f"{place}.{option}"
        if kind is None:
            continue
        network = getattr(kind, "network", None)
        if issubclass(kind, CLIPImageEncoder):
            yield from _clip(settings, f"{where}.pretrained")
        elif isinstance(network, Network):
            yield _companion(settings.get("pretrained") or network.default, network, f"{where}.pretrained")
        else:
            yield from _of_settings(settings, where)


def _ranks_heads(model: Mapping[str, Any]) -> bool:
    """Whether a method takes the best heads of a CLIP by a ranking that does not come with the package."""
    kind = _kind(model)
    options = inspect.signature(kind.__init__).parameters if kind else {}  # type: ignore[misc]
    if "ranking" not in options or model.get("ranking") or not model.get("k", options["k"].default):
        return False
    return bool(model.get("backbone", {}).get("pretrained", _TAG) != _POCKET)


def _kind(settings: object) -> type | None:
    """The class that settings are of; None where they are no settings of a component."""
    if not isinstance(settings, Mapping) or "type" not in settings:
        return None
    kind = settings["type"]
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return kind if isinstance(kind, type) else None


def _clip(settings: Mapping[str, Any], option: str) -> Iterator[Need]:
    arch, pretrained = settings.get("arch", _ARCH), settings.get("pretrained", _TAG)
    if pretrained is None:  # random weights
        return
    name = f"{arch}/{pretrained}"
    if pretrained == _POCKET:
        yield Need("CLIP of the pocket benchmark", name, option, path=POCKET_WEIGHTS)
    elif names_a_clip_file(arch, str(pretrained)):
        path = Path(pretrained).expanduser()
        yield Need(f"CLIP {path.name}", f"{arch}/{path.name}", option, path=path)
    else:
        repository, files = _repository(arch, pretrained, option)
        yield Need(f"CLIP {name}", name, option, repository, None, files, (files,), first_only=True)


def _repository(arch: str, tag: str, option: str) -> tuple[str, tuple[str, ...]]:
    """Where open_clip has the weights of a tag: a repository of the hub, and names that their file may have."""
    settings = open_clip.pretrained.get_pretrained_cfg(arch, tag)
    if not settings:
        tags = ", ".join(open_clip.pretrained.list_pretrained_tags_by_model(arch)) or "none"
        raise ValueError(f"{option}={tag!r} is neither an existing file nor an open_clip tag of {arch}. Tags: {tags}.")
    repository, _, file = settings.get("hf_hub", "").rpartition("/")
    if not repository:
        source = settings.get("url")
        raise ValueError(f"{arch}/{tag} is not on the hub: download {source} and set {option} to the file.")
    return repository, (file,) if file else _CLIP_FILES


def _companion(pretrained: str, network: Network, option: str) -> Need:
    name, path = f"{network.name} {pretrained}", Path(pretrained).expanduser()
    if pretrained == _POCKET:
        return Need(f"{network.name} of the pocket benchmark", pretrained, option, path=network.pocket or path)
    if path.is_dir() or (network.layout and names_a_file(pretrained)) or not _is_hub_id(pretrained):
        return Need(name, pretrained, option, path=path)
    return Need(name, pretrained, option, pretrained, None, network.patterns, network.required)


def _is_hub_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True
