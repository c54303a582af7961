"""Words as text: what a class list may hold, and when CLIP reads two words as one."""

import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import open_clip
import regex

_MAX_BYTES = 1 << 20  # of a class list; ImageNet-21k's names with all their synonyms are half of it
_MAX_WORD = 10_000  # characters; a text tower reads a few hundred
_SHOWN = 60  # characters of a word in a message
_WIDE_ENCODINGS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}  # by their byte order marks
_JOINERS = "\u200c\u200d"  # Persian, Hindi and others are not written without them, nor are some emoji
# Letters and signs by their category, but without a shape.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_NOT_TEXT = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def read_lines(path: Path, kind: str) -> list[str]:
    """The lines of a text file, as an editor numbers them.

    Args:
        path: UTF-8 text, with or without a byte order mark.
        kind: of file, for messages.

    Raises:
        ValueError: the file is larger than 1 MiB, or not UTF-8.
    """
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(
            f"The {kind} file {path} has {size / (1 << 20):.1f} MiB, but a list of words has at most"
            f" {_MAX_BYTES >> 20} MiB: name a text file with one class a line."
        )
    content = path.read_bytes()
    encoding = _WIDE_ENCODINGS.get(content[:2])
    if encoding:
        raise ValueError(f"The {kind} file {path} is not UTF-8 text but {encoding}: save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"The {kind} file {path} is not UTF-8 text (line {number}: {error.reason}): save it as UTF-8."
        ) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def check_text(text: str, place: str) -> None:
    """Refuse what a reader does not see, or a terminal obeys: control and invisible characters.

    A tabulator is a blank, and a joiner between two letters that need it is one of the letters.

    Args:
        text: one line.
        place: where it stands, for the message.

    Raises:
        ValueError: the first such character is named.
    """
    if text.isascii() and text.isprintable():
        return
    for index, character in enumerate(text):
        if _is_allowed(character, text[max(0, index - 1) : index + 2]):
            continue
        name = unicodedata.name(character, "") or _control_name(character)
        raise ValueError(
            f"{_upper_first(place)} holds the invisible character U+{ord(character):04X}{f' ({name})' if name else ''}:"
            " remove it, for CLIP and a reader would not read the same."
        )


def tidy(word: str, place: str) -> str:
    """A word without blanks around it, and one blank for several inside, as CLIP reads it.

    Args:
        word: without invisible characters.
        place: where it stands, for messages.

    Raises:
        ValueError: CLIP would read nothing, or not the whole word.
    """
    word = " ".join(word.split())
    if not word:
        return word
    if len(word) > _MAX_WORD:
        raise ValueError(
            f"{_upper_first(place)} has a word of {len(word)} characters ({quoted(word)}): write one class a line, and"
            " words of a few hundred characters at most."
        )
    pieces = spoken(word)
    if not pieces:
        raise ValueError(f"{_upper_first(place)} has the word {quoted(word)}, of which CLIP reads nothing: change it.")
    special = [piece for piece in pieces if piece in _special_tokens()]
    if special:
        raise ValueError(
            f"{_upper_first(place)} has the word {quoted(word)}, but {special[0]} marks the ends of a text for CLIP:"
            " remove it."
        )
    return word


@lru_cache(maxsize=1 << 16)
def spoken(word: str) -> tuple[str, ...]:
    """The pieces that CLIP's tokenizer cuts a word into; words with the same pieces have the same features."""
    tokenizer = clip_tokenizer()
    return tuple(regex.findall(tokenizer.pat, tokenizer.clean_fn(word)))


@cache
def clip_tokenizer() -> open_clip.SimpleTokenizer:
    """CLIP's own tokenizer, read once."""
    return open_clip.SimpleTokenizer()


def quoted(word: str) -> str:
    """A word in quotation marks for a message, cut if it is long."""
    return f'"{cut(word)}"'


def cut(word: str, length: int = _SHOWN) -> str:
    """A word of at most so many characters, with "..." in the place of the rest."""
    return word if len(word) <= length else f"{word[: length - 3]}..."


def count_of(number: int, singular: str, plural: str) -> str:
    """``1 class``, ``2 classes``."""
    return f"{number} {singular if number == 1 else plural}"


def listed(words: Sequence[str], shown: int = 5) -> str:
    """Words in a row, the first ones if they are many."""
    return ", ".join(cut(word, 30) for word in words[:shown]) + (", ..." if len(words) > shown else "")


def _is_allowed(character: str, around: str) -> bool:
    if character == "\t" or (character.isascii() and character.isprintable()):
        return True
    if character in _JOINERS:
        return len(around) == 3 and not around[0].isascii() and not around[2].isascii()
    if character in _BLANK_LETTERS or character == "\ufffd" or ord(character) & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(character) not in _NOT_TEXT


def _control_name(character: str) -> str:
    """What of the unnamed characters most often occurs."""
    if unicodedata.category(character) == "Cs":
        return "bytes that are not UTF-8"
    return {"\0": "NUL; is the file UTF-16?", "\n": "line break", "\r": "line break", "\x1b": "escape"}.get(
        character, ""
    )


def _upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


@cache
def _special_tokens() -> frozenset[str]:
    tokenizer = clip_tokenizer()
    return frozenset(tokenizer.decoder[number] for number in tokenizer.all_special_ids)
