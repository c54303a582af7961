"""What somebody should know about an answer beside its labels."""

from collections.abc import Iterable, Iterator, Sequence

from mmseg_tfovss.pictures.lettering import missing_characters
from mmseg_tfovss.playground.words import unknown_to_pocket
from mmseg_tfovss.vocabulary.words import cut, listed, quoted

_RANDOM = ("DINO", "SAM")  # the pocket benchmark's have weights that nobody has trained


def notes_on_words(classes: Sequence[str], background: Sequence[str] | None, threshold: float) -> Iterator[str]:
    """That one class takes every pixel, or that the first one is the background.

    Args:
        classes: one text per class.
        background: words of a class that is put in front, if there is one.
        threshold: pixels below it get class 0.
    """
    first = quoted(classes[0].partition(",")[0].strip())
    if background is None and len(classes) == 1:
        yield f'With one class, every pixel is {first}: type one class a line, or separate classes by ";".'
    elif background is None and threshold:
        yield (
            f"The first class, {first}, is the background: it gets the pixels whose best class has a probability below"
            f" {threshold:g}."
        )


def notes_on_unknown(classes: Sequence[str]) -> Iterator[str]:
    """That the pocket CLIP does not know some words."""
    unknown = unknown_to_pocket(classes)
    if unknown:
        yield f"The pocket CLIP was not trained on {listed(unknown)}: pixels with such labels mean nothing."


def notes_on_letters(drawn: Iterable[str]) -> Iterator[str]:
    """That the legend of an overlay's file has boxes in the place of characters; the page's own is in HTML.

    Args:
        drawn: names of the classes that occur.
    """
    missing = missing_characters(map(cut, drawn))
    if missing:
        yield (
            f"The legends in the overlay files have boxes in the place of {listed(missing, 20)}: no font of the machine"
            " that runs this page has them."
        )


def notes_on_companions(method: str, networks: Sequence[str]) -> Iterator[str]:
    """That a method has networks of random numbers beside the pocket CLIP.

    Args:
        method: its name.
        networks: names of the classes of its frozen networks.
    """
    random = [kind for kind in _RANDOM if kind in networks]
    if random:
        yield f"{method} has a {' and a '.join(random)} of random numbers beside the pocket CLIP."
