"""User mistakes are one sentence; option values are read as a user means them."""

import io
import logging
import os
import sys
from pathlib import Path

import pytest
import torch

import mmseg_tfovss
from mmseg_tfovss.cli import parse_options, say, sentence, user_errors
from mmseg_tfovss.plain import printable


def test_user_error_becomes_one_line_and_exit_code_1(capsys):
    with pytest.raises(SystemExit) as stop, user_errors():
        raise ValueError("two\nlines")
    assert stop.value.code == 1
    assert capsys.readouterr().err == "error: two lines\n"


def test_bugs_pass(capsys):
    with pytest.raises(KeyError), user_errors():
        raise KeyError("bug")
    assert capsys.readouterr().err == ""


def test_interruption_and_full_gpu_memory_are_no_tracebacks(capsys):
    with pytest.raises(SystemExit) as stop, user_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    with pytest.raises(SystemExit) as stop, user_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("lower model.window_batch or set model.precision=fp16.")
    with pytest.raises(RuntimeError, match="a bug"), user_errors():
        raise RuntimeError("a bug")


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("MMSEG_TFOVSS_TRACEBACK", "1")
    with pytest.raises(ValueError, match="shown"), user_errors():
        raise ValueError("shown")


def test_sentence_of_wrapped_and_system_errors():
    wrapped = ValueError(
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 1\nValueError: The image a.png is empty.'
    )
    assert sentence(wrapped) == "The image a.png is empty."
    assert sentence(OSError(28, "No space left on device", "/tmp/x")) == "/tmp/x: No space left on device."


def test_option_values():
    pairs = [
        "a=1",
        "b=0.5",
        "c=None",
        "d=true",
        "e=False",
        "f=224,112",
        "g=[8, 16]",
        "h=/my data/a,b.pt",
        "i=",
        "j=k=v",
        "k=dict(type='A', base=dict(type='B', n=1), c=[dict()])",
        "l=dict",
    ]
    assert parse_options(pairs) == {
        "a": 1,
        "b": 0.5,
        "c": None,
        "d": True,
        "e": False,
        "f": (224, 112),
        "g": [8, 16],
        "h": "/my data/a,b.pt",
        "i": "",
        "j": "k=v",
        "k": {"type": "A", "base": {"type": "B", "n": 1}, "c": [{}]},
        "l": "dict",
    }
    with pytest.raises(ValueError, match="KEY=VALUE pairs, but got 'x'"):
        parse_options(["x"])
    with pytest.raises(ValueError, match=r"^--official takes KEY=VALUE pairs, but got 'x'\.$"):
        parse_options(["x"], "--official")
    for broken in ("a=dict(type=SCLIP)", "a=dict(open('x'))", "a=dict(type='x'"):
        with pytest.raises(ValueError, match="cannot be read: put it in double quotes"):
            parse_options([broken])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 猫 [/b]", "café 猫 [/b]"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("a\nb\tc\u2028d", r"a\nb\tc\u2028d"),
        ("\ud800", r"\ud800"),
    ],
)
def test_text_is_shown_as_every_terminal_can(text, shown, capsys):
    assert printable(text) == shown
    say(text, Path(text.replace("\n", "")))
    assert capsys.readouterr().out.splitlines()[0] == shown


def test_names_in_errors_cannot_steer_the_terminal(capsys):
    with pytest.raises(SystemExit), user_errors():
        raise ValueError("The image \x1b[2J\udcff.png does not exist.")
    assert capsys.readouterr().err == "error: The image \\x1b[2J\\xff.png does not exist.\n"


def test_spaces_in_names_stay():
    assert sentence(ValueError("The image a  b.png\n  is\n\nodd.")) == "The image a  b.png is odd."


def test_names_in_warnings_cannot_steer_the_terminal():
    with user_errors():
        record = logging.LogRecord("a", logging.WARNING, "a.py", 1, "warning: %s\nis odd", ("\x1b[2J\udcff",), None)
        assert logging.lastResort.format(record) == "warning: \\x1b[2J\\xff\nis odd"


def test_a_name_that_no_text_file_can_hold_is_a_sentence():
    with pytest.raises(UnicodeEncodeError) as error:
        "run \udcff".encode()
    expected = r"The name 'run \udcff' has bytes that are no UTF-8 text: rename the file or folder."
    assert sentence(error.value) == expected


def test_messages_are_shown_where_the_terminal_has_few_characters(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with user_errors():
        say("café")
    assert raw.getvalue() == b"caf\\xe9\n"


def test_messages_name_commands_rather_than_scripts_of_a_clone():
    """An installed package has no tools/. What says how a number was made is a record, and stays."""
    package = Path(mmseg_tfovss.__file__).parent
    named = [path.name for path in sorted(package.rglob("*.py")) if "tools/" in path.read_text(encoding="utf-8")]
    assert named == ["analyze.py"]  # which records what was typed
