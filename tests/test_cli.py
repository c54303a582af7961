"""User mistakes are one sentence; option values are read as a user means them."""

import pytest
import torch

from mmseg_tfovss.cli import parse_options, sentence, user_errors


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
    for broken in ("a=dict(type=SCLIP)", "a=dict(open('x'))", "a=dict(type='x'"):
        with pytest.raises(ValueError, match="cannot be read: put it in double quotes"):
            parse_options([broken])
