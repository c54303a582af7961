"""Where CLIP weights come from: an open_clip tag, a local file, the bundled pocket model, or random numbers."""

import difflib
import hashlib
import logging
import math
import pickle
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.pretrained import get_pretrained_cfg, is_pretrained_cfg
from torch import Tensor, nn

from mmseg_tfovss.encoders.text import CLIPTextEncoder

_HEAD_WIDTH = 64  # OpenAI derives the number of heads as width / 64
_WEIGHT_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors"}
_CONNECT_SECONDS = 5.0
_SMALLEST_ORIGINAL = 100 * 2**20  # bytes: OpenAI's files have 338 MB and more; hashing what is smaller says nothing
_SHA256 = re.compile(r"/([0-9a-f]{64})/")  # in the addresses of OpenAI's files
_OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")
POCKET_WEIGHTS = Path(__file__).parents[1] / "datasets" / "pocket" / "pocket_clip.safetensors"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedCLIP:
    """A CLIP with its provenance.

    Attributes:
        model: open_clip's CLIP, evaluation mode, float32, on the CPU.
        text: the text tower, ready to turn strings into features.
        name: architecture and weights, e.g. ``ViT-B-16/openai``. A local file gives its own name to the weights, save
            for the files that OpenAI distributes (``ViT-B-16.pt``, ...): they are known by their sha256, whatever they
            are called here, and have the tag's name. Other copies of the same weights (converted, or saved again)
            keep the file's name, and so stand apart from the tag's in the leaderboard: use the tag or OpenAI's file.
        weights_hash: sha256 over all tensors (names, shapes, float32 values).
    """

    model: CLIP
    text: CLIPTextEncoder
    name: str
    weights_hash: str


def load_clip(arch: str, pretrained: str | None, *, quick_gelu: bool | None = None) -> LoadedCLIP:
    """Load image and text tower of a plain CLIP ViT.

    Args:
        arch: an open_clip architecture, or ``auto`` (local files only).
        pretrained: tag, local file, ``pocket`` or ``None`` (random weights).
        quick_gelu: see :class:`~mmseg_tfovss.encoders.clip.CLIPImageEncoder`.

    Returns:
        The loaded CLIP and where it came from.

    Raises:
        ValueError: unknown architecture or tag, or weights that do not fit.
        FileNotFoundError: weights that are not on this machine.
    """
    original = None
    if pretrained is None:
        model, label = _random_clip(arch, quick_gelu), "random"
    elif pretrained == "pocket":
        arch = "auto"
        model, label = _clip_from_file(arch, POCKET_WEIGHTS, quick_gelu), pretrained
    elif Path(pretrained).suffix in _WEIGHT_SUFFIXES or Path(pretrained).is_file():
        path = Path(pretrained).expanduser()
        model, label = _clip_from_file(arch, path, quick_gelu), path.name
        original = _find_original(arch, path)
    else:
        model, label = _clip_from_tag(arch, pretrained, quick_gelu), pretrained
    tokenizer = open_clip.tokenize if arch == "auto" else open_clip.get_tokenizer(arch)
    name = original or f"{_describe(model) if arch == 'auto' else arch}/{label}"
    weights_hash = hash_tensors(model.state_dict())
    text = CLIPTextEncoder(model, tokenizer)
    return LoadedCLIP(model.eval(), text, name, weights_hash)


def _clip_from_tag(arch: str, tag: str, quick_gelu: bool | None) -> CLIP:
    _check_arch(arch)
    if not is_pretrained_cfg(arch, tag):
        valid = open_clip.list_pretrained_tags_by_model(arch)
        close = difflib.get_close_matches(tag, valid, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(
            f"model.backbone.pretrained={tag!r} is neither an existing file nor an open_clip tag of {arch}.{hint}"
            f" Tags: {', '.join(valid)}."
        )
    settings = get_pretrained_cfg(arch, tag)
    wanted = settings.get("quick_gelu", False) if quick_gelu is None else quick_gelu
    try:
        with quiet(), offline_if_unreachable():
            model = open_clip.create_model(arch, pretrained=tag, force_quick_gelu=wanted or "quickgelu" in arch)
    # The hub clients raise their own families of errors (connection, offline mode, HTTP status, missing entry).
    except Exception as error:
        source = settings.get("url") or f"https://huggingface.co/{settings.get('hf_hub', '').rstrip('/')}"
        raise FileNotFoundError(
            f"The weights {arch}/{tag} are not in the local cache and could not be downloaded"
            f" ({type(error).__name__}): download them from {source} on a machine with network access and set"
            " model.backbone.pretrained to the file."
        ) from error
    return _check_plain(model, arch)


def _find_original(arch: str, path: Path) -> str | None:
    """``arch/tag`` of which a file is, by its sha256, the very one that open_clip's registry names."""
    if path.stat().st_size < _SMALLEST_ORIGINAL:
        return None
    names = {}
    for known, tag in reversed(open_clip.list_pretrained()):  # of several names for one file the first one stays
        address = _SHA256.search(get_pretrained_cfg(known, tag).get("url", ""))
        if address and arch in (known, "auto"):
            names[address[1]] = f"{known}/{tag}"
    if not names:
        return None
    with path.open("rb") as file:
        return names.get(hashlib.file_digest(file, "sha256").hexdigest())


def _clip_from_file(arch: str, path: Path, quick_gelu: bool | None) -> CLIP:
    state = read_state_dict(path)
    if "visual.proj" not in state or "visual.conv1.weight" not in state:
        raise ValueError(
            f"{path} does not hold a CLIP ViT in OpenAI's or open_clip's key layout"
            f" (no 'visual.proj'; its first keys are {', '.join(sorted(state)[:3])})."
        )
    if quick_gelu is None:
        quick_gelu = True
        if arch != "auto":
            _logger.info("%s: QuickGELU assumed, as in OpenAI's models (quick_gelu=False for others).", path)
    model = None if arch == "auto" else _new_clip(arch, quick_gelu)
    try:
        model = model or _auto_clip(state, quick_gelu)
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    # What shapes that fit no CLIP lead to: wrong ranks, absent keys, zero heads, sizes that do not divide.
    except (RuntimeError, ValueError, KeyError, IndexError, AssertionError, ZeroDivisionError) as error:
        detail = str(error).splitlines()[-1].strip()
        raise ValueError(f"The weights in {path} do not fit model.backbone.arch={arch!r}: {detail}") from error
    if missing or unexpected:
        raise ValueError(
            f"The weights in {path} do not fit model.backbone.arch={arch!r}: {len(missing)} keys are missing"
            f" ({', '.join(missing[:3])}), {len(unexpected)} are unknown ({', '.join(unexpected[:3])})."
        )
    return model


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a weight file as float32 tensors, without running any code it may contain.

    Accepts safetensors, ``torch.save`` files (``weights_only=True``; bare or under ``state_dict``, with or without
    the ``module.`` prefix) and the TorchScript archives that OpenAI distributes.

    Args:
        path: .pt, .pth, .bin or .safetensors file.

    Returns:
        Parameter name -> tensor.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged or holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"Weights file {path} not found: set model.backbone.pretrained to an existing .pt or .safetensors file"
            " or to an open_clip tag."
        )
    try:
        state = {str(key).removeprefix("module."): value for key, value in _read_any(path).items()}
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        raise ValueError(
            f"{path} is not a readable weights file: it is damaged, incomplete, or pickled with other objects than"
            f" tensors ({type(error).__name__}). Download it again, or save its state_dict alone."
        ) from error
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor) and key not in _OPENAI_EXTRAS}
    return {key: value.detach().float() for key, value in tensors.items()}


