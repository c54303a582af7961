"""Where CLIP weights come from: an open_clip tag, a local file, the bundled pocket model, or random numbers."""

import difflib
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import open_clip
import torch
from mmengine.dist import is_main_process
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.pretrained import get_pretrained_cfg, is_pretrained_cfg
from torch import Tensor, nn

from mmseg_tfovss.checks import check_option
from mmseg_tfovss.encoders.absent import AbsentWeightsError
from mmseg_tfovss.encoders.facts_beside import OPENAI_MEAN, OPENAI_STD, Colour, Facts, facts_beside, statistics_of
from mmseg_tfovss.encoders.head_width import Shapes, find_head_width, find_text_heads, shapes_of
from mmseg_tfovss.encoders.hub import offline_if_unreachable, quiet
from mmseg_tfovss.encoders.layouts import find_clip
from mmseg_tfovss.encoders.text import CLIPTextEncoder
from mmseg_tfovss.encoders.weight_files import as_float32, hash_tensors, read_weights

_WEIGHT_SUFFIXES = {".pt", ".pth", ".bin", ".ckpt", ".safetensors"}
_SMALLEST_ORIGINAL = 100 * 2**20  # bytes: OpenAI's files have 338 MB and more; hashing what is smaller says nothing
_TEXT_KEYS = ("token_embedding.weight", "positional_embedding", "ln_final.weight", "text_projection")
_VOCABULARY = 49408  # tokens of CLIP's tokenizer
_SHA256 = re.compile(r"/([0-9a-f]{64})/")  # in the addresses of OpenAI's files
_READ_IT = (
    " Set model.backbone.arch=auto to read the architecture from the file (mmseg_tfovss.load: backbone='auto'), or name"
    " the architecture that it has."
)
POCKET_WEIGHTS = Path(__file__).parents[1] / "pocket" / "pocket_clip.safetensors"
_logger = logging.getLogger(__name__)
_warned: set[Path] = set()


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
        mean: per channel, RGB, of the images that the weights were trained on, of values in [0, 1]: the tag's own, or
            what a config beside the file says, or OpenAI's.
        std: likewise.
        assumptions: what a file does not say and was assumed, each in a few words; none for tags.
        input_files: configs beside the file, read or looked for.
    """

    model: CLIP
    text: CLIPTextEncoder
    name: str
    weights_hash: str
    mean: Colour = OPENAI_MEAN
    std: Colour = OPENAI_STD
    assumptions: tuple[str, ...] = ()
    input_files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Filled:
    """A network with what is known of its weights."""

    model: CLIP
    facts: Facts = field(default_factory=Facts)
    original: str | None = None
    assumptions: tuple[str, ...] = ()


def load_clip(
    arch: str, pretrained: str | None, *, quick_gelu: bool | None = None, head_width: int | None = None
) -> LoadedCLIP:
    """Load image and text tower of a plain CLIP ViT.

    Args:
        arch: an open_clip architecture, or ``auto`` (local files only).
        pretrained: tag, local file, ``pocket`` or ``None`` (random weights).
        quick_gelu: see :class:`~mmseg_tfovss.encoders.clip.CLIPImageEncoder`.
        head_width: likewise.

    Returns:
        The loaded CLIP and where it came from.

    Raises:
        ValueError: unknown architecture or tag, weights that do not fit, or an option that would not act.
        FileNotFoundError: weights that are not on this machine.
    """
    is_file = pretrained not in (None, "pocket") and names_a_file(arch, str(pretrained))
    _check_options(arch, quick_gelu, head_width, is_file=is_file)
    if pretrained is None:
        filled, label = _Filled(_random_clip(arch, quick_gelu)), "random"
    elif pretrained == "pocket":
        arch, label = "auto", pretrained
        filled = _clip_from_file(arch, POCKET_WEIGHTS, True if quick_gelu is None else quick_gelu, None)
    elif is_file:
        path = Path(pretrained).expanduser()
        filled, label = _clip_from_file(arch, path, quick_gelu, head_width), path.name
    else:
        filled, label = _clip_from_tag(arch, pretrained, quick_gelu), pretrained
    model = filled.model
    tokenizer = open_clip.tokenize if arch == "auto" else open_clip.get_tokenizer(arch)
    return LoadedCLIP(
        model.eval(),
        CLIPTextEncoder(model, tokenizer),
        filled.original or f"{_describe(model) if arch == 'auto' else arch}/{label}",
        hash_tensors(model.state_dict()),
        filled.facts.mean,
        filled.facts.std,
        filled.assumptions,
        filled.facts.files,
    )


def names_a_file(arch: str, pretrained: str) -> bool:
    """Whether a name is a path, rather than a tag; a folder does not hide a tag of the same name."""
    path = Path(pretrained).expanduser()
    if path.suffix in _WEIGHT_SUFFIXES or path.is_file() or pretrained.endswith(".json"):
        return True
    return "/" in pretrained or (path.is_dir() and not is_pretrained_cfg(arch, pretrained))


def _check_options(arch: str, quick_gelu: bool | None, head_width: int | None, *, is_file: bool) -> None:
    """Refuse options that would not act, or are none."""
    check_option("model.backbone.quick_gelu", quick_gelu, (None, True, False))
    if head_width is not None:
        if arch != "auto" or not is_file:
            raise ValueError(
                f"model.backbone.head_width={head_width!r} acts only with model.backbone.arch='auto' and a local file:"
                " an architecture has its own, so leave it out."
            )
        if not isinstance(head_width, int) or isinstance(head_width, bool) or head_width < 1:
            raise ValueError(f"model.backbone.head_width must be a whole number, at least 1, but got {head_width!r}.")
    if quick_gelu is False and _has_quick_gelu(arch):
        raise ValueError(
            f"model.backbone.quick_gelu=False contradicts model.backbone.arch={arch!r}: take the architecture"
            f" {arch.removesuffix('-quickgelu')!r}, or leave quick_gelu out."
        )


def _has_quick_gelu(arch: str) -> bool:
    return arch in open_clip.list_models() and bool(open_clip.get_model_config(arch).get("quick_gelu", False))


def _clip_from_tag(arch: str, tag: str, quick_gelu: bool | None) -> _Filled:
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
            model = open_clip.create_model(arch, pretrained=tag, force_quick_gelu=wanted or _has_quick_gelu(arch))
    # The hub clients raise their own families of errors (connection, offline mode, HTTP status, missing entry).
    except Exception as error:
        raise AbsentWeightsError(arch, tag, type(error).__name__) from error
    return _Filled(_check_plain(model, arch), _facts_of_tag(arch, tag))


def _find_original(arch: str, path: Path) -> tuple[str, str] | None:
    """Architecture and tag of which a file is, by its sha256, the very one that open_clip's registry names."""
    if path.stat().st_size < _SMALLEST_ORIGINAL:
        return None
    names = {}
    for known, tag in reversed(open_clip.list_pretrained()):  # of several names for one file the first one stays
        address = _SHA256.search(get_pretrained_cfg(known, tag).get("url", ""))
        if address and arch in (known, "auto"):
            names[address[1]] = (known, tag)
    if not names:
        return None
    with path.open("rb") as file:
        return names.get(hashlib.file_digest(file, "sha256").hexdigest())


