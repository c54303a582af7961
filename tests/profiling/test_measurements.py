"""What has been measured is shown and written, whatever comes after it."""

import json
from argparse import Namespace

import pytest
from mmengine.config import Config

from mmseg_tfovss.profiling import measurements
from mmseg_tfovss.profiling.measurements import MEASUREMENTS
from mmseg_tfovss.profiling.official.pairs import Pairs
from mmseg_tfovss.profiling.official.report import Comparison
from tests.profiling.test_complexity import make_timing

CONFIGS = [Config({"run_name": name, "model": {"type": "SCLIP"}}) for name in ("first", "second", "third")]


@pytest.fixture
def measure(monkeypatch, tmp_path, capsys):
    """Measure the configs, of which the second raises an error; returns what was raised, and what was printed."""

    def start(kind, error, precisions=("fp32",)):
        def time(model, image, repeats):
            if model == "second":
                raise error
            return make_timing()

        monkeypatch.setattr(measurements, "_build", lambda config, arguments: config.run_name)
        monkeypatch.setattr(measurements, "time_stages", time)
        options = {"precision": precisions, "repeats": 1, "device": "cpu", "out": tmp_path / "cost.json"}
        with pytest.raises(type(error)) as raised:
            MEASUREMENTS[kind](CONFIGS, tmp_path, Namespace(**options), tmp_path)
        return str(raised.value), capsys.readouterr().out

    return start


def test_a_config_that_fails_keeps_no_others_from_the_table(measure, tmp_path):
    told, printed = measure("complexity", ValueError("There are no weights."))
    assert told == "1 of 3 configs could not be measured. second: There are no weights."
    assert "first" in printed
    assert [row["Model"] for row in json.loads((tmp_path / "cost.json").read_text())] == ["first", "third"]


def test_ctrl_c_leaves_the_rows_that_there_are(measure, tmp_path):
    measure("complexity", KeyboardInterrupt())
    assert [row["Model"] for row in json.loads((tmp_path / "cost.json").read_text())] == ["first"]


def test_a_part_does_not_replace_an_earlier_table(measure, tmp_path):
    (tmp_path / "cost.json").write_text("all of them")
    measure("complexity", ValueError("There are no weights."))
    assert (tmp_path / "cost.1.json").read_text() == "all of them"


@pytest.mark.parametrize(("error", "last"), [(ValueError("no"), True), (KeyboardInterrupt(), False)])
def test_stages_are_summed_up_as_far_as_they_go(measure, error, last):
    _, printed = measure("stages", error)
    summary = printed.split("Side by side")[1]
    assert "first, fp32" in summary
    assert ("third, fp32" in summary) == last


def test_a_stopped_comparison_is_written_and_then_the_stop_goes_on(monkeypatch, tmp_path, capsys):
    pairs = {"fp32": Pairs((2.0, 4.0), (1.0, 1.0), 1.0, 4)}
    found = Comparison("sclip", "SCLIP", "480x640", "a machine", pairs, 10, KeyboardInterrupt())
    monkeypatch.setattr(measurements, "time_against", lambda *_, **__: found)
    options = {"official": {}, "precision": ["fp32"], "device": "cpu", "repeats": 10, "hub": None, "against": tmp_path}
    out = tmp_path / "table.md"
    out.write_text("ten pairs")
    with pytest.raises(KeyboardInterrupt):
        MEASUREMENTS["against"](CONFIGS[:1], tmp_path, Namespace(**options, out=out), tmp_path)
    assert "The run was stopped after 2 of 10 pairs." in " ".join(capsys.readouterr().out.split())
    assert "Medians of 2 pairs" in out.read_text()
    assert (tmp_path / "table.1.md").read_text() == "ten pairs"
