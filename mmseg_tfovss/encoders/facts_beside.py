"""What the folder of a weights file says of it.

``open_clip_config.json`` has mean and std (``preprocess_cfg``), and the activation and the heads (``model_cfg``). For
files in transformers' layout ``config.json`` has activation and heads, and ``preprocessor_config.json`` mean and std.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from mmseg_tfovss.encoders.head_width import Shapes
from mmseg_tfovss.extras import import_extra

Colour = tuple[float, float, float]
"""One number each for red, green and blue."""

OPENAI_MEAN: Colour = OPENAI_DATASET_MEAN
OPENAI_STD: Colour = OPENAI_DATASET_STD
_STATISTICS = ("mean", "std")


@dataclass(frozen=True)
class Facts:
    """What is known of weights beside their tensors; ``None``: not said.

    Attributes:
        mean: of the images that they were trained on, of values in [0, 1].
        std: likewise.
        quick_gelu: whether the activation is QuickGELU.
        head_width: of the image tower.
        text_heads: number of heads of the text tower.
        unsaid: which of mean and std no config says, so that they are OpenAI's by assumption.
        files: where this was looked for, there or not: a config that appears later makes a result out of date.
    """

    mean: Colour = OPENAI_MEAN
    std: Colour = OPENAI_STD
    quick_gelu: bool | None = None
    head_width: int | None = None
    text_heads: int | None = None
    unsaid: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def facts_beside(path: Path, layout: str, shapes: Shapes) -> Facts:
    """What the files beside a weights file say of it.

    Args:
        path: the weights file.
        layout: of its tensors, ``OpenAI`` or ``transformers``.
        shapes: of its tensors; a config of other shapes is another network's.

    Raises:
        ValueError: such a file is damaged, says something impossible, or is another network's.
    """
    names = ("open_clip_config.json", "config.json", "preprocessor_config.json")
    whole, towers, images = (path.with_name(name) for name in names)
    facts = _of_open_clip(_read(whole), whole, path, shapes) if whole.is_file() else Facts(unsaid=_STATISTICS)
    if layout != "transformers":
        return replace(facts, files=(whole,))
    if towers.is_file() and _read(towers).get("model_type") == "clip":
        facts = _of_transformers(_read(towers), towers, path, shapes, facts)
    if images.is_file():
        content = _read(images)
        said = {"mean": content.get("image_mean", facts.mean), "std": content.get("image_std", facts.std)}
        mean, std = statistics_of(said, images)
        unsaid = tuple(name for name in facts.unsaid if f"image_{name}" not in content)
        facts = replace(facts, mean=mean, std=std, unsaid=unsaid)
    return replace(facts, files=(whole, towers, images))


def statistics_of(settings: Mapping[str, Any], source: str | Path) -> tuple[Colour, Colour]:
    """Mean and std of a preprocessing config, OpenAI's where it does not say them.

    Args:
        settings: with ``mean`` and ``std``, of values in [0, 1].
        source: where it is from, for messages.

    Raises:
        ValueError: they are not three numbers in range.
    """
    mean, std = settings.get("mean", OPENAI_MEAN), settings.get("std", OPENAI_STD)
    return _three(mean, "mean", 0.0, source), _three(std, "std", 1e-6, source)


def _of_open_clip(content: Mapping[str, Any], config: Path, path: Path, shapes: Shapes) -> Facts:
    images = _section(content, "preprocess_cfg", config)
    mean, std = statistics_of(images, config)
    model = _section(content, "model_cfg", config)
    vision, text = _section(model, "vision_cfg", config), _section(model, "text_cfg", config)
    said = {
        "embed_dim": model.get("embed_dim"),
        "layers": vision.get("layers"),
        "width": vision.get("width"),
        "patch_size": vision.get("patch_size"),
        "text_layers": text.get("layers"),
        "text_width": text.get("width"),
    }
    _check_same_network(said, config, path, shapes)
    # A whole model_cfg that does not say quick_gelu means GELU: so open_clip builds it.
    quick_gelu = model.get("quick_gelu", False if vision and text else None)
    if quick_gelu not in (True, False, None):
        raise ValueError(f"{config}: quick_gelu must be true or false, but is {quick_gelu!r}.")
    head_width = _divisor(shapes.width, vision.get("head_width", 64), "head_width", config) if vision else None
    heads = _divisor(shapes.text_width, text.get("heads", 8), "heads", config) if text else None
    return Facts(
        mean=mean,
        std=std,
        quick_gelu=quick_gelu,
        head_width=head_width,
        text_heads=heads,
        unsaid=tuple(name for name in _STATISTICS if name not in images),
    )


def _of_transformers(content: dict[str, Any], config: Path, path: Path, shapes: Shapes, facts: Facts) -> Facts:
    transformers = import_extra("transformers", f"Reading {config}")
    try:
        whole = transformers.CLIPConfig.from_dict(content)
        vision, text = whole.vision_config, whole.text_config
        activations = {vision.hidden_act, text.hidden_act}
    except Exception as error:  # transformers' own checks raise whatever they stumble over
        raise ValueError(f"{config} is not the config.json of a CLIP ({type(error).__name__}).") from error
    said = {
        "embed_dim": whole.projection_dim,
        "layers": vision.num_hidden_layers,
        "width": vision.hidden_size,
        "patch_size": vision.patch_size,
        "text_layers": text.num_hidden_layers,
        "text_width": text.hidden_size,
    }
    _check_same_network(said, config, path, shapes)
    if not activations <= {"quick_gelu", "gelu"} or len(activations) > 1:
        raise ValueError(
            f"{config}: hidden_act must be quick_gelu or gelu, the same in both towers, but is"
            f" {' and '.join(sorted(map(str, activations)))}."
        )
    heads = _divisor(shapes.width, vision.num_attention_heads, "num_attention_heads", config)
    return replace(
        facts,
        quick_gelu=activations == {"quick_gelu"},
        head_width=shapes.width // heads,
        text_heads=_divisor(shapes.text_width, text.num_attention_heads, "num_attention_heads", config),
    )


def _check_same_network(said: Mapping[str, object], config: Path, path: Path, shapes: Shapes) -> None:
    for name, value in said.items():
        if value is not None and value != getattr(shapes, name):
            raise ValueError(
                f"{config} is not the config of {path.name}: it says {name} {value!r}, but the weights have"
                f" {getattr(shapes, name)}: move one of them to another folder."
            )


def _read(config: Path) -> dict[str, Any]:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON and of Unicode
        raise ValueError(f"{config} is not readable JSON: remove it, or download it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{config} is not a JSON object: remove it, or download it again.")
    return content


def _section(content: Mapping[str, Any], name: str, config: Path) -> Mapping[str, Any]:
    section = content.get(name) or {}
    if not isinstance(section, Mapping):
        raise ValueError(f"{config}: {name} must be a JSON object, but is {section!r}.")
    return section


def _divisor(width: int, value: object, name: str, config: Path) -> int:
    """The value, if the width is a multiple of it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{config}: {name} must be a whole number, at least 1, but is {value!r}.")
    if width % value:
        raise ValueError(f"{config}: {name}={value} does not divide the width {width} of the weights beside it.")
    return value


def _three(value: object, name: str, least: float, source: str | Path) -> Colour:
    numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(numbers) != 3 or not all(_is_between(number, least, 1.0) for number in numbers):
        raise ValueError(f"{source}: {name} must be three numbers in [{least:g}, 1], but is {value!r}.")
    red, green, blue = (float(number) for number in numbers if isinstance(number, int | float))
    return red, green, blue


def _is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
