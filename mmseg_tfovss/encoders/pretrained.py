"""Frozen networks of transformers: found, downloaded and read, or one sentence about what is missing.

From a folder in transformers' layout, which the hub has for every network, or from the authors' own file.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub.utils import HFValidationError, validate_repo_id

from mmseg_tfovss.encoders.checkpoint import Layout, find_network, names_a_file
from mmseg_tfovss.encoders.hub import offline_if_unreachable, quiet
from mmseg_tfovss.encoders.torch_archives import check_torch_file
from mmseg_tfovss.encoders.weight_files import read_weights
from mmseg_tfovss.extras import import_extra

POCKET = Path(__file__).parents[1] / "pocket"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Network:
    """What is looked for.

    Attributes:
        name: for messages, e.g. ``SAM``.
        place: option that holds its config where a method does not say another, e.g. ``model.sam``.
        default: hub id.
        model_type: what config.json must say.
        model_class: name of transformers' class.
        options: of its constructor.
        contents: what its folder must hold, for messages.
        patterns: the files that are downloaded.
        required: groups of names; a complete folder has one of each.
        layout: of the authors' own file, where one can be read.
        pocket: a small network in that layout, which comes with the package under the name ``pocket``.
    """

    name: str
    place: str
    default: str
    model_type: str
    model_class: str
    options: Mapping[str, Any] = field(default_factory=dict)
    contents: str = "config.json and model.safetensors"
    patterns: tuple[str, ...] = ("config.json", "model*.safetensors*")
    required: tuple[tuple[str, ...], ...] = (("config.json",), _WEIGHTS)
    layout: Layout | None = None
    pocket: Path | None = None

    @property
    def option(self) -> str:
        """The option that names it, for messages, e.g. ``model.sam.pretrained``."""
        return f"{config_place(self.place)}.pretrained"


_place: ContextVar[str] = ContextVar("place", default="")


@contextmanager
def built_from(place: str) -> Iterator[None]:
    """Networks that are built in this block have their config at this place, e.g. ``model.graph``: messages say so."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def config_place(default: str) -> str:
    """Where the config of the network stands that is being built."""
    return _place.get() or default


def load_frozen(pretrained: str, network: Network, **unsaid: object) -> Any:  # noqa: ANN401 - a class of transformers'
    """Load a network, float32, on the CPU.

    Args:
        pretrained: a hub id, a folder with config.json and model.safetensors, the authors' own file, or ``pocket``.
        network: what it must be.
        **unsaid: options that the authors' file does not say and a folder does; ``None``: not given.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: transformers is not installed, the folder or file holds something else, or an option would not act.
    """
    import_extra("transformers", network.name)  # before anything is downloaded
    if pretrained == "pocket":
        if not network.pocket:
            raise ValueError(
                f"{network.option}: there is no pocket {network.name}: name a folder or a hub id such as"
                f" {network.default}."
            )
        pretrained = str(network.pocket)
    if network.layout and names_a_file(pretrained):
        return _finite(_read_file(Path(pretrained).expanduser(), network, network.layout, unsaid), pretrained, network)
    for name, value in unsaid.items():
        if value is not None:
            raise ValueError(
                f"{config_place(network.place)}.{name}={value!r} acts only with the authors' own file: the config.json"
                f" of {pretrained} says it, so leave it out."
            )
    return _finite(_read(_find_folder(pretrained, network), network), pretrained, network)


def shown_name(pretrained: str, kind: type) -> str:
    """The name of a network in results: what was loaded, with its kind where that does not tell it: DINO(pocket)."""
    return f"{kind.__name__}(pocket)" if pretrained == "pocket" else pretrained