def _read_any(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        if "TorchScript" not in str(error):
            raise
        state = torch.jit.load(path, map_location="cpu").state_dict()
    if not isinstance(state, dict):
        raise TypeError(f"it holds a {type(state).__name__}, not a dictionary of tensors")
    return state.get("state_dict", state)


def _auto_clip(state: dict[str, Tensor], quick_gelu: bool) -> CLIP:
    """The architecture that the tensor shapes imply, heads = width / 64."""
    width, _, patch, _ = state["visual.conv1.weight"].shape
    side = math.isqrt(len(state["visual.positional_embedding"]) - 1)
    text_width = len(state["ln_final.weight"])
    # On the meta device: no time is spent on random numbers that the weights replace.
    with torch.device("meta"):
        return CLIP(
            embed_dim=state["visual.proj"].shape[1],
            vision_cfg=CLIPVisionCfg(
                layers=_count_blocks(state, "visual."),
                width=width,
                head_width=_HEAD_WIDTH,
                patch_size=patch,
                image_size=side * patch,
            ),
            text_cfg=CLIPTextCfg(
                context_length=len(state["positional_embedding"]),
                vocab_size=len(state["token_embedding.weight"]),
                width=text_width,
                heads=max(text_width // _HEAD_WIDTH, 1),
                layers=_count_blocks(state, ""),
            ),
            quick_gelu=quick_gelu,
        )


def _count_blocks(state: dict[str, Tensor], prefix: str) -> int:
    start = f"{prefix}transformer.resblocks."
    return len({key.removeprefix(start).split(".")[0] for key in state if key.startswith(start)})


def _new_clip(arch: str, quick_gelu: bool) -> CLIP:
    _check_arch(arch)
    with quiet():
        return _check_plain(open_clip.create_model(arch, force_quick_gelu=quick_gelu), arch)


def _random_clip(arch: str, quick_gelu: bool | None) -> CLIP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _new_clip(arch, True if quick_gelu is None else quick_gelu)


def _check_arch(arch: str) -> None:
    valid = open_clip.list_models()
    if arch in valid:
        return
    if arch == "auto":
        raise ValueError("model.backbone.arch='auto' needs a local weights file in model.backbone.pretrained.")
    close = difflib.get_close_matches(arch, valid, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"model.backbone.arch={arch!r} is not an open_clip architecture.{hint}")


def _check_plain(model: nn.Module, arch: str) -> CLIP:
    if isinstance(model, CLIP) and hasattr(model.visual, "class_embedding"):
        visual = model.visual
        class_token = visual.pool_type == "tok" and visual.attn_pool is None and not visual.final_ln_after_pool
        causal_text = model.attn_mask is not None and model.text_pool_type == "argmax"
        if class_token and causal_text:
            return model
    raise ValueError(f"model.backbone.arch={arch!r} is not a plain CLIP ViT, which the methods need.")


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Let the hub client look into its cache only when the hub cannot be reached: it would retry for a minute."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    if not _hub_reachable():
        huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


def _hub_reachable() -> bool:
    endpoint = urlsplit(huggingface_hub.constants.ENDPOINT)
    if getproxies().get(endpoint.scheme):
        return True  # a direct connection says nothing about the proxy
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' own warnings of what is either wanted here or reported in one sentence."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _describe(model: CLIP) -> str:
    visual = model.visual
    blocks = len(visual.transformer.resblocks)
    return f"ViT-{visual.conv1.out_channels}x{blocks}-{visual.conv1.kernel_size[0]}"


def hash_tensors(state: dict[str, Tensor]) -> str:
    """sha256 of tensors' names, shapes and float32 values, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().float().contiguous()
        digest.update(f"{key}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()
