"""Parts of a run: written whole, found again, added up once each."""

from dataclasses import replace

import numpy as np
import pytest

from mmseg_tfovss.engine.state import Part, StateFolder

FILES = np.arange(100, 120, dtype=np.uint64)  # of each batch
IDENTITY = {"model.type": '"SCLIP"', "the weights": "abc"}


def part(session, process, batches, **changes):
    """Each batch has two images and two pixels of class 0."""
    values = {"images": 2 * len(batches), "seconds": 1.0, "devices": ["x86"], **changes}
    confusion = np.array([[2 * len(batches), 0], [0, 0]])
    numbers = np.array(batches, np.int64)
    return Part(session, process, IDENTITY, numbers, FILES[numbers], confusion, **values)


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path)


def resume(state, identity=IDENTITY):
    return state.begin(identity, FILES, 2, resume=True)


def test_a_first_session_has_counted_nothing(state):
    first = resume(state)
    assert (first.session, first.process, first.images, first.batches.tolist()) == (0, 0, 0, [])
    assert first.confusion.tolist() == [[0, 0], [0, 0]]
    assert [file.name for file in state.path.iterdir()] == ["0000-0000.npz"]


def test_processes_of_a_session_add_up(state):
    resume(state)
    state.write(part(0, 0, [0, 2], seconds=5.0, peak_memory_mb=7.0))
    state.write(part(0, 1, [1], seconds=3.0, devices=["H200"]))
    found = resume(state)
    assert found.batches.tolist() == [0, 1, 2]
    assert (found.images, found.confusion[0, 0], found.session) == (6, 6, 1)
    assert (found.earlier_seconds, found.seconds) == (5.0, 0.0)  # they worked at the same time
    assert (found.peak_memory_mb, found.devices) == (7.0, ["H200", "x86"])


def test_sessions_are_counted_once(state):
    """The first process's part includes what earlier sessions have counted, whose files are still there."""
    resume(state)
    state.write(part(0, 0, [0, 2]))
    state.write(part(0, 1, [1, 3]))
    second = resume(state)
    state.write(part(1, 0, [*second.batches.tolist(), 4], seconds=1.0, earlier_seconds=second.earlier_seconds))
    state.write(part(1, 1, [5], seconds=2.5))
    assert (state.path / "0000-0001.npz").exists()
    third = resume(state)
    assert third.batches.tolist() == [0, 1, 2, 3, 4, 5]
    assert (third.images, third.earlier_seconds) == (12, 3.5)
    assert not (state.path / "0000-0001.npz").exists()
    assert (state.path / "0001-0001.npz").exists()  # one session back, all is kept


