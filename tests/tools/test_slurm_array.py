"""tools/slurm_array.py and tools/slurm_test.sh as a user starts them, without slurm; with it: tests/slurm."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.test_finished import result_of

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "configs/sclip/sclip_vit-pocket_pocket_all.py"
VOC = ROOT / "configs/sclip/sclip_vit-b16_voc21.py"


@pytest.fixture
def no_slurm(tmp_path):
    """A PATH with nothing but what the tools need."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("bash", "env", "dirname", "git"):
        (commands / name).symlink_to(shutil.which(name))
    return commands


@pytest.fixture
def start(tmp_path, monkeypatch, no_slurm, capsys):
    """Call the tool's main function in a folder of its own; in this process, for the imports take seconds."""
    spec = importlib.util.spec_from_file_location("slurm_array", ROOT / "tools/slurm_array.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(no_slurm))

    def call(*arguments, test=None):
        monkeypatch.setattr(sys, "argv", ["slurm_array.py", *map(str, arguments)])
        if test:
            monkeypatch.setattr(tool, "TEST", test)
        with pytest.raises(SystemExit) as end:
            tool.main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


def test_help_is_fast(tmp_path):
    command = [sys.executable, "-X", "importtime", ROOT / "tools/slurm_array.py", "--help"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0
    assert "--array-parallelism" in answer.stdout
    assert "torch" not in answer.stderr


def test_a_dry_run_shows_the_job_and_writes_nothing(start):
    options = ("--partition", "gpu", "--cpus-per-task", 4, "--restart-changed", "--overlays", 2)
    options = (*options, "--cfg-options", "model.backbone.pretrained=a b.pt")
    code, out, _ = start(POCKET, VOC, "--work-dirs", "runs", "--dry-run", *options)
    assert code == 0
    assert "#SBATCH --array=0-1\n" in out
    assert "#SBATCH --cpus-per-task=4\n" in out
    assert f"{sys.executable} {ROOT}/tools/test.py" in out
    assert "--resume --restart-changed --overlays 2 --cfg-options 'model.backbone.pretrained=a b.pt' &" in out
    listed = [line for line in out.splitlines() if " -> " in line]
    assert listed == [f"   0  {VOC} -> runs/{VOC.stem}", f"   1  {POCKET} -> runs/{POCKET.stem}"]
    assert list(Path().iterdir()) == []


def test_submitted_jobs_are_named(start, no_slurm):
    (no_slurm / "sbatch").write_text("#!/bin/bash\necho 77\n")
    (no_slurm / "sbatch").chmod(0o755)
    code, out, _ = start(POCKET, VOC)
    assert code == 0
    assert "Submitted 2 tasks as job 77: " in out
    (job,) = Path("work_dirs/slurm").iterdir()
    assert (job / "runs.tsv").read_text() == f"{VOC}\twork_dirs/{VOC.stem}\n{POCKET}\twork_dirs/{POCKET.stem}\n"
    assert f"list={job.absolute()}/runs.tsv" in (job / "job.sh").read_text()


def test_configs_that_are_queued_already_are_left_out(start, no_slurm):
    for name, said in (("sbatch", "echo 77"), ("squeue", "echo '77 0'")):
        (no_slurm / name).write_text(f"#!/bin/bash\n{said}\n")
        (no_slurm / name).chmod(0o755)
    assert "Submitted 1 tasks as job 77" in start(VOC)[1]
    code, out, _ = start(POCKET, VOC, "--dry-run")
    assert code == 0
    assert f"{VOC} is left out: task 77_0 is waiting or running in work_dirs/{VOC.stem}." in out
    assert [line for line in out.splitlines() if " -> " in line] == [f"   0  {POCKET} -> work_dirs/{POCKET.stem}"]
    assert start(VOC)[:2] == (0, f"{VOC} is left out: task 77_0 is waiting or running in work_dirs/{VOC.stem}.\n")


def test_finished_configs_are_left_out(start):
    from mmseg_tfovss.config import load_config

    done = Path("work_dirs", VOC.stem)
    done.mkdir(parents=True)
    (done / "result.json").write_text(json.dumps(result_of(load_config(VOC))))
    code, out, _ = start(POCKET, VOC, "--local", 1, "--dry-run")
    assert (code, out.splitlines()) == (
        0,
        ["1 of 2 configs have finished already.", f"   0  {POCKET} -> work_dirs/{POCKET.stem}"],
    )
    assert start(VOC, "--local", 1)[:2] == (0, "1 of 1 configs have finished already.\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "There is no sbatch on this machine: log in where slurm is, or run the list here with --local N"),
        (("--local", 2, "--partition", "gpu", "--grace", 9), "does not go with --partition, --grace."),
        (("--local", 0), "--local must be at least 1"),
        (("--dry-run", "--time", "soon"), "--time must be"),
        (("--dry-run", "--cfg-options", "nonsense"), "--cfg-options takes KEY=VALUE"),
    ],
)
def test_mistakes_are_one_sentence(start, options, message):
    code, _, err = start(POCKET, *options)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_local_runs_go_on_after_a_failure_and_tell_of_it(start):
    script = 'case "$1" in *voc21*) echo "error: no data."; exit 1;; esac; echo "$@"'
    options = ("--work-dirs", "my runs", "--cfg-options", "model.precision=bf16")
    code, out, err = start(VOC, POCKET, "--local", 1, *options, test=["bash", "-c", script, "test.py"])
    assert code == 1
    assert out.startswith("Running 2 configs, 1 at a time; each logs to local.out in its folder.\n")
    assert "[1/2] sclip_vit-b16_voc21: FAILED after 0:00:0" in out
    assert "[2/2] sclip_vit-pocket_pocket_all: finished in 0:00:0" in out
    log = f"my runs/{VOC.stem}/local.out"
    assert err == f"1 of 2 runs have failed:\n  {VOC.stem}: no data. (exit code 1), see {log}\n"
    called = f"{POCKET} --work-dir my runs/{POCKET.stem} --resume --cfg-options model.precision=bf16\n"
    assert Path("my runs", POCKET.stem, "local.out").read_text() == called
    assert start(POCKET, "--local", 1, test=["bash", "-c", "exit 0"])[0] == 0


def test_a_stopped_local_list_ends_with_the_signals_code(start):
    code, out, _ = start(POCKET, "--local", 1, test=["bash", "-c", "kill -TERM $PPID; sleep 5"])
    assert code == 143
    assert "Stopping 1 runs; each saves its state." in out


def test_slurm_test_needs_a_config_and_slurm(no_slurm):
    script = ROOT / "tools/slurm_test.sh"
    kwargs = {"env": {"PATH": str(no_slurm)}, "capture_output": True, "text": True, "check": False}
    answer = subprocess.run([script], **kwargs)
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: ")
    answer = subprocess.run([script, POCKET], **kwargs)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: there is no srun")


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (["c.py"], {}, "--ntasks=1 --ntasks-per-node=1 --cpus-per-task=5 --kill-on-bad-exit=1 --gres=gpu:1"),
        (["c.py", "16"], {}, "--ntasks=16 --ntasks-per-node=8 --cpus-per-task=5 --kill-on-bad-exit=1 --gres=gpu:8"),
        (
            ["c.py", "2", "--resume"],
            {"GRES": "", "PARTITION": "cpu", "CPUS_PER_TASK": "1", "SRUN_ARGS": "--time=5 -O"},
            "--ntasks=2 --ntasks-per-node=2 --cpus-per-task=1 --kill-on-bad-exit=1 --partition=cpu --time=5 -O",
        ),
    ],
)
def test_slurm_test_calls_srun(no_slurm, arguments, variables, expected):
    srun = no_slurm / "srun"
    srun.write_text('#!/bin/bash\necho "$@"\n')
    srun.chmod(0o755)
    environment = {"PATH": str(no_slurm), "PYTHON": "python", **variables}
    answer = subprocess.run(
        [ROOT / "tools/slurm_test.sh", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    rest = [argument for argument in arguments[1:] if not argument.isdigit()]
    called = f"--job-name=mmseg_tfovss {expected} python -u {ROOT}/tools/test.py c.py --launcher slurm"
    assert answer.stdout.strip() == " ".join([called, *rest])
