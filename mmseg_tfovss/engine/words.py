"""Words of a run: whether they are the dataset's, and those that a command line puts in the place of a config's."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.dataset import BaseDataset

from mmseg_tfovss.engine.identity import unwrapped
from mmseg_tfovss.vocabulary import Vocabulary, available_vocabularies, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_fits
from mmseg_tfovss.vocabulary.words import count_of, listed, quoted

THRESHOLDS = ("prob_threshold", "area_threshold")  # options of the head to which class 0 is the background
_HEAD = "model.decode_head"


def check_words(config: Config, dataset: BaseDataset, vocabulary: Vocabulary, head: Mapping[str, Any]) -> None:
    """Refuse words that are not those of a dataset, unless the config has ``force_vocabulary = True``.

    Args:
        config: of the run.
        dataset: its class names are compared.
        vocabulary: the words.
        head: the thresholds, by name.

    Raises:
        ValueError: see :func:`mmseg_tfovss.vocabulary.agreement.check_fits`.
    """
    check_fits(
        vocabulary,
        dataset.metainfo["classes"],
        str(config.get("dataset", type(dataset).__name__)),
        {name: head.get(name) for name in THRESHOLDS},
        force=config.get("force_vocabulary", False),
    )


def check_words_of(model: Any, config: Config, dataset: BaseDataset) -> None:  # noqa: ANN401 - or a wrapper around one
    """:func:`check_words` of a model that is built; one without words has none that could be wrong."""
    head = getattr(unwrapped(model), "decode_head", None)
    vocabulary = getattr(head, "vocabulary", None)
    if isinstance(vocabulary, Vocabulary):
        check_words(config, dataset, vocabulary, {name: getattr(head, name, None) for name in THRESHOLDS})


def check_classes(words: Sequence[str], name: str) -> list[str]:
    """Classes that a program gives: a text each, none of which would be skipped as empty or as a comment.

    Args:
        words: one text per class, synonyms separated by commas.
        name: what they are, for messages.

    Raises:
        ValueError: no class, or an entry that is none.
    """
    if isinstance(words, str | bytes) or not isinstance(words, Sequence) or not words:
        raise ValueError(
            f"{name} must be a list with one text per class, as in ['cat', 'dog, puppy'], but got {words!r}."
        )
    for number, entry in enumerate(words):
        if not isinstance(entry, str) or not entry.strip():
            raise ValueError(f"{name} must have a text for every class, but class {number} is {entry!r}.")
        if entry.strip().startswith("#"):
            raise ValueError(f'{name}: class {number} begins with "#", as comments of class files do: change it.')
    return [entry.strip() for entry in words]


class Taken(NamedTuple):
    """What :func:`take_words` has done.

    Attributes:
        given: whether the words are those of --classes or --classes-file.
        lines: what the user should know: how many classes and words were read, and what is done with class 0.
    """

    given: bool
    lines: list[str]


def take_words(
    configs: Sequence[Config], options: Mapping[str, Any], classes: str | None = None, file: Path | None = None
) -> Taken:
    """Put words of the command line in the place of the configs' own, and of their background words.

    An ``area_threshold`` belongs to the words that it was chosen for: with the user's own it is off, unless the command
    line sets it. ``prob_threshold`` stays: class 0 of the user's words is the background then.

    Args:
        configs: changed in place.
        options: what the command line sets besides, by dotted name; words of the user's own may be among them.
        classes: classes separated by ";", synonyms by ",".
        file: or one class a line.

    Raises:
        ValueError: no class, words twice over, or what :func:`mmseg_tfovss.vocabulary.load_vocabulary` refuses.
        FileNotFoundError: no such file.
    """
    return put_words(configs, options, _given(options, classes, file))


def put_words(configs: Sequence[Config], options: Mapping[str, Any], words: Sequence[str] | str | None) -> Taken:
    """:func:`take_words` of words that have been read.

    Args:
        configs: changed in place.
        options: see :func:`take_words`.
        words: a vocabulary: one text per class, the name of a list, or a file; ``None``: the configs' own.

    Raises:
        ValueError: what :func:`mmseg_tfovss.vocabulary.load_vocabulary` refuses.
        FileNotFoundError: no such file.
    """
    lines = []
    for config in configs:
        head, told = config.model.decode_head, []
        if words is not None:
            head.vocabulary, head.background = words, None
        vocabulary = load_vocabulary(head.vocabulary, head.get("background"))
        given = words is not None or _own(options)
        if given and head.get("area_threshold") and not _sets(options, f"{_HEAD}.area_threshold"):
            told.append(
                f"note: {_HEAD}.area_threshold={head.area_threshold} is off, for it was chosen for the words of the"
                " config; set that option to have it."
            )
            head.area_threshold = None
        lines.append([*_describe(vocabulary), *_tell_background(vocabulary, head), *told])
    return Taken(words is not None, _merge(configs, lines))


def _describe(vocabulary: Vocabulary) -> Iterator[str]:
    """How many classes and words there are, which tells whether separators were meant so."""
    classes, words = len(vocabulary.classes), len(vocabulary.queries)
    counted = f"{count_of(classes, 'class', 'classes')} ({count_of(words, 'word', 'words')})"
    yield f"{counted}: {listed(vocabulary.shown_names)}"
    if classes == 1:
        yield (
            'hint: with one class, every pixel gets it. Separate classes by ";", or in a file by lines; what commas'
            " separate are synonyms of one class."
        )


def _tell_background(vocabulary: Vocabulary, head: Mapping[str, Any]) -> Iterator[str]:
    """That the user's first class is the background; lists that have one say so."""
    if vocabulary.background is not None:
        return
    first = f"note: class 0 ({quoted(vocabulary.names[0])}) is the background"
    if head.get("prob_threshold"):
        yield (
            f"{first}: pixels below {_HEAD}.prob_threshold={head['prob_threshold']} get it; if it is none, set that to"
            " 0, or put words for the background first."
        )
    if head.get("area_threshold"):
        yield f"{first}: {_HEAD}.area_threshold={head['area_threshold']} removes small classes, but never this one."


