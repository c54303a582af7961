"""Text in pictures, each character in a font that has it.

Pillow's own font has ASCII only. Other text is in matplotlib's DejaVu Sans (Latin, Greek, Cyrillic, Arabic, ...), and
what that lacks (Chinese, Japanese, Korean, ...) in a font found on the system.
"""

import logging
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path
from unicodedata import normalize

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_logger = logging.getLogger(__name__)


def text_width(text: str, size: int) -> int:
    """Pixels that a text takes."""
    return round(sum(font.getlength(run) for font, run in _runs(text, size)))


def draw_text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int) -> None:
    """Write a text in black.

    Args:
        draw: of the picture.
        place: left edge and the top of the default font's letters.
        text: one line.
        size: of the font in pixels.
    """
    left, top = place
    baseline = top + size  # fonts differ in their tops, so runs share the line they stand on
    for font, run in _runs(text, size):
        draw.text((left, baseline), run, fill="black", font=font, anchor="ls")
        left += round(font.getlength(run))


def missing_characters(texts: Iterable[str]) -> list[str]:
    """Characters that no font on this machine has, each once; they are drawn as boxes."""
    characters = sorted(set(normalize("NFC", "".join(texts))))
    return [character for character in characters if not character.isascii() and _font_file(character) is None]


def warn_of_missing(texts: Iterable[str]) -> None:
    """Log :func:`missing_characters`, once for the same ones."""
    missing = missing_characters(texts)
    if missing:
        _warn(" ".join(missing))


@cache
def _warn(characters: str) -> None:
    _logger.warning(
        "warning: no font on this machine has %s, drawn as boxes in the picture: install one, e.g. Noto Sans CJK.",
        characters,
    )


def _runs(text: str, size: int) -> list[tuple[Font, str]]:
    """Neighbours of one font together; a letter and its accent, where Unicode has both in one, as one character."""
    text = normalize("NFC", text)
    if text.isascii():
        return [(_default(size), text)]
    return [
        (_load(file or _bundled(), size), "".join(characters)) for file, characters in groupby(text, key=_font_file)
    ]


@cache
def _default(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _load(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size)


@cache
def _bundled() -> Path:
    import matplotlib  # takes half a second, which names in ASCII need not

    return Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"


@cache
def _font_file(character: str) -> Path | None:
    """The first font that has a character; ``None``: none has."""
    code = ord(character)
    if code in _characters(_bundled()):
        return _bundled()
    return next((file for file in _system_fonts() if code in _characters(file)), None)


@cache
def _system_fonts() -> tuple[Path, ...]:
    """Plain ones first."""
    from matplotlib.font_manager import findSystemFonts  # its import lists the machine's fonts, which few names need

    files = [Path(file) for file in findSystemFonts()]
    # "Last Resort" has boxes for everything.
    useful = [file for file in files if not file.name.startswith("LastResort")]
    return tuple(
        sorted(useful, key=lambda file: ("Sans" not in file.name, "Regular" not in file.name, file.name, file))
    )


@cache
def _characters(file: Path) -> frozenset[int]:
    """What a font has; nothing if it cannot be used (damaged, or made of pictures of one size)."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(str(file), 12)
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
