"""Several processes count what one process counts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmseg_tfovss.cli import user_errors
from mmseg_tfovss.config import load_config
from mmseg_tfovss.datasets.transforms import LoadImage
from mmseg_tfovss.engine import run
from mmseg_tfovss.engine.distributed import is_first_process, join_processes
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.state import StateFolder
from mmseg_tfovss.evaluation import SegmentationMetric
from tests.engine.processes import run_processes
from tests.engine.test_run import CONFIG, make_voc, small_options

ROOT = Path(__file__).parents[2]


def same_numbers(one, other):
    return all(one[key] == other[key] for key in ("metrics", "per_class", "num_images", "config_hash"))


@pytest.fixture
def launch(tmp_path, mini_clip):
    """Run a config with several processes: ``launch(2, "folder", resume=True)``."""
    root = make_voc(tmp_path)

    def start(world, name, *, resume=False, before=lambda rank: None, options=lambda rank: {}):
        def work(rank):
            before(rank)
            config = load_config(CONFIG, {**small_options(root, mini_clip, tmp_path / name), **options(rank)})
            config.launcher = "none" if world == 1 else "pytorch"
            with user_errors():
                run_test(config, resume=resume)

        codes, errors = run_processes(world, work, tmp_path)
        path = tmp_path / name / "result.json"
        return codes, errors, json.loads(path.read_text()) if path.exists() else None

    return start


@pytest.mark.slow
def test_one_two_and_four_processes_count_the_same(launch):
    (codes, _, one), *others = (launch(world, str(world)) for world in (1, 2, 4))
    assert codes == [0]
    for (codes, errors, result), world in zip(others, (2, 4), strict=True):
        assert codes == [0] * world, errors  # four processes for three images: one has nothing to do
        assert same_numbers(one, result)


def test_one_failure_ends_all_and_the_rest_is_done_by_another_number(launch, tmp_path):
    """The third image goes while the run is under way, so that the first of two processes fails."""
    image = tmp_path / "VOC2012/JPEGImages/2.jpg"

    def vanish(rank):
        check = run.check_run

        def check_and_lose(config):
            check(config)
            if rank == 0:
                load = LoadImage.transform

                def lost(self, results):
                    if results["img_path"] == str(image):
                        raise FileNotFoundError(f"The image {image} does not exist.")
                    return load(self, results)

                LoadImage.transform = lost

        run.check_run = check_and_lose

    codes, errors, result = launch(2, "two", before=vanish)
    assert (codes, result) == ([1, 1], None)
    assert f"error: The image {image} does not exist." in errors[0]
    assert f"error: Process 0 of this run has failed: The image {image} does not exist." in errors[1]
    _, _, whole = launch(1, "one")
    counted = []

    def count(_):
        process = SegmentationMetric.process
        SegmentationMetric.process = lambda *given: (counted.append(1), process(*given), check_one())

    def check_one():
        assert len(counted) == 1  # the other two were counted before

    codes, errors, rest = launch(1, "two", resume=True, before=count)
    assert codes == [0], errors
    assert same_numbers(whole, rest)


@pytest.mark.slow
def test_a_killed_process_ends_the_others(launch):
    def die(rank):
        if rank == 1:
            SegmentationMetric.process = lambda *_: os._exit(9)

    codes, errors, result = launch(2, "two", before=die)
    assert (codes, result) == ([1, 9], None)
    assert "error: Another process of this run has ended before its images were done." in errors[0]


@pytest.mark.slow
def test_processes_that_differ_are_refused(launch):
    """As with other weights, or other code, on one of the machines."""
    codes, errors, result = launch(2, "two", options=lambda rank: {"short_side": 48 + 8 * rank})
    assert (codes, result) == ([1, 1], None)
    assert all("short_side is 48 in the one and 56 in the other" in text for text in errors)


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_a_failure_before_any_image_is_explained_to_the_others(launch, tmp_path, failing):
    weights = str(tmp_path / "none.pt")
    options = {"model.backbone.pretrained": weights}
    (tmp_path / "two").mkdir()
    codes, errors, _ = launch(2, "two", options=lambda rank: options if rank == failing else {})
    assert codes == [1, 1]
    assert "error: " in errors[failing]
    assert weights in errors[failing]
    assert f"error: Process {failing} of this run has failed: " in errors[1 - failing]


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all(launch):
    def stop(rank):
        if rank == 1:
            process = SegmentationMetric.process
            SegmentationMetric.process = lambda *given: (os.kill(os.getpid(), signal.SIGTERM), process(*given))

    codes, errors, _ = launch(2, "two", before=stop)
    assert codes == [1, 1]
    assert all("StoppedError: stopped by SIGTERM" in text for text in errors)
    codes, errors, result = launch(2, "two", resume=True)
    assert codes == [0, 0], errors
    assert same_numbers(result, launch(1, "one")[2])


def test_an_error_of_the_first_process_is_everybodys(launch, tmp_path):
    (tmp_path / "two").write_text("a file where the folder should be")
    codes, errors, _ = launch(2, "two")
    assert codes == [1, 1]
    assert all("error: " in text and "two: File exists." in text for text in errors)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_torchrun_equals_one_process(tmp_path, mini_clip, processes):
    options = small_options(make_voc(tmp_path), mini_clip, tmp_path / "unused")
    pairs = [f"{key}={value}" for key, value in options.items() if key != "work_dir"]
    scripts = {
        "one": [sys.executable, ROOT / "tools/test.py", CONFIG],
        "several": [ROOT / "tools/dist_test.sh", CONFIG, str(processes)],
    }
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    results = {}
    for name, script in scripts.items():
        command = [*script, "--work-dir", tmp_path / name, "--cfg-options", *pairs]
        answer = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("Written:") == 1
        results[name] = json.loads((tmp_path / name / "result.json").read_text())
    assert same_numbers(results["one"], results["several"])


@pytest.mark.slow
def test_a_signal_to_torchrun_has_the_same_exit_code(tmp_path, mini_clip):
    """And the run is resumed without torchrun."""
    options = small_options(make_voc(tmp_path), mini_clip, tmp_path / "unused")
    options |= {"model.test_cfg.stride": 4, "short_side": 200}  # slow enough to be stopped
    pairs = [f"{key}={value}" for key, value in options.items() if key != "work_dir"]
    arguments = ["--work-dir", tmp_path / "run", "--resume", "--cfg-options", *pairs, "test_cfg.save_images=1"]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    several = [ROOT / "tools/dist_test.sh", CONFIG, "2", *arguments]
    process = subprocess.Popen(several, env=environment, stderr=subprocess.PIPE, text=True)
    state = StateFolder(tmp_path / "run")
    while not any(part.images for part in state._parts()):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate()
    assert process.returncode == 138, errors
    assert "stopped by SIGTERM; the counted images are kept in" in errors  # torchrun hands that on
    one = [sys.executable, ROOT / "tools/test.py", CONFIG, *arguments]
    answer = subprocess.run(one, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads((tmp_path / "run/result.json").read_text())["num_images"] == 3


@pytest.mark.parametrize(
    ("launcher", "start"), [("pytorch", "torchrun --nproc-per-node N -m mmseg_tfovss test"), ("slurm", "srun")]
)
def test_launcher_without_its_environment_is_named(launcher, start, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=rf"--launcher {launcher} needs .* start it with .*{start}"):
        join_processes(launcher, {})


def test_first_process_is_known_without_a_group(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert is_first_process("slurm")
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert not is_first_process("slurm")
    assert is_first_process("none")
    monkeypatch.setenv("RANK", "0")
    assert is_first_process("pytorch")
