"""State files and results, damaged in every way that a draw finds: a sentence or a fresh start, never a wrong sum."""

import io
import json
import random
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.finished import check_settings_of, finished_result, out_of_date, version_note
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.state import Part, StateFolder
from mmseg_tfovss.evaluation.result import RESULT_NAME
from mmseg_tfovss.leaderboard.table import class_table, print_table, summary_table
from tests.engine.test_run import CONFIG, SIZES, make_voc, small_options

BATCHES = 12
FILES = np.arange(100, 100 + BATCHES, dtype=np.uint64)
IDENTITY = {"model.type": '"SCLIP"', "the weights": "abc"}
SLOW = pytest.mark.slow


def part(session, process, batches):
    """The sum of any batches tells which they are."""
    numbers = np.array(batches, np.int64)
    confusion = np.array([[sum(1 << batch for batch in batches), 0], [0, 0]])
    return Part(session, process, IDENTITY, numbers, FILES[numbers], confusion, 2 * len(batches), 1.0, devices=["x86"])


def fill(state):
    """Two sessions of two processes, each part with the one before it."""
    state.begin(IDENTITY, FILES, 2, resume=True)
    for one in (part(0, 0, [0]), part(0, 1, [1]), part(0, 0, [0, 2]), part(0, 1, [1, 3])):
        state.write(one)
    state.begin(IDENTITY, FILES, 2, resume=True)
    for one in (part(1, 0, [0, 1, 2, 3, 4]), part(1, 1, [5]), part(1, 0, [0, 1, 2, 3, 4, 6]), part(1, 1, [5, 7])):
        state.write(one)


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, raw in members.items():
            file.writestr(name, raw)
    return buffer.getvalue()


def members(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def array_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def huge(draw):
    """A header that promises more than there is, or than there is memory."""
    buffer = io.BytesIO()
    shape = (draw.choice([7, 10**6, 10**10, 10**15, 2**62]),)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + b"\0" * 8


def foreign(draw):
    """Arrays that no part has."""
    return draw.choice(
        [
            np.array([[1000, 0], [0, 0]]),
            np.array([[1000]]),
            np.zeros((3, 3), np.int64),
            np.array([[-5, 0], [0, 0]]),
            np.array([[1.5, 0], [0, 0]]),
            np.array([0, 0, 1]),
            np.array([0, 1]),
            np.array([99]),
            np.array(5),
            np.array([], np.uint64),
            np.array(["a"]),
            np.array([{"a": 1}], dtype=object),
            np.frombuffer(draw.choice([b"[" * 50_000, b"{}", b"[]", b"null", b'{"session": "0"}', b"\xff"]), np.uint8),
            np.zeros(0, np.uint8),
        ]
    )


def other_bytes(kind, raw, whole, draw):
    """What a file may hold instead; other parts are taken from an undamaged state."""
    source, second = (members(path) for path in draw.sample(sorted(whole.glob("*.npz")), 2))
    name = draw.choice(sorted(source))
    spots = {draw.randrange(len(raw)) for _ in range(draw.choice([1, 1, 5, 100]))} if raw else set()
    return {
        "cut": lambda: raw[: draw.randrange(len(raw) + 1)],
        "flip": lambda: bytes(byte ^ (1 << draw.randrange(8)) if i in spots else byte for i, byte in enumerate(raw)),
        "foreign": lambda: archive({**source, name: array_bytes(foreign(draw))}),
        "huge": lambda: archive({**source, name: huge(draw)}),
        "member": lambda: archive({**source, name: second[name]}),
        "name": lambda: archive({"no.npy": source[name]}),
        "kind": lambda: draw.choice([b"", b"text", array_bytes(np.zeros(3)), b"PK\x05\x06" + b"\0" * 18, archive({})]),
    }[kind]()


def damage(state, draw, whole):
    """One of the ways in which a file goes wrong; which one, for a message."""
    path, other = draw.sample([path for path in sorted(state.path.glob("*.npz")) if path.is_file()], 2)
    raw = path.read_bytes()
    kinds = ("cut", "flip", "foreign", "huge", "member", "name", "kind")
    kind = draw.choice([*kinds, "swap", "copy", "folder", "rename"])
    if kind in kinds:
        path.write_bytes(other_bytes(kind, raw, whole, draw))
    elif kind == "swap":
        path.write_bytes(other.read_bytes())
        other.write_bytes(raw)
    elif kind == "copy":
        name = f"{draw.randrange(4):04d}-{draw.randrange(4):04d}{draw.choice(['', '.previous'])}.npz"
        with suppress(OSError):
            (state.path / name).write_bytes(raw)
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        with suppress(OSError):
            path.rename(path.with_name(draw.choice(["9999-0000.npz", "0000-9999.npz", "x.npz", "0001-0002.npz"])))
    return kind


@pytest.fixture(scope="module")
def whole_state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    fill(StateFolder(folder))
    return folder


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=SLOW) for seed in range(1, 30))])
def test_damaged_states_never_give_a_wrong_sum(whole_state, tmp_path, seed):
    draw, kept = random.Random(seed), set()
    for number in range(80):
        folder = shutil.copytree(whole_state, tmp_path / str(number))
        state = StateFolder(folder)
        kinds = [damage(state, draw, whole_state / "state") for _ in range(draw.choice([1, 1, 2]))]
        found = state.begin(IDENTITY, FILES, 2, resume=True)
        batches = found.batches.tolist()
        assert found.confusion.tolist() == [[sum(1 << batch for batch in batches), 0], [0, 0]], kinds
        assert (found.images, found.files.tolist()) == (2 * len(batches), FILES[batches].tolist()), kinds
        kept.add(tuple(batches))
        shutil.rmtree(folder)
    assert len(kept) > 1


