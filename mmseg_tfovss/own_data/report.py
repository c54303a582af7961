"""What a survey of a dataset found, in sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmseg_tfovss.own_data.naming import listed
from mmseg_tfovss.own_data.pairs import Pairs
from mmseg_tfovss.own_data.survey import Survey
from mmseg_tfovss.own_data.table import ClassTable
from mmseg_tfovss.vocabulary.agreement import is_background
from mmseg_tfovss.vocabulary.words import count_of

SHOWN = 10  # problems of one kind that are printed

_WAYS_OUT = (
    "Leave them out with --only-pairs, name the images that count with --split, or say what names end in with"
    " --image-suffix and --mask-suffix."
)


class ProblemsError(ValueError):
    """A dataset cannot be used; the message has a line for every reason."""


def check_complete(found: Pairs, images: Path, *, only_pairs: bool, remedy: str = _WAYS_OUT) -> None:
    """Refuse images without a mask, unless they are to be left out.

    Args:
        found: all images and masks.
        images: their folder, for messages.
        only_pairs: whether images without a mask are left out.
        remedy: what to do about them.

    Raises:
        ValueError: they are named.
    """
    count = len(found.pairs) + len(found.alone)
    if found.alone and not only_pairs:
        have = "has" if len(found.alone) == 1 else "have"
        raise ValueError(
            f"{len(found.alone)} of {count_of(count, 'image', 'images')} in {images} {have} no mask:"
            f" {listed(found.alone)}. {remedy}"
        )
    if not found.pairs:
        raise ValueError(f"None of the images in {images} ({count}) has a mask.")


def check_survey(found: Survey, table: ClassTable, hint: str = "") -> None:
    """Refuse a dataset with files that cannot be used, or with values that are no class.

    Args:
        found: of all pairs.
        table: the classes.
        hint: what to do about values that are no class, if it is known.

    Raises:
        ProblemsError: what is wrong with which files, and what to set.
    """
    lines = [*_first(found.problems), *_foreign(found, table, hint)]
    if lines:
        raise ProblemsError("\n".join(lines))
    if not found.pixels.any():
        raise ProblemsError("No pixel would count: every mask holds ignored values only.")


def made_hint(found: Survey, table: ClassTable, folder: Path, *, anew: bool) -> str:
    """What to do about labels that are no class in a folder that was made before; empty if there are none.

    Args:
        found: of all its pairs.
        table: the classes.
        folder: the dataset's.
        anew: whether its masks were written anew.
    """
    if not found.foreign:
        return ""
    if anew:
        return f"The masks in {folder} were written by tfovss dataset init, and changed since: make the folder anew."
    ignored = " ".join(map(str, [*table.ignored, *sorted(found.foreign)[:SHOWN]]))
    return (
        "If pixels with such a label do not count, delete the folder and make it anew: tfovss dataset init"
        f" {folder} ... --ignore {ignored}. If they do, add their classes to the class file before."
    )


def class_rows(found: Survey, table: ClassTable) -> Iterator[tuple[str, str, str, str]]:
    """Label or colour, name, share of the pixels and number of masks of each class, and of what is ignored."""
    total = int(found.pixels.sum()) + found.ignored
    for number, name in enumerate(table.names):
        value = table.told(table.values[number])
        yield value, name, _percent(int(found.pixels[number]), total), str(found.masks[number])
    if table.ignored:
        yield "", f"ignored ({' '.join(map(table.told, table.ignored))})", _percent(found.ignored, total), ""


def notes(found: Survey, table: ClassTable, pairs: Pairs) -> Iterator[str]:
    """What the user should know of a dataset that can be used."""
    absent = [name for name, masks in zip(table.names, found.masks, strict=True) if not masks]
    if absent:
        yield (
            f"note: in no mask: {listed(absent)}. A class that is also never predicted has no IoU and does not enter"
            " the mean; otherwise its IoU is 0."
        )
    yield from pair_notes(pairs)
    splits = sorted({name.partition("/")[0] for name, _ in pairs.pairs if "/" in name})
    if len(splits) > 1 and {"train", "val", "test"} & {*splits}:
        yield f"note: the folders {', '.join(splits)} all count; for one of them, give its folders of images and masks."
    yield from _background(table)


def pair_notes(pairs: Pairs, unlisted: Sequence[str] = ()) -> Iterator[str]:
    """Which files are not used, and why."""
    for names, one, more in (
        (pairs.spare, "mask has no image and is not used", "masks have no image and are not used"),
        (pairs.alone, "image has no mask and is left out", "images have no mask and are left out"),
        (unlisted, "image with its mask is new", "images with masks are new"),
    ):
        if names:
            anew = ", and not evaluated: make the folder anew to use all images" if names is unlisted else ""
            yield f"note: {count_of(len(names), one, more)}{anew}: {listed(names)}."


def _background(table: ClassTable) -> Iterator[str]:
    if table.background:
        yield (
            f"note: class 0 ({table.names[0]}) is the background: pixels whose best class has a probability below 0.1"
            " get it."
        )
    later = [name for name in table.names[1:] if is_background(name)]
    if later:
        yield (
            f"note: {listed(later)} is a class like any other, for only class 0 can be the background. If its pixels do"
            f" not count, set --ignore {later[0]}."
        )


def _foreign(found: Survey, table: ClassTable, hint: str) -> Iterator[str]:
    """A line for each value that is no class, the most frequent first, and what to do."""
    values = sorted(found.foreign, key=lambda value: -found.foreign[value].pixels)
    what = "colour" if table.coloured else "label"
    for value in values[:SHOWN]:
        one = found.foreign[value]
        masks = count_of(one.masks, "mask", "masks")
        yield (
            f"The {what} {table.told(value)} is no class: {_pixels(one.pixels)} in {masks}, first in {one.file}"
            f" ({_pixels(one.there)})."
        )
    if len(values) > SHOWN:
        more = count_of(len(values) - SHOWN, f"more {what} that is", f"more {what}s that are")
        yield f"... and {more} no class."
    if values:
        yield hint or _remedy(values, table, zero=bool(found.pixels[0]))


def _remedy(values: Sequence[int], table: ClassTable, *, zero: bool) -> str:
    shown = " ".join(table.told(value) for value in values[:SHOWN])
    if table.coloured:
        return f"Add these colours to the class file, or, if their pixels do not count, set --ignore {shown}."
    first, last = table.values[0], max(table.values)
    span = f"The class file has {count_of(len(table.names), 'class', 'classes')}, for the labels {first} .. {last}."
    text = f"{span} If pixels with {'this label' if len(values) == 1 else 'these labels'} do not count, set"
    text = f"{text} --ignore {shown}"
    if values == [len(table.values)] and table.values[0] == 0 and not zero:
        return f"{text}; if labels begin at 1, set --first-label 1."
    return (
        f"{text}; if they do, add their classes to the class file, with their labels if these have gaps (name,label)."
    )


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - SHOWN
    if more <= 0:
        return [*lines]
    return [*lines[:SHOWN], f"... and {count_of(more, 'more file', 'more files')} that cannot be used."]


def _pixels(number: int) -> str:
    return count_of(number, "pixel", "pixels")


def _percent(pixels: int, total: int) -> str:
    return f"{100 * pixels / total:.2f} %" if total else "0 %"
