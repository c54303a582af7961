"""Flags are read together, at the end of a block, and errors are those of an immediate check."""

from contextlib import nullcontext
from threading import Thread

import pytest
import torch

from mmseg_tfovss.deferred import checked_at_the_end, is_known, refuse_if, tell_if
from mmseg_tfovss.profiling.pretend import PRETEND, pretend_device

SET, UNSET = torch.tensor(data=True), torch.tensor(data=False)


def test_outside_of_a_block_a_flag_is_read_at_once():
    refuse_if(UNSET, lambda: ValueError("no"))
    with pytest.raises(ValueError, match="yes"):
        refuse_if(SET, lambda: ValueError("yes"))


def test_in_a_block_the_first_set_flag_is_raised_at_its_end():
    told = []

    @checked_at_the_end()
    def run():
        tell_if(SET, lambda: told.append("before"))
        refuse_if(UNSET, lambda: ValueError("never"))
        refuse_if(SET, lambda: ValueError("first"))
        refuse_if(SET, lambda: ValueError("second"))
        tell_if(SET, lambda: told.append("after"))
        told.append("end of the block")

    with pytest.raises(ValueError, match="first"):
        run()
    assert told == ["end of the block", "before"]


@pytest.mark.parametrize(("flag", "raised"), [(SET, "no numbers"), (UNSET, "eigh did not converge")])
def test_a_flag_explains_what_fails_after_it(flag, raised):
    @checked_at_the_end()
    def run():
        refuse_if(flag, lambda: ValueError("no numbers"))
        raise RuntimeError("eigh did not converge")

    with pytest.raises((ValueError, RuntimeError), match=raised):
        run()


def in_words(error):
    return ValueError(f"image a: {error}") if isinstance(error, KeyError) else error


@pytest.mark.parametrize("around", [nullcontext, checked_at_the_end])
def test_inner_blocks_say_errors_in_their_words(around):
    with pytest.raises(ValueError, match="image a: 'bad'") as caught, around(), checked_at_the_end(in_words):
        refuse_if(SET, lambda: KeyError("bad"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_inner_blocks_say_what_is_raised_in_them_in_their_words_too():
    with pytest.raises(ValueError, match="image a"), checked_at_the_end(), checked_at_the_end(in_words):
        raise KeyError("bad")


def test_an_interrupted_block_leaves_nothing_behind():
    @checked_at_the_end()
    def run():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    with pytest.raises(ValueError, match="at once"):
        refuse_if(SET, lambda: ValueError("at once"))


def test_flags_that_cannot_be_read_do_not_hide_a_failure(monkeypatch):
    def fail(flags):
        raise RuntimeError("device-side assert")

    @checked_at_the_end()
    def run():
        refuse_if(SET, lambda: ValueError("no numbers"))
        raise MemoryError("full")

    monkeypatch.setattr("mmseg_tfovss.deferred._read", fail)
    with pytest.raises(MemoryError, match="full"):
        run()


def test_threads_check_by_themselves():
    caught = []

    def work():
        try:
            refuse_if(SET, lambda: ValueError("here"))
        except ValueError as error:
            caught.append(error)

    with checked_at_the_end():
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert len(caught) == 1


def test_a_device_is_waited_for_once():
    with pretend_device() as device:
        flags = [UNSET.to(PRETEND) for _ in range(3)]
        device.syncs.clear()
        with checked_at_the_end():
            for flag in [*flags, UNSET]:
                refuse_if(flag, lambda: ValueError("no"))
            assert device.syncs == []
        assert len(device.syncs) == 1


def test_a_shortcut_is_taken_only_where_the_host_knows():
    assert is_known(SET)
    assert not is_known(UNSET)
    with pretend_device() as device:
        flag = SET.to(PRETEND)
        device.syncs.clear()
        assert not is_known(flag)
        assert device.syncs == []
