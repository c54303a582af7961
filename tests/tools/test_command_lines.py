"""The command lines as a user starts them."""

import importlib.util
import json
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.test_finished import result_of
from tests.evaluation.test_result import make_result

ROOT = Path(__file__).parents[2]
SCLIP = ROOT / "configs/sclip/sclip_vit-b16_voc21.py"


def run(tool, *arguments, cwd):
    command = [sys.executable, ROOT / "tools" / tool, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", ["test.py", "demo.py", "benchmark.py", "leaderboard.py", "sweep.py"])
def test_help(tool, tmp_path):
    answer = run(tool, "--help", cwd=tmp_path)
    assert answer.returncode == 0
    assert "usage:" in answer.stdout


@pytest.mark.slow
def test_demo_writes_its_three_files_from_any_folder(mini_clip, tmp_path):
    image = ROOT / "tests/parity/images/china.png"
    file = (f"model.backbone.pretrained={mini_clip}", "model.backbone.arch=auto")
    weights = (*file, "model.backbone.quick_gelu=True")
    words = ("--classes", "sky, cloud; temple; tree", "--save-logits", "--window", "0", "0", "--short-side", "64")
    size = ("model.test_cfg.crop_size=32", "model.test_cfg.stride=16", "model.decode_head.templates=photo")
    answer = run("demo.py", image, SCLIP, *words, "--out-dir", "out", "--cfg-options", *weights, *size, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    with Image.open(tmp_path / "out/china_mask.png") as mask, np.load(tmp_path / "out/china.npz") as arrays:
        assert np.array_equal(np.array(mask), arrays["pred"])
        assert arrays["seg_logits"].shape == (4, *arrays["pred"].shape)
        assert arrays["seg_logits"].dtype == np.float32
        assert list(arrays["classes"]) == ["sky", "temple", "tree"]
        assert list(arrays["queries"]) == ["sky", "cloud", "temple", "tree"]
        assert arrays["patch_logits"].shape[0] == 4
    assert (tmp_path / "out/china_overlay.png").is_file()
    read, background, area, written = answer.stdout.splitlines()
    assert read == "3 classes (4 words): sky, temple, tree"
    assert background.startswith(
        'note: class 0 ("sky") is the background: pixels below model.decode_head.prob_threshold=0.1'
    )
    assert area.startswith("note: model.decode_head.area_threshold=0.1 is off")
    assert written.startswith("Written to out: ")


def test_mistakes_are_one_sentence_with_exit_code_1(tmp_path, monkeypatch, capsys):
    """In this process: starting another takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["test.py", str(SCLIP), "--cfg-options", "model.type=SCLIPP"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/test.py"), run_name="__main__")
    answer = capsys.readouterr()
    assert end.value.code == 1
    assert answer.err.startswith("error: model.type: unknown")
    assert len(answer.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_resume_shows_the_finished_result(tmp_path):
    from mmseg_tfovss.config import load_config

    folder = tmp_path / "work"
    folder.mkdir()
    finished = result_of(load_config(SCLIP))
    (folder / "result.json").write_text(json.dumps(finished))
    answer = run("test.py", SCLIP, "--work-dir", folder, "--resume", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Already finished" in answer.stdout
    assert "59.12" in answer.stdout


def test_an_interrupted_run_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    """In this process: starting another takes seconds."""
    from mmseg_tfovss.engine import run, signals

    def stopped(*_, **options):
        assert options == {"resume": True, "restart_changed": False, "hooks": ()}
        raise signals.StoppedError(signal.SIGTERM)

    monkeypatch.setattr(run, "run_test", stopped)
    monkeypatch.setattr(sys, "argv", ["test.py", str(SCLIP), "--work-dir", str(tmp_path), "--resume"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/test.py"), run_name="__main__")
    assert (end.value.code, capsys.readouterr().out) == (143, "")


@pytest.mark.parametrize("forced", [True, False])
def test_words_are_forced_by_a_flag_that_is_an_option(forced, tmp_path, monkeypatch):
    from mmseg_tfovss.engine import run, signals

    seen = []

    def stopped(config, **_):
        seen.append((config.force_vocabulary, dict(config.overrides)))
        raise signals.StoppedError(signal.SIGTERM)

    monkeypatch.setattr(run, "run_test", stopped)
    flags = ["--force-vocabulary"] if forced else []
    monkeypatch.setattr(sys, "argv", ["test.py", str(SCLIP), "--work-dir", str(tmp_path), *flags])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "tools/test.py"), run_name="__main__")
    assert seen == [(forced, {"force_vocabulary": "True"} if forced else {})]


def test_scores_are_shown_even_if_the_result_cannot_be_written(tmp_path, monkeypatch, capsys):
    from mmseg_tfovss.engine import run

    def full(*_, **__):
        raise run.UnwrittenResultError(make_result(), OSError(28, "No space left on device", "w/result.json"))

    monkeypatch.setattr(run, "run_test", full)
    monkeypatch.setattr(sys, "argv", ["test.py", str(SCLIP), "--work-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "tools/test.py"), run_name="__main__")
    said = capsys.readouterr()
    assert (end.value.code, said.err) == (1, "error: w/result.json: No space left on device.\n")
    assert "59.12" in said.out
    assert "Written" not in said.out


@pytest.mark.slow
def test_leaderboard(tmp_path):
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/result.json").write_text(json.dumps(make_result()))
    answer = run("leaderboard.py", "runs", "--out", "board", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "59.12" in (tmp_path / "board/leaderboard.md").read_text()
    assert run("leaderboard.py", "none", "--out", "board", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("tool", ["test", "demo", "compare", "benchmark", "sweep", "slurm_array", "analyze"])
def test_options_that_are_given_twice_add_up(tool, monkeypatch):
    """As MMEngine's; before, the first ones were lost without a word."""
    first = {
        "demo": ["a.png", "c.py"],
        "compare": ["a.png", "c.py", "--out", "o.png"],
        "analyze": ["discrepancy", "a.png", "c.py"],
    }.get(tool, ["c.py"])
    options = ["--cfg-options", "a=1", "--cfg-options", "b=2", "c=3"]
    spec = importlib.util.spec_from_file_location(f"tool_{tool}", ROOT / "tools" / f"{tool}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [tool, *first, *options])
    assert module.parse_arguments().cfg_options == ["a=1", "b=2", "c=3"]
