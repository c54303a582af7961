"""A list of runs as one slurm array job: a text for sbatch, which a person can read, change and submit.

Slurm sends SIGUSR1 to a task's shell shortly before its time is over, and SIGTERM to all of its processes when it is
preempted, requeued or cancelled. The shell passes both on to Python, which writes its state and ends. After SIGUSR1 the
task queues itself again; after SIGTERM slurm does that, or the user did not want it. Either way the next start resumes.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mmseg_tfovss.cluster.run_list import PlannedRun

JOB_NAME = "mmseg_tfovss"
SCRIPT_NAME, LIST_NAME, ID_NAME = "job.sh", "runs.tsv", "job_id"
_JOBS = "slurm"  # the folder of all jobs' folders
_MOST_RESTARTS = 100  # of a task whose time is too short for any progress
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")
_NO_LIMIT = ("UNLIMITED", "INFINITE")
# Variables that sbatch would prefer to what the script says; those of options that are not given stay.
_ALWAYS_OURS = ("ARRAY_INX", "JOB_NAME", "OUTPUT", "OPEN_MODE", "REQUEUE", "NO_REQUEUE", "SIGNAL")
_VARIABLES = {"time": ("TIMELIMIT",), "mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU")}


@dataclass(frozen=True)
class Resources:
    """What is asked of slurm; ``None`` leaves it to the cluster, or to sbatch's environment variables.

    Attributes:
        options: of sbatch, by name without dashes (``partition``, ``gres``, ``time``, ``mem``, ...).
        parallelism: tasks at a time.
        grace: this many seconds before the end of its time a task saves its state and queues itself again.

    Raises:
        ValueError: a number out of range, or a time that slurm cannot read or that leaves nothing beside the grace.
    """

    options: Mapping[str, str]
    parallelism: int | None = None
    grace: int = 120

    def __post_init__(self) -> None:
        if self.parallelism is not None and self.parallelism < 1:
            raise ValueError(f"--array-parallelism must be at least 1, but got {self.parallelism}.")
        if self.grace < 1:
            raise ValueError(f"--grace must be at least 1 second, but got {self.grace}.")
        seconds = time_limit(self.options["time"]) if "time" in self.options else None
        if seconds and seconds <= self.grace:
            raise ValueError(
                f"--time {self.options['time']} is {seconds} seconds, of which --grace takes the last {self.grace}:"
                " give more time."
            )


def time_limit(text: str) -> int:
    """Seconds of a time as sbatch reads it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S; 0 for no limit.

    Raises:
        ValueError: it is none of these.
    """
    if text.upper() in _NO_LIMIT:
        return 0
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"--time must be minutes, H:M:S or D-H:M:S, but got {text!r}.")
    numbers = [int(number) for number in match["clock"].split(":")]
    if match["days"] is not None:
        numbers = [int(match["days"]) * 24 + numbers[0], *numbers[1:], 0, 0][:3]
    elif len(numbers) < 3:
        numbers = [0, *numbers, 0][:3]
    hours, minutes, seconds = numbers
    return (hours * 60 + minutes) * 60 + seconds


def list_text(runs: Sequence[PlannedRun]) -> str:
    """The runs as lines of config and folder, tab-separated: task N of the array takes line N + 1.

    Raises:
        ValueError: a path with a tab or a line break.
    """
    lines = []
    for run in runs:
        names = str(run.config), str(run.folder)
        if any(character in name for name in names for character in "\t\n"):
            raise ValueError(f"A path with a tab or a line break cannot go into an array job: {names}.")
        lines.append("\t".join(names))
    return "".join(f"{line}\n" for line in lines)


def script_text(
    tasks: int, folder: Path, directory: Path, command: Sequence[str], arguments: Sequence[str], resources: Resources
) -> str:
    """The script for sbatch.

    Args:
        tasks: lines of the list.
        folder: of this job, absolute; it holds the list.
        directory: where the runs are started, absolute.
        command: Python and tfovss test, absolute.
        arguments: further arguments of tfovss test.
        resources: what is asked of slurm.

    Returns:
        The text. Paths may hold spaces and quotes.

    Raises:
        ValueError: a path or an option with a line break.
    """
    limit = f"%{resources.parallelism}" if resources.parallelism else ""
    output = str(folder / "slurm-").replace("%", "%%")
    header = {
        "job-name": JOB_NAME,
        "array": f"0-{tasks - 1}{limit}",
        "output": f"{output}%A.out",
        "open-mode": "append",
        "requeue": None,
        "signal": f"B:USR1@{resources.grace}",
        **resources.options,
    }
    lines = [f"#SBATCH --{name}" if value is None else _directive(name, value) for name, value in header.items()]
    return _SCRIPT.format(
        header="\n".join(lines),
        directory=shlex.quote(str(directory)),
        list=shlex.quote(str(folder / LIST_NAME)),
        command=shlex.join(command),
        arguments=f" {shlex.join(arguments)}" if arguments else "",
        most=_MOST_RESTARTS,
    )


def job_folder(work_dirs: Path, now: datetime) -> Path:
    """A folder's name that no job has yet, absolute."""
    first = (work_dirs / _JOBS / f"{now:%Y%m%d-%H%M%S}").absolute()
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def submit(folder: Path, script: str, runs: str, given: Sequence[str]) -> str:
    """Write script and list into the job's folder, and hand the script to sbatch.

    Args:
        folder: is made.
        script: of :func:`script_text`.
        runs: of :func:`list_text`.
        given: names of the options that the script states: sbatch's variables for them do not count.

    Returns:
        The array's job id.

    Raises:
        ValueError: slurm does not take the job; what it says is quoted.
    """
    folder.mkdir(parents=True)
    (folder / LIST_NAME).write_text(runs, encoding="utf-8")
    path = folder / SCRIPT_NAME
    path.write_text(script, encoding="utf-8")
    command = ["sbatch", "--parsable", str(path)]
    answer = subprocess.run(
        command, env=sbatch_environment(os.environ, given), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise ValueError(f"sbatch did not take {path}: {' '.join(answer.stderr.split())}")
    job = answer.stdout.strip().partition(";")[0]
    (folder / ID_NAME).write_text(f"{job}\n", encoding="utf-8")
    return job


def queued_folders(work_dirs: Path) -> dict[Path, str]:
    """Runs that are waiting or running already: their folders, and the task that each belongs to.

    Args:
        work_dirs: whose jobs are looked at.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--format=%F %K"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # then a run's lock is what keeps a second one away
        return {}
    tasks = {tuple(line.split()) for line in answer.splitlines()}
    found = {}
    for path in (work_dirs / _JOBS).glob(f"*/{ID_NAME}"):
        job, runs = path.read_text(encoding="utf-8").strip(), path.with_name(LIST_NAME)
        lines = runs.read_text(encoding="utf-8").splitlines() if runs.is_file() else []
        found.update(
            {Path(line.split("\t")[-1]): f"{job}_{n}" for n, line in enumerate(lines) if (job, str(n)) in tasks}
        )
    return found


def sbatch_environment(environment: Mapping[str, str], given: Sequence[str]) -> dict[str, str]:
    """The environment without those of sbatch's variables that would win over the script."""
    names = [*_ALWAYS_OURS]
    for option in given:
        names += _VARIABLES.get(option, (option.upper().replace("-", "_"),))
    hidden = {f"SBATCH_{name}" for name in names}
    return {name: value for name, value in environment.items() if name not in hidden}


def _directive(name: str, value: str) -> str:
    """A line that sbatch reads; its quotes know backslashes, unlike a shell's single quotes."""
    if "\n" in value:
        raise ValueError(f"--{name} has a line break, which sbatch cannot read: {value!r}.")
    if re.fullmatch(r"[\w@%+=:,./-]*", value):
        return f"#SBATCH --{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'#SBATCH --{name}="{escaped}"'


_SCRIPT = """\
#!/bin/bash
# Made by tfovss array. Each task tests one config, whose log is in the run's own folder.
{header}

cd {directory} || exit 1
list={list}
IFS=$'\\t' read -r config folder < <(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$list") ||
    {{ echo "task $SLURM_ARRAY_TASK_ID has no line in $list"; exit 1; }}
mkdir -p -- "$folder" || exit 1
exec >> "$folder/slurm-${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID.out" 2>&1 || exit 1
say() {{ echo "[$(date '+%F %T')] $*"; }}
say "$config on $(hostname), restart ${{SLURM_RESTART_COUNT:-0}}"
export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-${{SLURM_CPUS_PER_TASK:-1}}}}"

# USR1: the time is nearly over. TERM: preempted, requeued or cancelled. Python saves its state after either.
run= caught= late=
pass_on() {{ caught=$1; [ -z "$run" ] || kill -s "$1" "$run" 2> /dev/null; }}
trap 'late=yes; pass_on USR1' USR1
trap 'pass_on TERM' TERM
{command} "$config" --work-dir "$folder" --resume{arguments} &
run=$!
[ -z "$caught" ] || kill -s "$caught" "$run"
while :; do
    caught=
    wait "$run"
    code=$?
    [ -n "$caught" ] || break  # else a signal has ended the waiting
done
say "ended with exit code $code"
if [ -n "$late" ] && [ "$code" -gt 128 ]; then
    if [ "${{SLURM_RESTART_COUNT:-0}}" -ge {most} ]; then
        say "the time is over for the {most}th time: given up; the next array resumes"
        exit "$code"
    fi
    say "the time is over: queued again"
    # Not SLURM_JOB_ID: in the last task that is the array's, and means all of its tasks.
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID" || exit
fi
exit "$code"
"""
