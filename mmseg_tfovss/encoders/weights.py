"""Where CLIP weights come from: an open_clip tag, a local file, the bundled pocket model, or random numbers."""

import difflib
import hashlib
import logging
import math
import re
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.pretrained import get_pretrained_cfg, is_pretrained_cfg
from torch import Tensor, nn

from mmseg_tfovss.encoders.hub import offline_if_unreachable, quiet
from mmseg_tfovss.encoders.text import CLIPTextEncoder
from mmseg_tfovss.encoders.weight_files import hash_tensors, read_state_dict

_HEAD_WIDTH = 64  # OpenAI derives the number of heads as width / 64
_WEIGHT_SUFFIXES = {".pt", ".pth", ".bin", ".safetensors"}
_SMALLEST_ORIGINAL = 100 * 2**20  # bytes: OpenAI's files have 338 MB and more; hashing what is smaller says nothing
_SHA256 = re.compile(r"/([0-9a-f]{64})/")  # in the addresses of OpenAI's files
POCKET_WEIGHTS = Path(__file__).parents[1] / "pocket" / "pocket_clip.safetensors"
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


def _describe(model: CLIP) -> str:
    visual = model.visual
    blocks = len(visual.transformer.resblocks)
    return f"ViT-{visual.conv1.out_channels}x{blocks}-{visual.conv1.kernel_size[0]}"