def _clip_from_file(arch: str, path: Path, quick_gelu: bool | None, head_width: int | None) -> _Filled:
    found = find_clip(read_weights(path), path)
    state = as_float32(found.state, path)
    with _fitting(path, arch):
        _check_text_tower(state)
        shapes = shapes_of(state)
    original = _find_original(arch, path)
    if original:
        facts = _facts_of_tag(*original)
    else:
        facts = Facts() if path == POCKET_WEIGHTS else facts_beside(path, found.layout, shapes)
    assumed = [f"OpenAI's {' and '.join(facts.unsaid)}"] if facts.unsaid else []
    if quick_gelu is None:
        quick_gelu = _has_quick_gelu(arch) or facts.quick_gelu
    if is_activation_assumed := quick_gelu is None:
        quick_gelu, assumed = True, ["QuickGELU", *assumed]
    if arch == "auto":
        _check_vocabulary(path, state)
        head_width = _choose_head_width(path, shapes, head_width or facts.head_width)
        facts = replace(facts, text_heads=facts.text_heads or _choose_text_heads(path, shapes))
    model = None if arch == "auto" else _new_clip(arch, quick_gelu)
    hint = "" if arch == "auto" else _READ_IT
    with _fitting(path, arch, hint):
        model = model or _auto_clip(state, shapes, head_width, facts.text_heads, quick_gelu)
        missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if missing or unexpected:
        raise ValueError(
            f"The weights in {path} do not fit model.backbone.arch={arch!r}: {len(missing)} keys are missing"
            f" ({', '.join(missing[:3])}), {len(unexpected)} are unknown ({', '.join(unexpected[:3])}).{hint}"
        )
    # Nearly every CLIP has OpenAI's mean and std, so these alone stand in the result without a warning.
    if is_activation_assumed:
        _warn_once(path, facts.unsaid)
    assumptions = tuple(f"{what} for {path.name}" for what in assumed)
    return _Filled(model, facts, "/".join(original) if original else None, assumptions)