def test_a_part_of_other_classes_is_another_run(tmp_path):
    state = StateFolder(tmp_path)
    state.begin(IDENTITY, FILES, 2, resume=True)
    state.write(part(0, 0, [0]))
    with pytest.raises(ValueError, match="cannot be resumed, because it is not this one: it has 2 classes"):
        state.begin(IDENTITY, FILES, 3, resume=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory, mini_clip):
    folder = tmp_path_factory.mktemp("result")
    config = load_config(CONFIG, small_options(make_voc(folder), mini_clip, folder / "work"))
    run_test(config)
    return config, Path(config.work_dir)


JUNK = [
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    "",
    "x",
    "\ud800",
    [],
    [1],
    {},
    {"a": 1},
    {"a": {}},
]


def damaged_text(text, draw):
    content = json.loads(text)
    kind = draw.choice(["cut", "flip", "junk", "junk", "inner", "lack", "other", "deep"])
    if kind == "cut":
        return text[: draw.randrange(len(text))]
    if kind == "flip":
        spot = draw.randrange(len(text))
        return text[:spot] + chr(ord(text[spot]) ^ (1 << draw.randrange(7))) + text[spot + 1 :]
    if kind == "lack":
        content.pop(draw.choice(sorted(content)))
    elif kind == "other":
        content = draw.choice(JUNK)
    elif kind == "deep":
        return "[" * 100_000
    else:
        where = content
        inner = [name for name, value in content.items() if isinstance(value, dict) and value]
        if kind == "inner":
            where = content[draw.choice(inner)]
        where[draw.choice(sorted(where))] = draw.choice(JUNK)
    return json.dumps(content)


def resume(config, folder):
    """What ``--resume`` does until it would load weights."""
    result = finished_result(config, folder)
    if result is None:
        with suppress(ValueError):
            check_settings_of(config, folder, restart_changed=False)
        out_of_date(config, folder)
        return None
    print_table(class_table(result))
    print_table(summary_table([result]))
    version_note(result)
    return result


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=SLOW) for seed in range(1, 30))])
def test_damaged_results_are_none(made, tmp_path, seed):
    config, folder = made
    text, draw, outcomes = (folder / RESULT_NAME).read_text(), random.Random(seed), set()
    for _ in range(60):
        raw = damaged_text(text, draw).encode(errors="surrogatepass")
        (tmp_path / RESULT_NAME).write_bytes(raw)
        outcomes.add(resume(config, tmp_path) is None)
    assert outcomes == {True, False}


def test_a_damaged_result_is_kept_and_the_run_is_made_again(made, tmp_path):
    config, folder = made
    config = config.copy()
    config.work_dir = str(tmp_path)
    content = json.loads((folder / RESULT_NAME).read_text())
    damaged = json.dumps({**content, "metrics": None, "per_class": [3]})
    (tmp_path / RESULT_NAME).write_text(damaged)
    assert run_test(config, resume=True)["num_images"] == len(SIZES)
    assert (tmp_path / "result.1.json").read_text() == damaged
