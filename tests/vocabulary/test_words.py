"""Words as text: files of any bytes give words that are harmless, or one sentence."""

import random
import unicodedata

import pytest

from mmseg_tfovss.cli import sentence
from mmseg_tfovss.vocabulary.classes import load_vocabulary
from mmseg_tfovss.vocabulary.words import check_text, cut, listed, quoted, spoken, tidy

PIECES = (
    *(
        "cat",
        "dog, puppy",
        "Straße",
        "кошка",
        "猫",
        "می\u200cروم",
        "e\u0301te",
        "👩\u200d🚀",
        "# note",
        "a;b",
        " ",
        "\t",
        "'",
    ),
    *(
        "\0",
        "\x1b[31mred\x1b[0m",
        "\u202ecat",
        "\u200b",
        "\ufeff",
        "\x85",
        "\u2028",
        "\x0c",
        "\r",
        "\r\n",
        "\n",
        ",",
        ",,",
    ),
    *("&nbsp;", "&lt;b&gt;", "<end_of_text>", "[bold]", "{}", "%s", "\ufffd", "\U000e0041", "x" * 300, "🇩🇪", ";"),
)


def write(folder, content):
    path = folder / "words.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"cat\nd\0og\n",
            r"Line 2 of .*words\.txt holds the invisible character U\+0000 \(NUL; is the file UTF-16\?\)",
        ),
        (b"cat\n\x1b[31mdog\x1b[0m", r"Line 2 of .* U\+001B \(escape\): remove it"),
        ("cat\ndog\u200f".encode(), r"Line 2 of .* U\+200F \(RIGHT-TO-LEFT MARK\)"),
        ("\u202ecat".encode(), r"Line 1 of .* U\+202E"),
        ("cat\u200b".encode(), r"U\+200B \(ZERO WIDTH SPACE\)"),
        ("cat\u200d".encode(), r"U\+200D"),
        ("\ufeff\ufeffcat".encode(), r"U\+FEFF"),
        ("cat\u3164".encode(), r"U\+3164"),
        ("cat\ufffd".encode(), r"U\+FFFD"),
        ("cat\x85dog".encode(), r"U\+0085"),
        ("cat\u2028dog".encode(), r"U\+2028"),
        (b"cat\x0cdog", r"U\+000C"),
        ("cat\ndog".encode("utf-16"), "is not UTF-8 text but UTF-16: save it as UTF-8"),
        ("cat\ndog".encode("utf-16-le"), r"Line 1 of .*U\+0000 \(NUL; is the file UTF-16"),
        ("cat\nStraße".encode("latin-1"), r"is not UTF-8 text \(line 2: .*\): save it as UTF-8"),
        (b"x" * 20_000, r"Line 1 of .* has a word of 20000 characters \(\"xxx.*\.\.\.\"\)"),
        (b"x" * 1_000_000, "has a word of 1000000 characters"),
        (b"cat\n" * 3_000_000, "has 11.4 MiB, but a list of words has at most 1 MiB"),
        (b"# synonyms: none\n&nbsp;\n", r'Line 2 of .* has the word "&nbsp;", of which CLIP reads nothing'),
        (b"cat\ndog <End_Of_Text> cup", r"Line 2 of .*<end_of_text> marks the ends of a text"),
        ("# version: \u202e1\ncat".encode(), r"Line 1 of .* U\+202E"),
    ],
)
def test_files_that_would_not_be_read_as_they_look(content, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        load_vocabulary(write(tmp_path, content))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600


def test_blanks_do_not_count(tmp_path):
    content = "\ufeff  \tred\t cup\u00a0 ,\u3000mug \r\n\r\n  # a comment\rdog"
    assert load_vocabulary(write(tmp_path, content.encode())).classes == (("red cup", "mug"), ("dog",))


def test_words_of_any_language_and_emoji_are_words(tmp_path):
    words = ["می\u200cروم", "नेपाल", "猫", "👩\u200d🚀", "❤\ufe0f", "Straße", "é", "שלום"]
    assert load_vocabulary(write(tmp_path, "\n".join(words).encode())).names == tuple(words)


def test_large_lists_are_read(tmp_path):
    lines = [f"word {number}, synonym {number}" for number in range(5000)]
    assert len(load_vocabulary(write(tmp_path, "\n".join(lines).encode())).queries) == 10_000


def test_words_are_one_if_clip_reads_them_as_one():
    assert spoken("Red  Cup") == spoken("red cup") == spoken("red&nbsp;cup")
    assert spoken("wall-other") == spoken("wall - other") != spoken("wall other")
    assert spoken("12") == spoken("1 2")


def test_messages_show_the_beginning_of_long_words():
    assert (cut("cat"), quoted("cat"), listed(["a", "b"])) == ("cat", '"cat"', "a, b")
    assert len(cut("x" * 100)) == 60
    assert listed(list("abcdefg")) == "a, b, c, d, e, ..."


def harmless(word):
    """Nothing that a terminal obeys, that hides, or that turns the line around."""
    joined = "\u200c\u200d"
    return all(
        character in joined or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for character in word
    )


def content_of(draw):
    if draw.random() < 0.2:
        return draw.randbytes(draw.randrange(60))
    text = "".join(draw.choice(PIECES) + draw.choice(("", "", "\n", " ")) for _ in range(draw.randrange(1, 12)))
    return text.encode(draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32-le")), "surrogatepass")


def try_files(folder, seed, count):
    draw, path, read = random.Random(seed), folder / "words.txt", 0
    for _ in range(count):
        content = content_of(draw)
        path.write_bytes(content)
        try:
            vocabulary = load_vocabulary(path)
        except ValueError as error:
            said = sentence(error)
            assert harmless(said), content
            assert len(said) < 700, content
            assert said.endswith("."), said
            continue
        read += 1
        for word in vocabulary.queries:
            assert word == " ".join(word.split()) != ""
            assert harmless(word), content
            assert spoken(word)
        pieces = [spoken(word) for word in vocabulary.queries]
        assert len(set(pieces)) == len(pieces) or b"duplicates" in content
    return read


def test_files_of_any_bytes(tmp_path):
    assert try_files(tmp_path, 0, 600) > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_files_of_any_bytes(seed, tmp_path):
    assert try_files(tmp_path, seed, 5000) > 250


def said_of(word):
    """The word as it is read, or None and the message."""
    try:
        check_text(word, "here")
        return tidy(word, "here"), ""
    except ValueError as error:
        return None, str(error)


def test_every_character_is_a_word_or_refused():
    """One by one, and none of those that pass is invisible."""
    for code in [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFE00, 0x10010), *range(0xE0000, 0xE0080)]:
        word, message = said_of(f"a{chr(code)}b")
        assert f"U+{code:04X}" in message if word is None else harmless(word)


@pytest.mark.parametrize("separator", [pytest.param(",", marks=pytest.mark.slow), "\n"])
def test_more_words_than_anyone_has_are_refused_before_they_are_read(separator, tmp_path):
    content = separator.join(f"{number:x}" for number in range(50_001)).encode()
    assert len(content) < 1 << 20
    with pytest.raises(ValueError, match=r"words\.txt has 50001 words; 50000 are the most that a list may have"):
        load_vocabulary(write(tmp_path, content))
