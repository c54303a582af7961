"""Steps run in order and in time, and what they find is kept whatever happens."""

import pytest

from mmseg_tfovss.profiling.gpu_report.deadline import Deadline, clock_text
from mmseg_tfovss.profiling.gpu_report.entries import LeftOutError, Step
from mmseg_tfovss.profiling.gpu_report.schedule import run_steps


class Time:
    """A clock that only work moves."""

    now = 0.0

    def __call__(self):
        return self.now


def rows(*found):
    return lambda deadline: iter(found)


def test_rows_remarks_and_ends_of_all_steps(capsys):
    saved = []

    def broken(deadline):
        yield {"value": 2}
        raise ZeroDivisionError("division by zero")

    def absent(deadline):
        yield "so far, so good"
        raise LeftOutError("There is no such package.")

    steps = [
        Step("a", "one", rows({"value": 1}, "a remark")),
        Step("a", "two", broken),
        Step("b", "three", absent),
        Step("b", "four", rows({"value": 4})),
    ]
    entries = run_steps(steps, 60, lambda found: saved.append([len(entry.rows) for entry in found]))
    assert [entry.state for entry in entries] == ["done", "failed", "left out", "done"]
    assert [entry.rows for entry in entries] == [[{"value": 1}], [{"value": 2}], [], [{"value": 4}]]
    assert entries[0].remarks == ["a remark"]
    assert [entry.error for entry in entries[1:3]] == [
        "ZeroDivisionError: division by zero",
        "There is no such package.",
    ]
    # After each find, and after each step.
    assert saved == [[1], [1], [1], [1, 1], [1, 1], [1, 1, 0], [1, 1, 0], [1, 1, 0, 1], [1, 1, 0, 1]]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "1/4 a: one, about 1:00 left"
    assert [line.split(",")[0] for line in lines if "left" in line] == [
        "1/4 a: one",
        "2/4 a: two",
        "3/4 b: three",
        "4/4 b: four",
    ]


def test_each_step_has_its_share_of_what_is_left():
    time, shares = Time(), []

    def work(seconds):
        def run(deadline):
            shares.append(deadline.left())
            time.now += seconds
            yield {}

        return run

    steps = [Step("a", "one", work(10)), Step("a", "two", work(60), weight=2), Step("a", "three", work(1))]
    entries = run_steps(steps, 100, lambda _: None, clock=time)
    assert shares == [25, 60, 30]
    assert [entry.seconds for entry in entries] == [10, 60, 1]


def test_when_time_is_up_the_rest_is_left_out(capsys):
    time = Time()

    def slow(deadline):
        time.now += 61
        yield {}
        assert deadline.over()

    entries = run_steps([Step("a", "one", slow), Step("a", "two", rows({}))], 60, lambda _: None, clock=time)
    assert [entry.state for entry in entries] == ["done", "left out"]
    assert entries[1].error == "the time was up; --minutes gives more."
    assert "two" not in capsys.readouterr().err


def started(seconds, *steps):
    """Names of the steps that are not left out; each takes some seconds, whatever its deadline."""
    time = Time()

    def work(taken):
        def run(deadline):
            time.now += taken
            yield {}

        return run

    found = run_steps([Step(section, name, work(taken)) for section, name, taken in steps], seconds, id, clock=time)
    return [entry.name for entry in found if entry.state == "done"], found


def test_a_step_that_cannot_fit_is_not_started(capsys):
    names, found = started(60, ("a", "one", 31), ("a", "two", 31), ("b", "three", 31))
    assert names == ["one"]
    assert [entry.error for entry in found[1:]] == ["only 0:29 was left; --minutes gives more."] * 2
    assert "two" not in capsys.readouterr().err
    assert [entry.allowed for entry in found] == [20, 0, 0]


def test_steps_that_end_at_their_deadline_do_not_show_what_they_take():
    in_time = [("a", str(number), 12) for number in range(4)]
    assert len(started(60, *in_time, ("a", "last", 12))[0]) == 5


def test_ctrl_c_is_handed_on_when_all_is_saved():
    saved = []

    def interrupted(deadline):
        yield {"value": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_steps(
            [Step("a", "one", interrupted), Step("a", "two", rows({}))], 60, lambda found: saved.append(list(found))
        )
    [entry] = saved[-1]
    assert (entry.state, entry.rows) == ("stopped", [{"value": 1}])


def test_seconds_of_the_step_are_in_what_is_saved_last():
    time, saved = Time(), []

    def work(deadline):
        time.now += 3
        yield {}

    run_steps([Step("a", "one", work)], 60, lambda found: saved.append(found[-1].seconds), clock=time)
    assert saved == [0, 3]


def test_deadline_and_its_text():
    time = Time()
    deadline = Deadline(2, time)
    assert (deadline.left(), deadline.over()) == (2, False)
    time.now = 5
    assert (deadline.left(), deadline.over()) == (0, True)
    assert [clock_text(seconds) for seconds in (0, 59.6, 187)] == ["0:00", "1:00", "3:07"]
