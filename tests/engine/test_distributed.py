"""Several processes count what one process counts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_tfovss.engine.distributed import is_first_process, join_processes
from tests.engine.test_run import CONFIG, make_voc, small_options

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, mini_clip):
    options = small_options(make_voc(tmp_path), mini_clip, tmp_path / "unused")
    pairs = [f"{key}={value}" for key, value in options.items() if key != "work_dir"]
    scripts = {
        "one": [sys.executable, ROOT / "tools/test.py", CONFIG],
        "two": [ROOT / "tools/dist_test.sh", CONFIG, "2"],
    }
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    results = {}
    for name, script in scripts.items():
        command = [*script, "--work-dir", tmp_path / name, "--cfg-options", *pairs]
        answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("Written:") == 1
        results[name] = json.loads((tmp_path / name / "result.json").read_text())
    for key in ("metrics", "per_class", "num_images", "config_hash"):
        assert results["one"][key] == results["two"][key]


@pytest.mark.parametrize(("launcher", "start"), [("pytorch", "dist_test.sh"), ("slurm", "srun")])
def test_launcher_without_its_environment_is_named(launcher, start, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=rf"--launcher {launcher} needs .* start it with .*{start}"):
        join_processes(launcher)


def test_first_process_is_known_without_a_group(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert is_first_process("slurm")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert not is_first_process("slurm")
    assert is_first_process("none")
    monkeypatch.setenv("RANK", "0")
    assert is_first_process("pytorch")
