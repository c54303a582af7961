"""What processes tell each other, without starting any; see test_distributed.py for real ones."""

import json

import pytest
import torch.distributed as dist

from mmseg_tfovss.engine import peers as module
from mmseg_tfovss.engine.peers import PeerError, Peers
from mmseg_tfovss.engine.signals import StoppedError


@pytest.fixture
def peers(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_NOTE_TAKES", 0.1)
    one = Peers(tmp_path)
    one.several = True
    return one


def notes(folder):
    return [json.loads(path.read_text()) for path in folder.glob(module._NOTES)]


def test_the_first_reason_stands(peers, tmp_path):
    for text in ("first", "second"):
        with pytest.raises(ValueError, match=text), peers.together():
            raise ValueError(text)
    assert [note["message"] for note in notes(tmp_path)] == ["first"]
    with pytest.raises(PeerError, match="Process 0 of this run has failed: first"):
        peers.check()
    peers.check()  # not more than once a second


def test_a_signal_of_one_is_everybodys(peers):
    with pytest.raises(StoppedError), peers.together():
        raise StoppedError(15)
    with pytest.raises(StoppedError, match="SIGTERM"):
        peers.check()


@pytest.mark.parametrize(
    "error", [RuntimeError("[gloo/transport/tcp/pair.cc] closed by peer"), dist.DistNetworkError()]
)
def test_a_lost_connection_is_explained(peers, error, tmp_path):
    with pytest.raises(PeerError, match="has ended before its images were done"), peers.together():
        raise error
    assert notes(tmp_path) == []  # which is no reason
    (tmp_path / peers._note.name).write_text('{"process": 3, "message": "no weights", "signal": null}')
    with pytest.raises(PeerError, match="Process 3 of this run has failed: no weights"), peers.together():
        raise error


def test_other_errors_are_their_own(peers, tmp_path):
    with pytest.raises(RuntimeError, match="a bug"), peers.together():
        raise RuntimeError("a bug")
    assert notes(tmp_path)[0]["message"] == "a bug"


def test_notes_of_earlier_starts_are_ignored_and_removed(peers, tmp_path):
    earlier = tmp_path / module._NOTES.replace("*", "earlier")
    earlier.write_text('{"process": 1, "message": "old", "signal": null}')
    peers.check()
    peers.announce(ValueError("now"))
    peers.clear()
    assert [note["message"] for note in notes(tmp_path)] == ["now"]


def test_a_single_process_leaves_no_notes(tmp_path):
    alone = Peers(tmp_path)
    with pytest.raises(ValueError, match="x"), alone.together():
        raise ValueError("x")
    alone.wait()
    assert alone.gather(3) == [3]
    assert notes(tmp_path) == []


def test_processes_must_be_alike(peers, monkeypatch):
    monkeypatch.setattr(peers, "gather", lambda one: [one, one, {**one, "the weights": "def"}])
    with pytest.raises(ValueError, match="0 and 2 of this run differ: the weights is abc in the one and def in"):
        peers.agree({"the weights": "abc"})
    monkeypatch.setattr(peers, "gather", lambda one: [one, one])
    peers.agree({"the weights": "abc"})
