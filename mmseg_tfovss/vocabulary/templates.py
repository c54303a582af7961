"""Prompt templates, taken from open_clip's own lists."""

import difflib

import open_clip

_PLACEHOLDER = "{}"
# MaskCLIP and CLIP Surgery add these five to the 80 of ImageNet.
_SCENE = (
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
_IMAGENET = tuple(template(_PLACEHOLDER) for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
_SIMPLE = tuple(template(_PLACEHOLDER) for template in open_clip.SIMPLE_IMAGENET_TEMPLATES)
_TEMPLATES = {
    "imagenet80": _IMAGENET,
    "imagenet7": _SIMPLE,
    "imagenet85": (*_IMAGENET, *_SCENE),
    "photo": ("a photo of a {}.",),
    "plain": (_PLACEHOLDER,),
}


def available_templates() -> list[str]:
    """Names of the template sets."""
    return sorted(_TEMPLATES)


def load_templates(name: str) -> tuple[str, ...]:
    """The templates of a set, each with one ``{}``.

    Args:
        name: ``imagenet80`` (the field's default), ``imagenet7``, ``imagenet85`` (MaskCLIP), ``photo`` or ``plain``.

    Returns:
        The templates, in open_clip's order.

    Raises:
        ValueError: unknown name.
    """
    if name not in _TEMPLATES:
        close = difflib.get_close_matches(name, _TEMPLATES, n=3)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"Unknown template set {name!r}.{hint} Valid: {', '.join(available_templates())}.")
    return _TEMPLATES[name]