def _finite(model: Any, pretrained: str, network: Network) -> Any:  # noqa: ANN401 - a class of transformers'
    """The network, unless a number of it is none: that would show in labels only, or nowhere."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(
                f"{network.option}: {pretrained} is damaged: its tensor {name} holds numbers that are not finite."
                f" Download it again, or take a {network.name} such as {network.default}."
            )
    return model


def check_config(pretrained: str, network: Network, **facts: tuple[object, object]) -> None:
    """Refuse a network that would fail, or be wrong, once it runs.

    Args:
        pretrained: where it is from.
        network: what it must be.
        **facts: name of a fact -> what its config says, and what it must be.

    Raises:
        ValueError: the first fact that is another one is named.
    """
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise ValueError(
                f"{network.option}: {pretrained} is a {network.name} of another shape (its config.json says {name}"
                f" {found!r}, but it must be {wanted!r}): take one such as {network.default}."
            )


def _find_folder(pretrained: str, network: Network) -> Path:
    """The local folder of a hub id or path, with all files that are needed."""
    folder = Path(pretrained).expanduser()
    if folder.is_file():
        raise ValueError(
            f"{network.option} must be a folder or a hub id, but {folder} is a file: name a folder with config.json"
            f" and model.safetensors in transformers' layout, as on https://huggingface.co/{network.default}."
        )
    source = pretrained
    if folder.is_dir():
        source = network.default
    else:
        folder = download_folder(pretrained, network)
    weights = any((folder / name).is_file() for name in _WEIGHTS)
    if not weights or not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"The {network.name} folder {folder} has no {'config.json' if weights else _WEIGHTS[0]}: download"
            f" config.json and model.safetensors from https://huggingface.co/{source} into one folder and set"
            f" {network.option} to it."
        )
    return folder


def download_folder(hub_id: str, network: Network) -> Path:
    """The local copy of a hub repository's files, from the cache or the network.

    Args:
        hub_id: e.g. ``facebook/sam-vit-base``.
        network: what it is for.

    Raises:
        FileNotFoundError: no such id, or it is neither cached nor downloadable.
    """
    try:
        validate_repo_id(hub_id)
    except HFValidationError as error:
        raise FileNotFoundError(
            f"Folder {hub_id} not found: set {network.option} to an existing folder with {network.contents}, or to a"
            f" hub id such as {network.default}."
        ) from error
    try:
        with quiet(), offline_if_unreachable():
            return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(network.patterns)))
    # The hub client raises its own families of errors (connection, offline mode, HTTP status, missing entry).
    except Exception as error:
        raise FileNotFoundError(
            f"The {network.name} weights {hub_id} are no folder here, not in the local cache, and could not be"
            f" downloaded ({type(error).__name__}): download {network.contents} from"
            f" https://huggingface.co/{hub_id} on a machine with network access into one folder and set"
            f" {network.option} to it."
        ) from error


def _read(folder: Path, network: Network) -> Any:  # noqa: ANN401
    transformers = import_extra("transformers", network.name)
    try:
        if not list(folder.glob("model*.safetensors*")):
            for path in folder.glob("pytorch_model*.bin"):
                check_torch_file(path)
        with quiet(), no_progress_bar():
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if config.model_type != network.model_type:
                raise TypeError(f"its config.json describes a {config.model_type}")
            model, report = getattr(transformers, network.model_class).from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                weights_only=True,
                dtype=torch.float32,
                output_loading_info=True,
                **network.options,
            )
        if report["missing_keys"]:
            raise KeyError(f"{len(report['missing_keys'])} parameters are missing, {min(report['missing_keys'])} first")
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        detail = str(error).strip("'\"").splitlines() or [type(error).__name__]
        raise ValueError(
            f"{network.option}: {folder} does not hold a readable {network.name} in transformers' layout ({detail[0]})."
            f" Download {network.default} again, or name another folder."
        ) from error
    return model


def _read_file(path: Path, network: Network, layout: Layout, unsaid: Mapping[str, object]) -> Any:  # noqa: ANN401
    transformers = import_extra("transformers", network.name)
    if not path.is_file():
        raise FileNotFoundError(
            f"{network.name} file {path} not found: set {network.option} to an existing file in the key layout of"
            f" {layout.repository}, a folder with {network.contents}, or a hub id such as {network.default}."
        )
    content = read_weights(path, network.option)
    try:
        settings, state = layout.convert(find_network(content, layout, path), **unsaid)
        with quiet(), no_progress_bar():
            config = transformers.AutoConfig.for_model(network.model_type, **settings)
            model, report = getattr(transformers, network.model_class).from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # which are then named here
                **network.options,
            )
        for kind in ("missing", "unexpected", "mismatched"):
            if names := sorted(map(str, report[f"{kind}_keys"])):
                raise ValueError(f"{len(names)} parameters are {kind}, {names[0]} first")
    except ValueError as error:
        raise ValueError(
            f"{network.option}: {path} does not hold a {network.name} in the key layout of {layout.repository}"
            f" ({str(error).rstrip('.')}). Name its file, a folder in transformers' layout, or a hub id such as"
            f" {network.default}."
        ) from error
    return model


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Transformers shows a bar for reading a file from disk."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the hub client warns when its bars are set by an environment variable
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if shown:
                logging.enable_progress_bar()