def test_a_damaged_part_falls_back_to_the_one_before_it(state, caplog):
    resume(state)
    for batches in ([0], [0, 1], [0, 1, 2]):
        state.write(part(0, 0, batches))
    path = state.path / "0000-0000.npz"
    whole = path.read_bytes()
    for damaged in (b"", b"PK nonsense", whole[: len(whole) // 2], whole[:200] + b"\xff" * 20 + whole[220:]):
        path.write_bytes(damaged)
        caplog.clear()
        assert state._parts()[0].batches.tolist() == [0, 1]
        assert "0000-0000.npz is damaged" in caplog.text
    path.unlink()  # killed between two renamings
    assert state._parts()[0].batches.tolist() == [0, 1]


def test_two_damaged_files_cost_a_session_and_no_result(state):
    resume(state)
    state.write(part(0, 0, [0]))
    state.write(part(0, 1, [1]))
    resume(state)
    for file in state.path.glob("0001-0000*"):
        file.write_bytes(b"")
    state.write(part(1, 1, [2]))
    found = resume(state)
    assert (found.batches.tolist(), found.images, found.session) == ([0, 1, 2], 6, 2)


def test_what_a_killed_process_has_half_written_is_removed(state):
    resume(state)
    (state.path / ".0000-0000.77.npz").write_bytes(b"half")
    resume(state)
    assert not list(state.path.glob(".*"))


def test_another_run_is_refused_with_what_changed(state):
    resume(state)
    state.write(part(0, 0, [0]))
    other = {"model.type": '"CLIP"', "model.sigma": "5"}
    with pytest.raises(ValueError, match="cannot be resumed") as error:
        resume(state, other)
    for words in (
        'model.type was "SCLIP" and is "CLIP"',
        "the weights was abc and is absent",
        "model.sigma was absent and is 5",
        "--restart-changed",
    ):
        assert words in str(error.value)
    assert resume(state).images == 2  # nothing is lost


def test_every_part_must_be_of_this_run(state):
    resume(state)
    state.write(part(0, 0, [0]))
    state.write(replace(part(0, 1, [1]), identity={"the weights": "others"}))
    with pytest.raises(ValueError, match="the weights was others and is abc"):
        resume(state)


def test_files_may_change_in_batches_that_are_still_to_do(state):
    resume(state)
    state.write(part(0, 0, [0, 3]))
    later, counted = FILES.copy(), FILES.copy()
    later[[1, 2, 4]] = 7
    assert state.begin(IDENTITY, later, 2, resume=True).images == 4
    counted[3] = 7
    with pytest.raises(ValueError, match="files of the dataset have changed in 1 of the batches that are counted"):
        state.begin(IDENTITY, counted, 2, resume=True)
    with pytest.raises(ValueError, match="it has more batches"):
        state.begin(IDENTITY, FILES[:3], 2, resume=True)


def test_another_run_can_be_begun_anew(state, caplog):
    resume(state)
    state.write(part(0, 0, [0]))
    assert state.begin(IDENTITY, FILES, 2, resume=True, restart_changed=True).images == 2  # not if it is the same
    assert state.begin({"model.type": '"CLIP"'}, FILES, 2, resume=True, restart_changed=True).images == 0
    assert 'it was another one: model.type was "SCLIP" and is "CLIP"' in caplog.text
    kept = StateFolder(state.path.parent)
    kept.path = state.path.with_name("state.1")
    assert sum(part.images for part in kept._parts()) == 2 + 2  # its second session's first part includes the first's
    assert resume(state, {"model.type": '"CLIP"'}).session == 1


def test_another_run_that_has_counted_nothing_is_no_obstacle(state):
    resume(state)
    assert resume(state, {"model.type": '"CLIP"'}).images == 0


def test_many_changes_are_counted(state):
    resume(state)
    state.write(part(0, 0, [0]))
    with pytest.raises(ValueError, match=r"a0 was absent and is 0; .*; and 6 more"):
        resume(state, {f"a{number}": str(number) for number in range(9)})


def test_a_run_that_is_not_resumed_is_kept_under_another_name(state, caplog):
    for number in (1, 2):
        resume(state)
        state.write(part(0, 0, [0]))
        assert state.begin({"other": "run"}, FILES, 2, resume=False).images == 0
        assert (state.path.parent / f"state.{number}" / "0000-0000.npz").is_file()
        state.forget()
    assert "an unfinished run was there; it is kept as" in caplog.text
    resume(state)
    state.begin({}, FILES, 2, resume=False)  # nothing had been counted
    assert not (state.path.parent / "state.3").exists()


def test_what_cannot_be_read_is_not_thrown_away(state):
    resume(state)
    (state.path / "0000-0000.npz").write_bytes(b"of a disk that is away")
    state.begin(IDENTITY, FILES, 2, resume=False)
    assert (state.path.parent / "state.1" / "0000-0000.npz").is_file()


@pytest.mark.parametrize("error", [NotImplementedError("zip file version 21.0"), RuntimeError("is encrypted")])
def test_damage_that_looks_like_another_kind_of_file(state, error, monkeypatch):
    """Single bytes of a zip file, changed, say that."""
    resume(state)
    for batches in ([0], [0, 1]):
        state.write(part(0, 0, batches))
    load = np.load

    def damaged(path, **kwargs):
        if path.name == "0000-0000.npz":
            raise error
        return load(path, **kwargs)

    monkeypatch.setattr(np, "load", damaged)
    assert resume(state).batches.tolist() == [0]


def test_forgetting_removes_everything(state):
    resume(state)
    state.forget()
    assert not state.path.exists()
