"""tools/slurm_array.py on a real slurm: tasks are requeued, preempted and cancelled, and the numbers stay the same.

Run as root with ``pytest -m slurm``: it may install Debian packages, so nothing else does.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmseg_tfovss.engine.state import STATE_NAME

pytestmark = [pytest.mark.slow, pytest.mark.slurm]
ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "tests/slurm/one_node_cluster.sh"
NO_CLUSTER = 77
POCKET = [f"configs/{name}/{name}_vit-pocket_pocket_all.py" for name in ("clip", "sclip", "maskclip", "naclip")]
MISSING = "configs/sclip/sclip_vit-b16_voc21.py"  # its data are not here: the heaviest, and it fails
OPTIONS = (
    "--cfg-options",
    "test_dataloader.dataset.indices=80",
    "test_dataloader.batch_size=2",
    "test_cfg.save_images=2",
)


@pytest.fixture(scope="module")
def cluster(request):
    """Variables with which slurm's commands reach a cluster of this machine alone."""
    if "slurm" not in request.config.option.markexpr:
        pytest.skip("may install packages: run with pytest -m slurm")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    started = subprocess.run(
        [CLUSTER, "start", folder],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=900,
        check=False,
    )
    if started.returncode == NO_CLUSTER:
        shutil.rmtree(folder)
        pytest.skip(started.stderr.splitlines()[-1])
    assert started.returncode == 0, started.stderr
    yield {"SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run([CLUSTER, "stop", folder], timeout=120, check=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of this repository, in a folder with spaces in its name."""
    folder = tmp_path_factory.mktemp("a copy") / "with spaces"
    folder.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@dataclass
class Shell:
    """Runs commands in the copy of the repository, with the package from there."""

    folder: Path
    variables: dict

    def __call__(self, *command, timeout=300, expected=0, **variables):
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "PYTHON": sys.executable}
        environment |= {**self.variables, **variables}
        # Files, not pipes: what is started in the background would hold them.
        with tempfile.TemporaryFile("w+") as output:
            kwargs = {"stdout": output, "stderr": subprocess.STDOUT, "timeout": timeout, "check": False}
            code = subprocess.run([*map(str, command)], cwd=self.folder, env=environment, **kwargs).returncode
            output.seek(0)
            text = output.read()
        assert code == expected, text
        return text

    def array(self, *arguments, **kwargs):
        return self(sys.executable, "tools/slurm_array.py", *arguments, *OPTIONS, **kwargs)


@pytest.fixture(scope="module")
def shell(cluster, checkout):
    return Shell(checkout, cluster)


@pytest.fixture(scope="module")
def undisturbed(shell):
    """Metrics of each config from runs that nothing has interrupted."""
    shell.array(*POCKET, "--local", 2, "--work-dirs", "undisturbed", timeout=600)
    return {name: metrics(shell.folder / "undisturbed" / Path(name).stem) for name in POCKET}


def metrics(folder):
    result = json.loads((folder / "result.json").read_text())
    return {key: result[key] for key in ("metrics", "per_class", "num_images", "config_hash")}


def wait_for(condition, what, seconds=240):
    for _ in range(seconds * 5):
        if condition():
            return
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} seconds for: {what()}")


@dataclass
class Array:
    """A submitted array."""

    shell: Shell
    work_dirs: Path
    job: str
    configs: list

    def folder(self, task):
        return self.work_dirs / Path(self.configs[task]).stem

    def log(self, task):
        path = self.folder(task) / f"slurm-{self.job}_{task}.out"
        return path.read_text() if path.is_file() else ""

    def wait_until_counting(self, task):
        def counts():
            last = self.log(task).rsplit(", restart ", maxsplit=1)[-1]
            return " batches, " in last and "ended with" not in last

        wait_for(counts, lambda: f"the first images of task {task}: {self.log(task)}")

    def wait_until_gone(self, *tasks):
        def queued():
            listed = self.shell("squeue", "--noheader", "--array", "--format=%K", "--jobs", self.job)
            return set(listed.split()) & set(map(str, tasks))

        wait_for(lambda: not queued(), lambda: f"the end of tasks {queued()}")


def submit(shell, *configs):
    work_dirs = shell.folder / "array of runs"
    said = shell.array(*configs, "--work-dirs", work_dirs.name, "--time", 30, "--cpus-per-task", 1)
    listed = [line.split()[1] for line in said.splitlines() if " -> " in line]
    return said, Array(shell, work_dirs, said.split(" as job ")[1].split(":")[0], listed)


def test_interrupted_tasks_end_in_the_numbers_of_undisturbed_ones(shell, undisturbed):
    _, array = submit(shell, *POCKET, MISSING)
    assert array.configs == [MISSING, *POCKET]

    array.wait_until_counting(1)
    shell("scontrol", "requeue", f"{array.job}_1")
    array.wait_until_counting(2)
    shell("scancel", f"{array.job}_2")
    array.wait_until_counting(3)
    shell("srun", "--partition=urgent", "--exclusive", "sleep", "1")  # preempts what runs
    array.wait_until_counting(4)
    shell("scancel", "--signal=USR1", "--batch", f"{array.job}_4")  # as slurm does before the time is over
    array.wait_until_gone(*range(5))

    assert "error: data/VOCdevkit/VOC2012 of the dataset voc21 does not exist" in array.log(0)
    assert "ended with exit code 1" in array.log(0)
    assert "restart 1" not in array.log(0)  # what has ended is left alone
    assert "stopped by SIGTERM" in array.log(1)
    assert "stopped by SIGTERM" in array.log(3)
    assert "the time is over: queued again" in array.log(4)
    for task in (1, 3, 4):
        assert "restart 1" in array.log(task)
        assert array.log(task).count("ended with exit code 0") == 1
        assert metrics(array.folder(task)) == undisturbed[array.configs[task]]
    assert "ended with exit code 143" in array.log(2)
    assert "restart 1" not in array.log(2)
    assert not (array.folder(2) / "result.json").exists()
    assert (array.folder(2) / STATE_NAME).is_dir()

    said, again = submit(shell, *POCKET, MISSING)
    assert said.startswith("3 of 5 configs have finished already.")
    assert again.configs == [MISSING, array.configs[2]]
    again.wait_until_gone(0, 1)
    assert metrics(again.folder(1)) == undisturbed[again.configs[1]]

    assert "4 of 4 configs have finished already." in shell.array(*POCKET, "--work-dirs", array.work_dirs.name)


def test_a_config_with_several_processes(shell, undisturbed):
    several = {"GRES": "", "CPUS_PER_TASK": "1", "SRUN_ARGS": "--time=30 --overcommit"}
    options = ("--work-dir", "two processes", *OPTIONS)
    shell("tools/slurm_test.sh", POCKET[0], 2, *options, timeout=300, **several)
    assert metrics(shell.folder / "two processes") == undisturbed[POCKET[0]]


def test_what_slurm_refuses_is_quoted(shell):
    said = shell.array(POCKET[0], "--partition", "no such", "--work-dirs", "refused", expected=1)
    assert said.startswith("error: sbatch did not take ")
    assert "invalid partition specified: no such" in said
