"""Which methods the page offers, and how many of them may be chosen."""

from collections.abc import Sequence

from mmseg_tfovss.catalogue import POCKET, find_method, method_names

MOST_METHODS = 4  # side by side
_USUAL = ("sclip", "naclip")  # chosen at the start, where nothing else is asked for
_NEED_MASKS = ("corrclip",)  # that were recorded for the images of a benchmark


def offered_methods(pretrained: str, asked: Sequence[str] = ()) -> list[str]:
    """Names of the methods that can segment any image with these weights.

    Args:
        pretrained: as for :func:`mmseg_tfovss.load`.
        asked: methods in any spelling, to offer only these; empty: all.

    Raises:
        ValueError: no such method, one without settings for the pocket CLIP, or one that needs recorded masks.
    """
    ready = _with_pocket_settings() if pretrained == POCKET else _without_masks()
    if not asked:
        return ready
    known = [find_method(name, "ViT-B-16", pocket=pretrained == POCKET) for name in asked]  # says what is wrong
    by_file = {find_method(name, "ViT-B-16", pocket=pretrained == POCKET): name for name in ready}
    for name, path in zip(asked, known, strict=True):
        if path not in by_file:
            raise ValueError(f"The method {name} needs masks recorded for its images: it cannot run on other images.")
    return list(dict.fromkeys(by_file[path] for path in known))


def chosen_at_start(offered: Sequence[str], asked: Sequence[str] = ()) -> list[str]:
    """The methods that are chosen when the page opens: the first two that were asked for, or the usual two."""
    first = offered if asked else [name for name in _USUAL if name in offered]
    return list(first[:2] or offered[:1])


def check_choice(chosen: Sequence[str], offered: Sequence[str]) -> None:
    """Refuse what the page cannot show.

    Args:
        chosen: names of methods.
        offered: :func:`offered_methods`.

    Raises:
        ValueError: none, more than four, or one that is not offered.
    """
    if not chosen:
        raise ValueError("Methods: choose at least one.")
    if len(chosen) > MOST_METHODS:
        raise ValueError(f"Methods: choose at most {MOST_METHODS}; you have chosen {len(chosen)}.")
    for name in chosen:
        if name not in offered:
            raise ValueError(f"Methods: this page does not offer {name}. It offers {', '.join(offered)}.")


def _with_pocket_settings() -> list[str]:
    ready = []
    for name in method_names():
        try:
            find_method(name, "ViT-B-16", pocket=True)
        except ValueError:
            continue
        ready.append(name)
    return ready


def _without_masks() -> list[str]:
    return [name for name in method_names() if name not in _NEED_MASKS]
