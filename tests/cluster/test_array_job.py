import signal
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from mmseg_tfovss.cluster.array_job import (
    Resources,
    job_folder,
    list_text,
    queued_folders,
    sbatch_environment,
    script_text,
    submit,
    time_limit,
)
from mmseg_tfovss.cluster.run_list import PlannedRun

# Stands in for python tools/test.py: notes its arguments, and ends as it is told to.
FAKE_TEST = """\
trap 'echo saved; exit 138' USR1
trap 'echo saved; exit 143' TERM
printf '<%s>' "$@"
echo
[ -z "$WAIT" ] || { touch "$WAIT"; while :; do sleep 0.05; done; }
exit "${CODE:-0}"
"""


def make_runs(*names):
    return [PlannedRun(Path(f"{name}.py"), name, Path(f"work_dirs/{name}"), 1.0) for name in names]


def make_script(folder, directory="/home/me/repo", arguments=(), options=None, **kwargs):
    resources = Resources(options or {}, **kwargs)
    return script_text(3, Path(folder), Path(directory), ["python", "test.py"], arguments, resources)


def header(script):
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_the_header_asks_for_an_array_that_survives_preemption():
    script = make_script(
        "/runs/slurm/1", options={"partition": "gpu", "time": "1-0", "gres": "gpu:a100:1"}, parallelism=2
    )
    assert script.startswith("#!/bin/bash\n")
    assert header(script) == [
        "--job-name=mmseg_tfovss",
        "--array=0-2%2",
        "--output=/runs/slurm/1/slurm-%A.out",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
        "--partition=gpu",
        "--time=1-0",
        "--gres=gpu:a100:1",
    ]


def test_what_is_not_asked_for_is_not_in_the_header():
    assert header(make_script("/f"))[1] == "--array=0-2"
    assert len(header(make_script("/f"))) == 6
    assert "--signal=B:USR1@30" in header(make_script("/f", grace=30))


def test_header_values_are_quoted_for_sbatch():
    script = make_script('/a "b"/100% c', options={"account": "it's # mine\\"})
    assert r'--output="/a \"b\"/100%% c/slurm-%A.out"' in header(script)
    assert '--account="it\'s # mine\\\\"' in header(script)
    with pytest.raises(ValueError, match="line break"):
        make_script("/f", options={"partition": "a\nb"})


def test_the_script_is_valid_for_any_paths():
    for folder in ("/plain", '/it\'s a "folder"', "/$HOME/`id`/\\n"):
        script = make_script(folder, folder, ["--cfg-options", f"a.b={folder}"])
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_the_list_has_a_line_for_each_task():
    assert list_text(make_runs("a", "b c")) == "a.py\twork_dirs/a\nb c.py\twork_dirs/b c\n"
    with pytest.raises(ValueError, match="tab or a line break"):
        list_text(make_runs("a\tb"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("2:30", 150),
        ("1:00:05", 3605),
        ("1-0", 86400),
        ("1-2:30", 95400),
        ("0-0:0:7", 7),
        ("0", 0),
        ("UNLIMITED", 0),
    ],
)
def test_time_limit_reads_slurms_forms(text, seconds):
    assert time_limit(text) == seconds


def test_resources_refuse_what_cannot_work():
    with pytest.raises(ValueError, match="--time must be"):
        Resources({"time": "1h"})
    with pytest.raises(ValueError, match="is 120 seconds, of which --grace takes the last 120"):
        Resources({"time": "2"})
    with pytest.raises(ValueError, match="--grace must be"):
        Resources({}, grace=0)
    with pytest.raises(ValueError, match="--array-parallelism must be"):
        Resources({}, parallelism=0)
    Resources({"time": "infinite"})


def test_variables_of_options_that_were_given_do_not_win():
    variables = {"SBATCH_PARTITION": "old", "SBATCH_ACCOUNT": "mine", "SBATCH_TIMELIMIT": "1", "SBATCH_NO_REQUEUE": "1"}
    kept = sbatch_environment({**variables, "HOME": "/root"}, ["partition", "time"])
    assert kept == {"SBATCH_ACCOUNT": "mine", "HOME": "/root"}


