"""``tfovss`` and ``python -m mmseg_tfovss``: which command is run, and how."""

import argparse
import configparser
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_tfovss import commands

ROOT = Path(__file__).parents[2]
TOOLS = {"prepare": "prepare_data", "array": "slurm_array"}  # the others have their commands' names
WITHOUT_TOOL = {"benchmark-pocket"}


@pytest.fixture
def told(monkeypatch, capsys):
    """Run a command line in this process: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words):
        try:
            code = commands.main(words)
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return run


def test_there_is_one_module_per_command():
    modules = {path.stem for path in Path(commands.__file__).parent.glob("*.py")} - {"__init__"}
    assert {commands.MODULES.get(name, name) for name in commands.COMMANDS} == modules


def test_every_command_has_its_tool():
    """Which has the same options, for it calls the same functions."""
    with_tool = set(commands.COMMANDS) - WITHOUT_TOOL
    for name in with_tool:
        text = (ROOT / f"tools/{TOOLS.get(name, name)}.py").read_text()
        assert f"mmseg_tfovss.commands.{name} import" in text
    assert len(list((ROOT / "tools").glob("*.py"))) == len(with_tool)


def test_help_names_every_command(told):
    code, out, err = told("--help")
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in commands.COMMANDS)
    assert told("--version") == (0, f"tfovss {commands.__version__}\n", "")
    assert told() == (2, "", out)


@pytest.mark.parametrize("name", list(commands.COMMANDS))
def test_a_commands_help_names_it_as_it_was_typed(name, told):
    code, out, err = told(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: tfovss {name} ")


def test_an_unknown_command_is_one_sentence(told):
    code, out, err = told("leader-board", "--out", "x")
    assert (code, out) == (1, "")
    valid = ", ".join(commands.COMMANDS)
    assert err == f"error: unknown command 'leader-board'. Did you mean leaderboard? Valid: {valid}.\n"
    assert told("\x1b[31m")[2].startswith(r"error: unknown command '\x1b[31m'. Valid: test, ")


def test_an_option_of_no_command_is_refused(told):
    code, _, err = told("--verbose")
    assert code == 2
    assert err.endswith("error: unrecognized arguments: --verbose\n")


def test_arguments_and_exit_codes_are_handed_on(told, monkeypatch):
    seen = []

    def main(argv, prog):
        seen.append((argv, prog))
        return 3

    monkeypatch.setattr(importlib.import_module("mmseg_tfovss.commands.leaderboard"), "main", main)
    assert told("leaderboard", "a b", "--out", "board") == (3, "", "")
    assert seen == [(["a b", "--out", "board"], "tfovss leaderboard")]
    code, _, err = told("demo", "a.png", "c.py", "--window", "0", "0")
    assert (code, err.splitlines()[-1]) == (2, "tfovss demo: error: --window needs --save-logits")


def test_array_tests_by_this_python(told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = ROOT / "configs/sclip/sclip_vit-pocket_pocket_all.py"
    code, out, _ = told("array", str(config), "--dry-run")
    assert code == 0
    assert f"{sys.executable} -m mmseg_tfovss test " in out


def test_analyses_record_the_command_that_was_typed():
    from mmseg_tfovss.commands.analyze import command_line

    typed = argparse.Namespace(argv=["headroom", "--out", "a b"], prog="tfovss analyze")
    assert command_line(typed) == "tfovss analyze headroom --out 'a b'"


@pytest.mark.parametrize("words", [["--help"], ["prepare", "--help"], ["tets"]])
def test_nothing_slow_is_imported_before_a_command_works(words, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "mmseg_tfovss", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == (words == ["tets"])
    names = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "mmseg_tfovss.commands" in names
    assert not {name.partition(".")[0] for name in names} & {"torch", "numpy", "mmengine", "rich", "matplotlib"}


def test_the_entry_point_is_there():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    name, _, target = settings["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = target.partition(":")
    assert name == commands.NAME
    assert getattr(importlib.import_module(module), function) is commands.main
