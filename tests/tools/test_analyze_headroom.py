"""analyze.py's comparison of DSLO's readings, as a user types it (in this process: starting another takes seconds)."""

import json
from dataclasses import asdict

import pytest

from mmseg_tfovss.studies.headroom import study
from mmseg_tfovss.studies.headroom.study import Options
from tests.tools.test_analyze_cliptrase import analyze  # noqa: F401 - a fixture


def test_headroom(analyze, tmp_path):  # noqa: F811
    code, printed, errors = analyze("headroom", "--scenes", 3, "--no-diffusion", "--auc", 0.9, "--out", "there")
    assert code == 0, errors
    lines = printed.splitlines()
    assert lines[-3:] == [f"Written: there/headroom.{kind}" for kind in ("json", "md", "csv")]
    result = json.loads((tmp_path / "there/headroom.json").read_text())
    assert result["command"] == "python tools/analyze.py headroom --scenes 3 --no-diffusion --auc 0.9 --out there"
    assert (result["scenes"], result["diffusion"], list(result["graph_auc"])) == (3, False, ["planted 0.9"])
    assert f"{result['upper_mIoU']:.2f}" in lines[3]
    assert errors.splitlines()[-1].startswith("headroom: 3/3")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_defaults_of_the_command_are_those_of_the_study(analyze, monkeypatch):  # noqa: F811
    asked = {}

    def refuse(folder, options, command):
        asked.update(asdict(options), folder=str(folder))
        raise ValueError("enough")

    monkeypatch.setattr(study, "analyse", refuse)
    assert analyze("headroom") == (1, "", "error: enough\n")
    assert asked == {**asdict(Options()), "folder": "work_dirs/analysis/headroom"}
    chosen = ("--scenes", 7, "--auc", 0.8, 0.9, "--auc", 0.95, "--theta", 0.2, "--logit-noise", 0.02, "--seed", 4)
    analyze("headroom", *chosen, "--no-diffusion", "--upsampling", "jbu", "--out", "there")
    settings = {"scenes": 7, "aucs": (0.8, 0.9, 0.95), "theta": 0.2, "logit_noise": 0.02, "seed": 4}
    expected = Options(**settings, diffusion=False, upsampling="jbu")
    assert asked == {**asdict(expected), "folder": "there"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scenes", 0), "error: --scenes must lie in [1, 200], but got 0."),
        (("--auc", 0.4), "error: --auc must lie in [0.7, 0.98], but got 0.4."),
        (("--theta", "nan"), "error: --theta must lie in [0, 1], but got nan."),
        (("--logit-noise", -1), "error: --logit-noise must lie in [0.0001, 1], but got -1.0."),
    ],
)
def test_mistakes_are_one_sentence(analyze, arguments, message, tmp_path):  # noqa: F811
    assert analyze("headroom", *arguments) == (1, "", f"{message}\n")
    assert list(tmp_path.iterdir()) == []