def test_job_folders_differ(tmp_path):
    now = datetime(2026, 11, 21, 10, 2, 3)
    first = job_folder(tmp_path, now)
    assert first == tmp_path / "slurm/20261121-100203"
    first.mkdir(parents=True)
    assert job_folder(tmp_path, now).name == "20261121-100203-2"


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """Commands named sbatch and scontrol that note how they were called."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("sbatch", "scontrol"):
        path = commands / name
        path.write_text(f'#!/bin/sh\necho "$@" >> {commands}/{name}.calls\necho "${{SAYS:-77}}"\nexit ${{FAILS:-0}}\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    return commands


def test_submit_writes_script_and_list_and_tells_the_job(fake_slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("SAYS", "77;cluster")
    assert submit(tmp_path / "job", "#!/bin/bash\n", "a\tb\n", []) == "77"
    assert (fake_slurm / "sbatch.calls").read_text() == f"--parsable {tmp_path}/job/job.sh\n"
    assert (tmp_path / "job/job.sh").read_text() == "#!/bin/bash\n"
    assert (tmp_path / "job/runs.tsv").read_text() == "a\tb\n"


def test_submit_quotes_what_slurm_says(fake_slurm, tmp_path, monkeypatch):
    (fake_slurm / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    with pytest.raises(ValueError, match=r"did not take .*job\.sh: sbatch: error: invalid partition"):
        submit(tmp_path / "job", "#!/bin/bash\n", "a\tb\n", [])


@pytest.fixture
def task(fake_slurm, tmp_path):
    """Start one task of a job as slurm would."""
    home = tmp_path / "a home's"
    folder = home / "work_dirs/slurm/1"
    folder.mkdir(parents=True)
    fake = home / "fake.sh"
    fake.write_text(FAKE_TEST)
    run = PlannedRun(Path("a config.py"), "a", Path("work_dirs/my run"), 1.0)
    (folder / "runs.tsv").write_text(list_text([*make_runs("x"), run]))
    resources = Resources({})
    script = script_text(2, folder, home, ["bash", str(fake)], ["--cfg-options", "it's=$HOME"], resources)
    (folder / "job.sh").write_text(script)

    def start(number=1, **variables):
        names = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_JOB_ID": "5", "SLURM_JOB_ID": "5"}
        environment = {"PATH": f"{fake_slurm}:/usr/bin:/bin", **names, **variables}
        pipe = subprocess.PIPE
        process = subprocess.Popen(["bash", folder / "job.sh"], env=environment, stdout=pipe, stderr=pipe, text=True)
        return process, home / "work_dirs/my run/slurm-5_1.out"

    return start


def wait_for(path):
    for _ in range(200):
        if path.exists():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail(f"{path} did not appear")


@pytest.mark.parametrize("code", [0, 1, 143])
def test_a_task_runs_its_line_and_ends_with_its_code(task, fake_slurm, code):
    process, log = task(CODE=str(code))
    assert process.wait(10) == code
    assert "<a config.py><--work-dir><work_dirs/my run><--resume><--cfg-options><it's=$HOME>" in log.read_text()
    assert f"ended with exit code {code}" in log.read_text()
    assert not (fake_slurm / "scontrol.calls").exists()


def test_a_restarted_task_appends_to_its_log(task):
    task()[0].wait(10)
    process, log = task(SLURM_RESTART_COUNT="1")
    process.wait(10)
    assert "restart 0" in log.read_text()
    assert "restart 1" in log.read_text()


def test_a_task_without_a_line_says_so(task):
    process, _ = task(number=7)
    assert process.wait(10) == 1
    assert "task 7 has no line in" in process.stdout.read()


def test_a_task_whose_time_is_over_saves_and_queues_itself_again(task, fake_slurm, tmp_path):
    process, log = task(WAIT=str(tmp_path / "waits"))
    wait_for(tmp_path / "waits")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == 138
    assert "saved" in log.read_text()
    assert (fake_slurm / "scontrol.calls").read_text() == "requeue 5_1\n"


def test_a_task_that_never_gets_anywhere_stops_queuing_itself(task, fake_slurm, tmp_path):
    process, _ = task(WAIT=str(tmp_path / "waits"), SLURM_RESTART_COUNT="100")
    wait_for(tmp_path / "waits")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == 138
    assert not (fake_slurm / "scontrol.calls").exists()


def test_a_preempted_or_cancelled_task_saves_and_leaves_the_rest_to_slurm(task, fake_slurm, tmp_path):
    process, log = task(WAIT=str(tmp_path / "waits"))
    wait_for(tmp_path / "waits")
    process.terminate()
    assert process.wait(10) == 143
    assert "saved" in log.read_text()
    assert not (fake_slurm / "scontrol.calls").exists()


def test_runs_that_are_queued_already_are_known(tmp_path, monkeypatch):
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, said in (("sbatch", "echo 77"), ("squeue", "echo '77 1'; echo '78 0'; echo '9 N/A'")):
        (commands / name).write_text(f"#!/bin/bash\n{said}\n")
        (commands / name).chmod(0o755)
    assert queued_folders(tmp_path) == {}
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    submit(job_folder(tmp_path, datetime(2026, 1, 2)), "script", list_text(make_runs("a", "b")), [])
    assert queued_folders(tmp_path) == {Path("work_dirs/b"): "77_1"}
    assert queued_folders(tmp_path / "others") == {}
    for text in (None, "no tab\n", ""):
        runs = tmp_path / "slurm" / f"damaged {text!r}"
        runs.mkdir()
        (runs / "job_id").write_text("78\n")
        if text is not None:
            (runs / "runs.tsv").write_text(text)
    assert queued_folders(tmp_path)[Path("work_dirs/b")] == "77_1"
    (commands / "squeue").write_text("#!/bin/bash\nexit 1\n")
    assert queued_folders(tmp_path) == {}
