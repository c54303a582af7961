"""Text in pictures."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mmseg_tfovss.pictures import lettering
from mmseg_tfovss.pictures.lettering import draw_text, text_width, warn_of_missing

PRIVATE = "\ue123"  # of no meaning: no plain font has it


@pytest.fixture
def no_system_fonts(monkeypatch):
    monkeypatch.setattr(lettering, "_system_fonts", lambda: ())
    lettering._font_file.cache_clear()
    lettering._warn.cache_clear()
    yield
    lettering._font_file.cache_clear()


def written(text):
    picture = Image.new("RGB", (120, 24), "white")
    draw_text(ImageDraw.Draw(picture), (2, 2), text, 13)
    return np.array(picture)


def test_letters_beyond_ascii_are_letters(no_system_fonts):
    box = written(PRIVATE)
    for character in "ñéкγ":
        assert not np.array_equal(written(character), box)
        assert (written(character) < 128).any()


def test_a_letter_and_its_accent_are_one():
    assert np.array_equal(written("n\u0303"), written("ñ"))
    assert text_width("n\u0303", 13) == text_width("ñ", 13) > 0


def test_width_is_that_of_the_ink():
    for text in ("cat", "ñandú"):
        columns = np.flatnonzero((written(text) < 128).any(axis=(0, 2)))
        assert 0 <= columns[0] - 2 <= 2
        assert abs(columns[-1] + 1 - 2 - text_width(text, 13)) <= 2


def test_each_character_has_a_font_that_has_it(monkeypatch, tmp_path):
    """A font of mathematics stands for one of the system."""
    script = "\U0001d49c"
    maths = next(lettering._bundled().parent.glob("STIXGeneral.ttf"))
    (tmp_path / "damaged.ttf").write_bytes(b"none")
    monkeypatch.setattr(lettering, "_system_fonts", lambda: (tmp_path / "damaged.ttf", maths))
    lettering._font_file.cache_clear()
    assert ord(script) not in lettering._characters(lettering._bundled())
    runs = lettering._runs(f"ñ {script}x", 13)
    assert [(font.path, run) for font, run in runs] == [
        (str(lettering._bundled()), "ñ "),
        (str(maths), script),
        (str(lettering._bundled()), "x"),
    ]
    lettering._font_file.cache_clear()


def test_what_no_font_has_is_named_once(no_system_fonts, caplog):
    warn_of_missing(["ñandú", "cat"])
    assert caplog.text == ""
    for _ in range(2):
        warn_of_missing(["猫", "cat", "犬 猫"])
    [record] = caplog.records
    assert "no font on this machine has 犬 猫, drawn as boxes in the picture: install one" in record.getMessage()


def test_plain_fonts_of_the_system_come_first(monkeypatch):
    files = ["/b/LastResort.otf", "/a/Serif-Bold.ttf", "/a/Sans-Bold.ttf", "/z/Sans-Regular.ttf"]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: files)
    found = lettering._system_fonts.__wrapped__()
    assert [file.name for file in found] == ["Sans-Regular.ttf", "Sans-Bold.ttf", "Serif-Bold.ttf"]
