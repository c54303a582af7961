"""One measurement at a time, and no option that would not act on it."""

import pytest

from mmseg_tfovss.commands.benchmark import check, main, parse_arguments
from mmseg_tfovss.profiling.kinds import KINDS, STAGES, choose_kind
from mmseg_tfovss.profiling.measurements import MEASUREMENTS

# A command line for each measurement, and a value for each option.
LINES = {
    STAGES: ["a"],
    "complexity": ["a", "b", "--complexity"],
    "host_syncs": ["a", "--host-syncs"],
    "loader": ["a", "--loader", "8"],
    "scale": ["a", "--scale", "out"],
    "against": ["a", "--against", "folder"],
    "solvers": ["--solvers"],
    "gpu_report": ["--gpu-report", "out"],
}
OPTIONS = {
    "image": ["--image", "x.png"],
    "size": ["--size", "10", "20"],
    "random_weights": ["--random-weights"],
    "precision": ["--precision", "bf16"],
    "repeats": ["--repeats", "2"],
    "device": ["--device", "cpu"],
    "cfg_options": ["--cfg-options", "model.pamr_steps=0"],
    "out": ["--out", "x.md"],
    "sizes": ["--sizes", "1"],
    "words": ["--words", "1"],
    "batches": ["--batches", "1"],
    "official": ["--official", "a=b"],
    "hub": ["--hub", "dino"],
    "minutes": ["--minutes", "4"],
    "report_network": ["--report-network", "pocket"],
}


def chosen(*line):
    return choose_kind(vars(parse_arguments(line)))


def test_every_measurement_and_option_is_known():
    assert LINES.keys() == KINDS.keys() == MEASUREMENTS.keys()
    assert OPTIONS.keys() == vars(parse_arguments([])).keys() - KINDS.keys() - {"configs"}
    assert OPTIONS.keys() == {name for kind in KINDS.values() for name in kind.acts}


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_acts_or_is_refused(kind):
    assert chosen(*LINES[kind]) == kind
    for name, option in OPTIONS.items():
        if name in KINDS[kind].acts:
            assert chosen(*LINES[kind], *option) == kind
        else:
            with pytest.raises(
                ValueError, match=rf"^{option[0]} does not act with.*: leave it out\. It acts (alone, and )?with "
            ):
                chosen(*LINES[kind], *option)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != STAGES])
def test_one_measurement_at_a_time(kind):
    other = "--host-syncs" if kind == "complexity" else "--complexity"
    with pytest.raises(ValueError, match="are two measurements: give one at a time"):
        chosen(*LINES[kind], other)


@pytest.mark.parametrize("kind", KINDS)
def test_number_of_configs(kind):
    options = [word for word in LINES[kind] if word not in ("a", "b")]
    wanted = {
        "none": ("takes no config: leave out a", ["a"]),
        "one": ("takes one config, but got 2", ["a", "b"]),
        "some": ("Name a config to time", []),
    }
    message, configs = wanted[KINDS[kind].configs]
    with pytest.raises(ValueError, match=message):
        chosen(*configs, *options)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["a", "--image", "x.png", "--size", "3", "4"], "--size is that of the image made in place of --image"),
        (["a", "--repeats", "0"], "--repeats must be at least 1, but got 0"),
        (["a", "--size", "0", "0"], "--size takes a height and a width of 1 to 65500 pixels"),
        (["a", "--size", "-5", "10"], "but got -5 10."),
        (["a", "--size", "60000", "60000"], "at most 134217728 pixels in all, but got 60000 60000."),
        (["a", "--precision", "fp32", "fp8"], "--precision must be one of fp32, bf16, fp16, but got 'fp8'."),
        (["a", "--against", "x", "--official", "foo"], "--official takes KEY=VALUE pairs, but got 'foo'."),
        (["a", "--device", "meta"], "The device 'meta' computes nothing"),
        (["a", "--device", "hpu"], "The device 'hpu' is not available here"),
        (["a", "--image", "no.png"], "The image no.png does not exist"),
        (["a", "--loader", "0"], "--loader must be at least 1, but got 0"),
        (["a", "--complexity", "--out", "x.txt"], "--out must end with one of"),
        (["a", "--scale", "out", "--precision", "fp32", "bf16"], "--scale takes one precision, but got fp32 bf16"),
        (
            ["a", "--out", "x.md"],
            "--out does not act without another measurement: leave it out. It acts with --complexity or --against.",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(line, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code not in (0, None)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--scale", "--gpu-report", "--against", "--out", "--image", "--hub"])
def test_an_empty_path_is_refused(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["a", option, ""])
    assert stopped.value.code == 2
    assert f"argument {option}: got an empty name" in capsys.readouterr().err


def test_defaults_are_filled_in_for_the_measurement():
    arguments = parse_arguments(["a"])
    assert check(arguments) == STAGES
    assert (arguments.precision, arguments.repeats, arguments.size) == (["fp32"], 5, (480, 640))
