"""A run that is killed at any moment and resumed gives the result of one that never was, to the bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmengine.runner import Runner

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.state import StateFolder
from mmseg_tfovss.registry import LOOPS
from tests.engine.fakes import scores_of
from tests.robustness.kill import Fate, Killed

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs/clip/clip_vit-pocket_pocket_thing.py"
IMAGES = 24
LONGEST = 40  # moments from a start to a kill; a batch has about ten


@pytest.fixture(scope="module")
def config(pocket_root, tmp_path_factory):
    return load_config(
        CONFIG,
        {
            "work_dir": str(tmp_path_factory.mktemp("runs") / "whole"),
            "short_side": 64,
            "model.decode_head.templates": "photo",
            "test_dataloader.batch_size": 3,
            "test_dataloader.num_workers": 0,
            "test_dataloader.dataset.indices": IMAGES,
            "test_dataloader.dataset.data_root": str(pocket_root),
        },
    )


@pytest.fixture(scope="module")
def whole(config):
    """The result of a run that nobody disturbs."""
    return run_test(config)


@pytest.fixture(scope="module")
def runner(config):
    return Runner.from_cfg(config)


def pocket_session(runner, config, folder):
    loader = {**config.test_dataloader, "dataset": dict(config.test_dataloader.dataset)}
    options = {"save_images": 3, "resume": True, "runner": runner, "dataloader": loader}
    loop = LOOPS.build({"type": "ResumableTestLoop", "evaluator": dict(config.test_evaluator), **options})
    loop.state = StateFolder(folder)
    return loop


def kill_until_done(start, fate, draw):
    """Start again and again; the loop that got to its end, and how often one was killed."""
    kills = 0
    while True:
        loop = start()
        fate.left = draw.randrange(LONGEST)
        try:
            loop.run()
        except Killed:
            kills += 1
        else:
            return loop, kills
        finally:
            fate.left = None


@pytest.mark.slow
def test_pocket_killed_at_random_moments(runner, config, whole, monkeypatch, tmp_path):
    fate, draw, kills = Fate(monkeypatch), random.Random(0), 0
    while kills < 10:
        folder = tmp_path / str(kills)
        loop, more = kill_until_done(lambda folder=folder: pocket_session(runner, config, folder), fate, draw)
        kills += more
        assert loop.metric.scores.summary == whole["metrics"]
        per_class = {name: scores["IoU"] for name, scores in whole["per_class"].items() if scores["IoU"] is not None}
        iou = zip(whole["per_class"], loop.metric.scores.iou.tolist(), strict=True)
        assert {name: value for name, value in iou if value == value} == per_class
        assert loop.metric.total_images == whole["num_images"] == IMAGES


def test_every_single_moment_of_a_run(session, monkeypatch):
    """One kill each, at every moment that there is; the images cost nothing."""
    expected = session(resume=False, save_images=8)
    expected.run()
    fate, moment, done = Fate(monkeypatch), 0, False
    while not done:
        expected.state.forget()
        fate.left, loop = moment, session(save_images=8)
        try:
            loop.run()
            done = True
        except Killed:
            fate.left, loop = None, session(save_images=8)
            loop.run()
        assert scores_of(loop) == scores_of(expected)
        moment += 3
    assert moment > 150


@pytest.mark.slow
def test_a_whole_run_killed_on_its_way(config, whole, monkeypatch, tmp_path):
    config = config.copy()
    config.work_dir, config.test_cfg.save_images = str(tmp_path / "run"), 3
    fate, draw, kills, result = Fate(monkeypatch), random.Random(1), 0, None
    while result is None:
        fate.left = draw.randrange(20, 60)
        try:
            result = run_test(config, resume=True)
        except Killed:
            kills += 1
            fate.left = None
            assert not (tmp_path / "run/result.json").exists()
    assert kills >= 2
    for key in ("metrics", "per_class", "num_images", "config_hash", "weights_hash", "vocabulary_hash"):
        assert result[key] == whole[key]
    assert result["seconds_per_image"] > 0


def start(folder, root, *extra):
    options = (
        "short_side=128",
        "test_dataloader.num_workers=1",
        "test_cfg.save_images=8",
        f"test_dataloader.dataset.data_root={root}",
    )
    command = [sys.executable, ROOT / "tools/test.py", CONFIG, "--work-dir", folder, *extra, "--cfg-options", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MMSEG_TFOVSS_CACHE": str(folder.parent / "cache")}
    options = {"env": environment, "cwd": folder.parent, "text": True, "start_new_session": True}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for_state(process, folder, more_than=0):
    """Until something has been counted and written."""
    while not (parts := [part for part in StateFolder(folder)._parts() if len(part.batches) > more_than]):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    return max(len(part.batches) for part in parts)


@pytest.mark.slow
def test_kill_9_of_the_real_command_and_signals(pocket_root, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    _, errors = (process := start(whole, pocket_root)).communicate()
    assert process.returncode == 0, errors
    counted = 0
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)):
        process = start(run, pocket_root, "--resume")
        counted = wait_for_state(process, run, more_than=counted)
        os.killpg(process.pid, number) if number == signal.SIGTERM else process.send_signal(number)
        _, errors = process.communicate()
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        if number != signal.SIGKILL:
            assert f"stopped by {number.name}; " in errors
    process = start(run, pocket_root, "--resume")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, run)]
    for key in ("metrics", "per_class", "num_images", "config_hash"):
        assert results[0][key] == results[1][key]
    assert not (run / "state").exists()
