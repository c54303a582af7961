"""Where in a file's content a CLIP is, and under which names: brought to OpenAI's, or refused.

    {"epoch": 3, "state_dict": {"module.visual.conv1.weight": ...}, "optimizer": ...}  ->  {"visual.conv1.weight": ...}

Three layouts are understood: OpenAI's and open_clip's (the same names), and transformers' ``CLIPModel``, whose query,
key and value layers are joined and whose projections are transposed, which changes no number.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_OPENAI, _TRANSFORMERS = "visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"
_WRAPPERS = re.compile(r"((module|_orig_mod|model|clip|clip_model|net|network)\.)*")
_DEEPEST = 3  # dictionaries inside each other
# What files hold beside the parameters, and what no feature depends on.
_EXTRAS = {"input_resolution", "context_length", "vocab_size", "attn_mask", "logit_bias", "n_averaged"}
_EXTRA_SUFFIXES = ("embeddings.position_ids",)
_RENAMED = (
    (r"^(vision|text)_model\.encoder\.layers\.", r"\1_model.transformer.resblocks."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.embeddings\.", "visual."),
    (r"^vision_model\.pre_lay(?:er|r)norm\.", "visual.ln_pre."),  # transformers' own spelling lacks two letters
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^vision_model\.", "visual."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_model\.(?:embeddings\.)?", ""),
    (r"^visual_projection\.weight$", "visual.proj"),
    (r"^text_projection\.weight$", "text_projection"),
)
_OTHERS = (
    ("visual.trunk.", "open_clip's names for a tower of timm"),
    ("text.transformer.", "open_clip's names for a separate text tower"),
    ("visual.layer1.", "OpenAI's names for a ResNet"),
    ("vision_model.encoder.layers.", "transformers' names for a vision tower without a class token"),
    ("text_model.encoder.layers.", "transformers' names for a text tower alone"),
    ("blocks.", "timm's names for a ViT"),
)


@dataclass(frozen=True)
class FoundCLIP:
    """A CLIP as it was found.

    Attributes:
        state: its tensors under OpenAI's names, in the dtypes of the file.
        layout: ``OpenAI`` or ``transformers``.
    """

    state: dict[str, Tensor]
    layout: str


@dataclass(frozen=True)
class _Candidate:
    place: str  # dotted names of the dictionaries around it
    prefix: str  # of its tensors' names
    tensors: Mapping[str, Tensor]

    def __str__(self) -> str:
        return ".".join(filter(None, (self.place, self.prefix.rstrip(".")))) or "the top level"


def find_clip(content: Mapping[str, Any], path: Path) -> FoundCLIP:
    """The one CLIP ViT in a file's content.

    Args:
        content: of :func:`mmseg_tfovss.encoders.weight_files.read_weights`: tensors by name, or dictionaries of them.
        path: the file, for messages.

    Raises:
        ValueError: there is none, there are several, or it is part of something else.
    """
    found = [candidate for place, tensors in dictionaries(content) for candidate in _candidates(place, tensors)]
    if not found:
        raise _no_clip(content, path)
    if len(found) > 1:
        raise ValueError(
            f"{path} holds {len(found)} networks, {' and '.join(map(str, found))}: save the one to use alone."
        )
    (candidate,) = found
    if not _WRAPPERS.fullmatch(candidate.prefix):
        raise ValueError(
            f"{path} holds a CLIP only as a part of another network ({candidate.prefix!r} stands before its names):"
            f" save the tensors of that part alone, named as in OpenAI's layout ({_OPENAI}, ...)."
        )
    names = {name: name.removeprefix(candidate.prefix) for name in candidate.tensors}
    names = {name: short for name, short in names.items() if not _is_extra(short)}
    state = {short: candidate.tensors[name] for name, short in names.items()}
    if len(state) < len(names):
        raise ValueError(f"{path} has names with and without {candidate.prefix!r}: save the network alone.")
    if _TRANSFORMERS in state:
        return FoundCLIP(_from_transformers(state), "transformers")
    if "visual.proj" not in state or any(name.startswith("text.") for name in state):
        raise _no_clip(state, path)
    return FoundCLIP(state, "OpenAI")


def dictionaries(content: Mapping[Any, Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dictionary of a file with its tensors, those inside other dictionaries too; each once."""
    waiting, seen = [("", content, 0)], {id(content)}
    while waiting:
        place, one, depth = waiting.pop(0)
        yield place, {name: value for name, value in one.items() if isinstance(name, str) and isinstance(value, Tensor)}
        for name, value in one.items():
            if isinstance(value, Mapping) and depth < _DEEPEST and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{place}.{name}".lstrip("."), value, depth + 1))


def _candidates(place: str, tensors: Mapping[str, Tensor]) -> Iterator[_Candidate]:
    for name in tensors:
        for marker in (_OPENAI, _TRANSFORMERS):
            if name == marker or name.endswith(f".{marker}"):
                yield _Candidate(place, name.removesuffix(marker), tensors)


def _is_extra(name: str) -> bool:
    return name in _EXTRAS or name.endswith(_EXTRA_SUFFIXES)


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        is_projection = name in ("visual.proj", "text_projection") and tensor.dim() == 2
        renamed[name] = tensor.T.contiguous() if is_projection else tensor
    return _join_projections(renamed)


def _join_projections(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value layers of each block as the one that OpenAI has; incomplete ones stay as they are."""
    for name in [name for name in state if ".self_attn.q_proj." in name]:
        parts = [name.replace(".q_proj.", f".{part}_proj.") for part in "qkv"]
        if all(part in state and state[part].shape == state[name].shape for part in parts):
            joined = torch.cat([state.pop(part) for part in parts])
            block, kind = name.split(".self_attn.q_proj.")
            state[f"{block}.attn.in_proj_{kind}"] = joined
    return state


def _no_clip(content: Mapping[Any, Any], path: Path) -> ValueError:
    names = sorted(name for _, tensors in dictionaries(content) for name in tensors)
    other = next((told for start, told in _OTHERS if any(name.startswith(start) for name in names)), None)
    told = f"it has {other}" if other else f"its first keys are {', '.join(names[:3]) or 'none'}"
    return ValueError(
        f"{path} does not hold a CLIP ViT in the key layout of OpenAI, open_clip or transformers ({told}): set"
        " model.backbone.pretrained to a file with 'visual.conv1.weight', 'visual.proj' and so on."
    )
