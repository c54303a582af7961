"""How many heads a CLIP has, of which no tensor tells: by its width, by a known architecture, or by asking.

Nearly all CLIPs have heads of 64; ViT-H has 80, g 88, bigG 104 and e 112. A width that only one of these divides
tells the number of heads. Otherwise open_clip's architectures of the very same shapes tell, if there are any and they
agree; a file whose number of heads would be a guess is refused, since it runs with any number and is wrong with all
but one.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import open_clip
from torch import Tensor

_WIDTHS = (64, 80, 88, 104, 112)
_TEXT_WIDTH = 64
_VISION = {"layers": 12, "width": 768, "patch_size": 16, "image_size": 224}  # open_clip's defaults
_TEXT = {"layers": 12, "width": 512, "heads": 8}


@dataclass(frozen=True)
class Shapes:
    """What the tensors of a CLIP tell of its architecture.

    Attributes:
        embed_dim: of image and text features.
        layers, width, patch_size, image_size: of the image tower; pixels.
        text_layers, text_width: of the text tower.
    """

    embed_dim: int
    layers: int
    width: int
    patch_size: int
    image_size: int
    text_layers: int
    text_width: int


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """The shapes in a state dict with OpenAI's names.

    Raises:
        ValueError, KeyError, IndexError, TypeError: these are not the shapes of a CLIP ViT.
    """
    width, _, patch, _ = state["visual.conv1.weight"].shape
    return Shapes(
        embed_dim=state["visual.proj"].shape[1],
        layers=_count_blocks(state, "visual."),
        width=width,
        patch_size=patch,
        image_size=math.isqrt(len(state["visual.positional_embedding"]) - 1) * patch,
        text_layers=_count_blocks(state, ""),
        text_width=len(state["ln_final.weight"]),
    )


def find_head_width(shapes: Shapes) -> int:
    """Width of the image tower's heads.

    Raises:
        ValueError: several widths are possible, or none of those in use.
    """
    possible = [width for width in _WIDTHS if shapes.width % width == 0]
    if len(possible) == 1:
        return possible[0]
    known = {_head_width(config) for _, config in _known(shapes)}
    if len(known) == 1:
        return known.pop()
    raise ValueError(_question(shapes, possible))


def find_text_heads(shapes: Shapes) -> int:
    """Heads of the text tower: of 64, save where known architectures of these shapes agree on others.

    Raises:
        ValueError: 64 does not divide its width.
    """
    known = {int(config["text_cfg"].get("heads", _TEXT["heads"])) for _, config in _known(shapes)}
    if len(known) == 1:
        return known.pop()
    if shapes.text_width % _TEXT_WIDTH:
        raise ValueError(
            f"the heads of a text tower of width {shapes.text_width} are not of {_TEXT_WIDTH}, and no tensor tells: set"
            " model.backbone.arch to its architecture, or put its open_clip_config.json beside it"
        )
    return shapes.text_width // _TEXT_WIDTH


def _question(shapes: Shapes, possible: list[int]) -> str:
    heads = " or ".join(f"{shapes.width // width} of {width}" for width in possible)
    told = f"may be {heads}" if possible else f"are not of {', '.join(map(str, _WIDTHS[:-1]))} or {_WIDTHS[-1]}"
    alike = {"layers": shapes.layers, "width": shapes.width, "patch_size": shapes.patch_size}
    names = [name for name, config in _plain() if alike.items() <= _vision(config).items()]
    archs = f" to its architecture ({', '.join(names)})" if names else " to its architecture"
    return (
        f"the heads of an image tower of width {shapes.width} {told}, and no tensor tells: set model.backbone.arch"
        f"{archs} or model.backbone.head_width to the width of its heads"
    )


def _known(shapes: Shapes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Architectures of exactly these shapes."""
    for name, config in _plain():
        vision, text = _vision(config), {**_TEXT, **config["text_cfg"]}
        theirs = Shapes(
            config["embed_dim"],
            *(vision[key] for key in ("layers", "width", "patch_size", "image_size")),
            *(text[key] for key in ("layers", "width")),
        )
        if asdict(theirs) == asdict(shapes):
            yield name, config


def _plain() -> Iterator[tuple[str, dict[str, Any]]]:
    """open_clip's architectures that may be plain CLIP ViTs."""
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        foreign = config.get("custom_text") or "timm_model_name" in vision or "hf_model_name" in text
        class_token = vision.get("pool_type", "tok") == "tok" and text.get("pool_type", "argmax") == "argmax"
        if not foreign and class_token and isinstance(vision.get("layers", _VISION["layers"]), int):
            yield name, config


def _vision(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**_VISION, **config["vision_cfg"]}


def _head_width(config: Mapping[str, Any]) -> int:
    return int(config["vision_cfg"].get("head_width", _TEXT_WIDTH))


def _count_blocks(state: Mapping[str, Tensor], prefix: str) -> int:
    start = f"{prefix}transformer.resblocks."
    return len({key.removeprefix(start).split(".")[0] for key in state if key.startswith(start)})