def _merge(configs: Sequence[Config], lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of all configs once, those of some with the names of their configs."""
    merged = []
    for line in dict.fromkeys(line for own in lines for line in own):
        names = [str(config.run_name) for config, own in zip(configs, lines, strict=True) if line in own]
        merged.append(line if len(names) == len(configs) else f"{', '.join(dict.fromkeys(names))}: {line}")
    return merged


def _given(options: Mapping[str, Any], classes: str | None, file: Path | None) -> list[str] | str | None:
    """The words of --classes or --classes-file as a vocabulary, None without."""
    if classes is None and file is None:
        return None
    name = "--classes" if file is None else "--classes-file"
    for key in (f"{_HEAD}.vocabulary", f"{_HEAD}.background"):
        if _sets(options, key):
            raise ValueError(f"{name} takes the place of {key}: leave one of them out.")
    return _split(classes or "") if file is None else _existing(file)


def _own(options: Mapping[str, Any]) -> bool:
    """Whether options name words that are no bundled list."""
    value = _value(options, f"{_HEAD}.vocabulary")
    return value is not None and value not in available_vocabularies()


def _split(classes: str) -> list[str]:
    """Classes in a row; a last separator closes the last class."""
    parts = [part.strip() for part in classes.strip().removesuffix(";").split(";")]
    if not any(parts):
        raise ValueError('--classes has no class: write them as in "cat; dog, puppy; grass".')
    for number, part in enumerate(parts):
        if not part:
            raise ValueError(f'--classes has no word for class {number}: there is one ";" too many.')
        if part.startswith("#"):
            raise ValueError(f'--classes: class {number} begins with "#", as comments of class files do: change it.')
    return parts


def _existing(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"The class file {file} does not exist.")
    return str(file.resolve())


def _sets(options: Mapping[str, Any], key: str) -> bool:
    """Whether options set a dotted name, alone or within a dict."""
    return _value(options, key) is not None


def _value(options: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    """What options set a dotted name to, alone or within a dict; None: nothing, or to None."""
    found = None
    for name, value in options.items():
        if name == key or name.startswith(f"{key}."):
            found = value
        elif key.startswith(f"{name}.") and isinstance(value, Mapping):
            inner = _value(value, key.removeprefix(f"{name}."))
            found = found if inner is None else inner
    return found
