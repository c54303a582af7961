"""One damaged result hides no other, and ends nothing: whatever a file holds."""

import copy
import json
import os
import random
import socket

import pytest

from mmseg_tfovss.evaluation.result import write_result
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.latex import to_latex
from mmseg_tfovss.leaderboard.results import collect_results
from mmseg_tfovss.leaderboard.text import to_csv, to_markdown, to_runs_csv
from mmseg_tfovss.leaderboard.write import make_board
from tests.evaluation.test_result import make_result

GOOD = make_result(
    settings={"model.alpha": "0.5"},
    overrides={"short_side": "448"},
    inputs={"/data/weights.pt": "1" * 64},
    assumptions=["QuickGELU assumed"],
    package="mmseg_tfovss 0.1.0, source",
)
ODD = (
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    1e308,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\x00\x1b[31m\u202e",
    "\udcff",
    "\ud800",
    "=1+1",
    [],
    [None],
    [[[]]],
    {},
    {"a": None},
    {"IoU": "x", "Acc": []},
    {"": {}},
)


def places(value, path=()):
    """Paths to everything in a nested value."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


def damaged(draw):
    """A result file with something wrong, or odd, in it: bytes."""
    result = GOOD
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        path = draw.choice(list(places(result))[1:] or [()])
        result = replaced(result, path, draw.choice(ODD))
    if not isinstance(result, dict):
        return json.dumps(result).encode()
    kind = draw.random()
    if kind < 0.1:
        result = {key: value for key, value in result.items() if draw.random() > 0.05}
    text = json.dumps(result, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind > 0.9:
        text = text[: draw.randrange(len(text))]
    elif kind > 0.8:
        place = draw.randrange(len(text))
        text = text[:place] + draw.randbytes(draw.randint(1, 4)) + text[place + 1 :]
    elif kind > 0.75:
        text = text.replace(b'"method"', b'"method": "other", "method"', 1)
    return text


def check_everything_is_named_and_shown(folder, count):
    collected = collect_results([folder])
    names = [run.path.parent.name for run in collected.runs] + [i.path.parent.name for i in collected.left_out]
    assert sorted(names) == sorted(path.name for path in folder.iterdir())
    assert len(names) == count
    assert {"good0", "good1", "good2"} <= {run.path.parent.name for run in collected.runs}
    for item in collected.left_out:
        assert item.reason.endswith(".")
        assert len(item.reason) < 700
        assert item.reason.isprintable()
    board = make_board(collected)
    for text in (to_html(board, folder), to_latex(board), to_markdown(board), to_csv(board), to_runs_csv(board)):
        text.encode()
    assert sum(len(section.lines) for section in board.sections) >= 3
    return collected


def make_good(folder):
    for number, method in enumerate(("SCLIP", "CLIP", "NACLIP")):
        write_result(make_result(method=method, config_hash="good"), folder / f"good{number}")


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_drawn_damage(seed, tmp_path):
    draw = random.Random(seed)
    make_good(tmp_path)
    count = 300 if seed == 0 else 3000
    for number in range(count):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/result.json").write_bytes(damaged(draw))
    collected = check_everything_is_named_and_shown(tmp_path, count + 3)
    assert len(collected.left_out) > count / 2


def special(kind, path):
    """Make something in the place of a result file."""
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "link to nothing":
        path.symlink_to("nothing")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes({
            "empty": b"",
            "huge": b"[" + b"0," * (9 << 20) + b"0]",
            "deep": b"[" * 200_000 + b"]" * 200_000,
            "deep inside": json.dumps(GOOD).encode()[:-1] + b', "more": ' + b"[" * 900 + b"]" * 900 + b"}",
            "long number": json.dumps(GOOD).encode().replace(b"59.1234", b"9" * 5000),
            "twice": json.dumps(GOOD).encode().replace(b'"method":', b'"method": "CLIP", "method":'),
            "twice below": json.dumps(GOOD).encode().replace(b'"mIoU":', b'"mIoU": 99.0, "mIoU":'),
            "UTF-16": json.dumps(GOOD).encode("utf-16"),
            "BOM": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
            "Latin-1": json.dumps({**GOOD, "method": "é"}, ensure_ascii=False).encode("latin-1"),
        }[kind])  # fmt: skip


SPECIAL = {
    "folder": "is a folder, not a result",
    "pipe": "is no regular file",
    "socket": "is no regular file",
    "link to itself": "is no regular file",
    "link to nothing": "is no regular file",
    "device": "is no regular file",
    "empty": "is not a result file",
    "huge": "is not a result file (larger than 16 MiB)",
    "deep": "is not a result file (too deeply nested)",
    "long number": "is not a result file (a number of 5000 digits)",
    "twice": "is not a result file (the key 'method' occurs twice)",
    "twice below": "is not a result file (the key 'mIoU' occurs twice)",
    "UTF-16": "is not a result file",
    "BOM": "is not a result file",
    "Latin-1": "is not a result file",
}


def test_what_is_no_result_file_is_named(tmp_path, monkeypatch):
    make_good(tmp_path)
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    for kind in (*SPECIAL, "deep inside"):
        (tmp_path / kind).mkdir()
        special(kind, tmp_path.__class__(kind, "result.json"))
    collected = check_everything_is_named_and_shown(tmp_path, len(SPECIAL) + 4)
    reasons = {item.path.parent.name: item.reason for item in collected.left_out if item.path.parent.name in SPECIAL}
    assert reasons.keys() == SPECIAL.keys()
    for kind, reason in reasons.items():
        assert reason.startswith(SPECIAL[kind]), kind


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    make_good(tmp_path)
    write_result(make_result(method="DSLO"), tmp_path / "locked")
    open_ = tmp_path.__class__.open

    def refuse(path, *arguments, **options):
        if path.parent.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *arguments, **options)

    monkeypatch.setattr(tmp_path.__class__, "open", refuse)
    collected = check_everything_is_named_and_shown(tmp_path, 4)
    assert [item.reason for item in collected.left_out] == ["cannot be read: Permission denied."]


def test_an_error_that_nobody_foresaw_costs_one_result(tmp_path, monkeypatch):
    make_good(tmp_path)
    write_result(make_result(method="DSLO"), tmp_path / "odd")

    def fail(result):
        if result["method"] == "DSLO":
            raise TypeError("never seen before")

    monkeypatch.setattr("mmseg_tfovss.leaderboard.results.check_result", fail)
    collected = check_everything_is_named_and_shown(tmp_path, 4)
    assert [item.reason[:33] for item in collected.left_out] == ["is not a result file (TypeError):"]


@pytest.mark.parametrize("name", ["avg 8", "average", "Method", "Partial", "voc21 published", "avg 8 "])
def test_a_dataset_cannot_take_another_columns_title(name, tmp_path):
    make_good(tmp_path)
    write_result(make_result(dataset=name), tmp_path / "odd")
    collected = check_everything_is_named_and_shown(tmp_path, 4)
    assert "which is the title of another column" in collected.left_out[0].reason


def test_names_of_files_that_are_no_utf_8_are_no_damage(tmp_path):
    write_result(make_result(backbone="ViT-B-16/w-\udcff", inputs={"/w-\udcff.pt": "1"}), tmp_path / "a")
    board = make_board(collect_results([tmp_path]))
    assert "ViT-B-16/w-\\xff" in to_html(board, tmp_path)
    assert r"ViT-B-16/w-\\xff" in to_markdown(board)
