"""From what somebody has typed and chosen to what the page shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_tfovss.api import Segmented
from mmseg_tfovss.cli import sentence
from mmseg_tfovss.pictures.grid import shrink, tint
from mmseg_tfovss.pictures.overlay import draw_overlay, named_colours, save_mask
from mmseg_tfovss.playground.choice import check_choice
from mmseg_tfovss.playground.notes import notes_on_companions, notes_on_letters, notes_on_unknown, notes_on_words
from mmseg_tfovss.playground.picture import fitted_upload
from mmseg_tfovss.playground.segmenters import Segmenters
from mmseg_tfovss.playground.words import check_different, read_classes

Tell = Callable[[float, str], object]  # how far the work is, 0 to 1, and what is done now


@dataclass(frozen=True)
class Question:
    """What the page's fields hold.

    Attributes:
        image: the uploaded file.
        words: one class a line, or separated by ";"; synonyms by ",".
        background: likewise; all of them are one class, the background. Empty: none is put in front.
        threshold: pixels whose best class has a lower probability get class 0.
        methods: names, in the order of the overlays.
    """

    image: str | None
    words: str
    background: str = ""
    threshold: float = 0.0
    methods: Sequence[str] = ()


@dataclass(frozen=True)
class Labelled:
    """The labels of one method, the kinds of its networks, and its files."""

    method: str
    networks: tuple[str, ...]
    result: Segmented
    mask: Path
    overlay: Path


@dataclass(frozen=True)
class Answer:
    """What the page shows: overlays, and notes; or one sentence that says what is wrong with the question."""

    labelled: tuple[Labelled, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Playground:
    """What answers questions.

    Attributes:
        segmenters: the methods.
        offered: their names.
        longest: side in pixels; larger images are shrunk.
        is_pocket: whether CLIP is the pocket CLIP, which knows few words.
    """

    segmenters: Segmenters
    offered: Sequence[str]
    longest: int
    is_pocket: bool = True

    def answer(self, question: Question, folder: Path, tell: Tell = lambda done, what: None) -> Answer:
        """Segment the image with every method that is chosen.

        Args:
            question: what was typed and chosen.
            folder: for the files of this answer; exists.
            tell: is called before each method.

        Returns:
            Overlays, or the problem. Mistakes of users, full disks and full GPUs are problems; bugs pass.
        """
        try:
            return self._answer(question, folder, tell)
        except (ValueError, OSError) as error:
            return Answer(problem=_without_folders(sentence(error), question.image, folder))
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's
                raise
            return Answer(problem="The GPU is out of memory: type fewer words, or start the page with --device cpu.")

    def _answer(self, question: Question, folder: Path, tell: Tell) -> Answer:
        if not question.image:
            raise ValueError("Image: upload one, or pick an example.")
        classes, background = _read_words(question)
        check_choice(question.methods, self.offered)
        with fitted_upload(Path(question.image), self.longest, folder) as (image, shrunk):
            labelled = []
            for number, method in enumerate(question.methods):
                tell(number / len(question.methods), f"{method} ({number + 1} of {len(question.methods)})")
                with self.segmenters.use(method) as segment:
                    result = segment(image, classes, background=background, threshold=question.threshold)
                    kinds = tuple(type(network).__name__ for network in segment.model.networks().values())
                labelled.append(_written(method, kinds, result, folder / image.stem))
        notes = [*filter(None, [shrunk]), *notes_on_words(classes, background, question.threshold)]
        notes += notes_on_letters({name for part in labelled for name in _found(part.result)})
        if self.is_pocket:
            notes += notes_on_unknown([*(background or ()), *classes])
            notes += [note for part in labelled for note in notes_on_companions(part.method, part.networks)]
        return Answer(tuple(labelled), tuple(notes))


def _read_words(question: Question) -> tuple[list[str], list[str] | None]:
    """Classes, and the background's words where there are any."""
    classes = read_classes(question.words)
    background = read_classes(question.background, "Background words") if question.background.strip() else None
    check_different([*(background or ()), *classes])
    return classes, background


def _written(method: str, networks: tuple[str, ...], result: Segmented, stem: Path) -> Labelled:
    """Write a mask and an overlay, as ``tfovss demo`` does, under the method's name."""
    mask, overlay = (stem.with_name(f"{stem.name}_{method}_{what}.png") for what in ("mask", "overlay"))
    colours = named_colours(result.classes)
    save_mask(result.labels, colours, mask)
    # Missing fonts are told in the page, not in the server's terminal.
    draw_overlay(result.image, result.labels, result.classes, colours, warns=False).save(overlay)
    return Labelled(method, networks, result, mask, overlay)


def _found(result: Segmented) -> list[str]:
    """Names of the classes that occur."""
    return [result.classes[index] for index in np.unique(result.labels)]


def _without_folders(text: str, image: str | None, folder: Path) -> str:
    """A message without the server's folders: what the user knows is the file's name."""
    for place in filter(None, [image and str(Path(image).parent), str(folder)]):
        text = text.replace(f"{place}/", "")
    return text


def tinted(labelled: Labelled, longest: int) -> np.ndarray:
    """What the page shows of a method: the image in its classes' colours, (H, W, 3) uint8, at most so large."""
    result = labelled.result
    return shrink(tint(result.image, result.labels, named_colours(result.classes)), longest)