@contextmanager
def _fitting(path: Path, arch: str, hint: str = "") -> Iterator[None]:
    """Say in one sentence what shapes that fit no CLIP, or another one, lead to."""
    try:
        yield
    # Wrong ranks, absent keys, zero heads, sizes that do not divide.
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError, AssertionError, ArithmeticError) as error:
        detail = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        if isinstance(error, KeyError):
            detail += " is missing."
        raise ValueError(f"The weights in {path} do not fit model.backbone.arch={arch!r}: {detail}{hint}") from error


def _facts_of_tag(arch: str, tag: str) -> Facts:
    settings = get_pretrained_cfg(arch, tag)
    mean, std = statistics_of(settings, f"open_clip's tag {arch}/{tag}")
    return Facts(mean, std, quick_gelu=settings.get("quick_gelu", False))


def _check_text_tower(state: Mapping[str, Tensor]) -> None:
    """Refuse an image tower alone."""
    if not any(name in _TEXT_KEYS or name.startswith("transformer.") for name in state):
        raise ValueError(
            f"they are an image tower alone, and the text tower ({', '.join(_TEXT_KEYS)} and so on) is missing: set"
            " model.backbone.pretrained to a file with both towers."
        )


def _check_vocabulary(path: Path, state: dict[str, Tensor]) -> None:
    """Refuse a text tower that was trained with another tokenizer than CLIP's: it would read other words."""
    words = state.get("token_embedding.weight")
    if words is not None and words.dim() == 2 and len(words) != _VOCABULARY:
        raise ValueError(
            f"The text tower in {path} has {len(words)} tokens, but CLIP's tokenizer has {_VOCABULARY}: set"
            " model.backbone.arch to its architecture."
        )


def _choose_head_width(path: Path, shapes: Shapes, head_width: int | None) -> int:
    if head_width is None:
        try:
            return find_head_width(shapes)
        except ValueError as error:
            raise ValueError(f"{path}: {error}.") from error
    if shapes.width % head_width:
        raise ValueError(
            f"model.backbone.head_width={head_width} does not divide the image tower's width {shapes.width} in {path}:"
            " set it to the width of one head."
        )
    return head_width


def _choose_text_heads(path: Path, shapes: Shapes) -> int:
    try:
        return find_text_heads(shapes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}.") from error


def _warn_once(path: Path, unsaid: Sequence[str]) -> None:
    if path.resolve() not in _warned and is_main_process():
        remedy = "set model.backbone.quick_gelu to True or False"
        if unsaid:
            remedy += f", and say {' and '.join(unsaid)} in an open_clip_config.json beside the file"
        _logger.warning(
            "warning: %s does not say its %s: %s assumed, as in OpenAI's models (%s).",
            path,
            " and ".join(("activation", *unsaid)) if len(unsaid) < 2 else "activation, mean and std",
            " and ".join(("QuickGELU", *(f"OpenAI's {' and '.join(unsaid)}" for _ in unsaid[:1]))),
            remedy,
        )
    _warned.add(path.resolve())


def _auto_clip(
    state: dict[str, Tensor], shapes: Shapes, head_width: int | None, heads: int | None, quick_gelu: bool
) -> CLIP:
    """The architecture that the tensor shapes imply."""
    # On the meta device: no time is spent on random numbers that the weights replace.
    with torch.device("meta"):
        return CLIP(
            embed_dim=shapes.embed_dim,
            vision_cfg=CLIPVisionCfg(
                layers=shapes.layers,
                width=shapes.width,
                head_width=head_width,
                mlp_ratio=_mlp_ratio(state, "visual."),
                patch_size=shapes.patch_size,
                image_size=shapes.image_size,
            ),
            text_cfg=CLIPTextCfg(
                context_length=len(state["positional_embedding"]),
                vocab_size=len(state["token_embedding.weight"]),
                width=shapes.text_width,
                heads=heads,
                layers=shapes.text_layers,
                mlp_ratio=_mlp_ratio(state, ""),
            ),
            quick_gelu=quick_gelu,
        )


def _mlp_ratio(state: dict[str, Tensor], prefix: str) -> float:
    """Such that the width times it, rounded down, is the width of the first block's hidden layer."""
    hidden, width = state[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"].shape
    return (hidden + 0.5) / width


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
