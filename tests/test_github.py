"""GitHub's files: they can be read, and what they call exists."""

import configparser
import re

import pytest
import yaml

from mmseg_tfovss.commands import COMMANDS
from tests.docs import site
from tests.docs.site import ROOT

FOLDER = ROOT / ".github"
FILES = sorted(FOLDER.rglob("*.yml"))
WORKFLOWS = [path for path in FILES if path.parent.name == "workflows"]
FORMS = [path for path in FILES if path.parent.name == "ISSUE_TEMPLATE" and path.stem != "config"]
RULES = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
STAMP = ".venv/.installed"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def name_of(path):
    return path.stem


def markers():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return re.findall(r"^(\w+):", settings["tool:pytest"]["markers"], re.MULTILINE)


def test_all_are_there():
    assert {path.stem for path in WORKFLOWS} == {"lint", "tests", "packaging", "docs", "reproduce"}
    assert {path.stem for path in FORMS} == {"bug", "wrong_number", "new_method"}
    assert (FOLDER / "PULL_REQUEST_TEMPLATE.md").is_file()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_it_can_be_read(path):
    assert isinstance(read(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_calls_what_exists(path):
    content = read(path)
    assert content["permissions"] == {"contents": "read"}
    assert content[True]  # "on" is a truth value in YAML 1.1
    assert all({"runs-on", "timeout-minutes"} <= set(job) for job in content["jobs"].values())
    lines = [step["run"] for step in steps(path) if "run" in step]
    assert lines
    for line in lines:
        program, *words = site.words_of(line)
        if program == "make":
            assert words == [STAMP] or words[0] in RULES, line
        elif program == "tfovss":
            assert words[0] in COMMANDS, line
        else:
            assert program == "python", line
            assert words[:2] == ["-m", "pip"] or (words[:3] == ["-m", "pytest", "-m"] and words[3] in markers()), line


def test_make_and_the_workflows_agree_on_what_is_installed():
    assert "STAMP := $(VENV)/.installed" in (ROOT / "Makefile").read_text()
    assert "VENV := .venv" in (ROOT / "Makefile").read_text()


def test_the_tests_run_on_all_supported_versions_of_python():
    [versions] = [
        job["strategy"]["matrix"]["python"]
        for job in read(FOLDER / "workflows/tests.yml")["jobs"].values()
        if "strategy" in job
    ]
    assert versions == ["3.11", "3.12", "3.13"]
    assert "python_requires = >=3.11" in (ROOT / "setup.cfg").read_text()


def test_real_weights_are_used_once_a_week_and_not_in_forks():
    workflow = read(FOLDER / "workflows/reproduce.yml")
    assert workflow[True]["schedule"][0]["cron"].split()[2:4] == ["*", "*"]
    assert "fork" in workflow["jobs"]["reproduce"]["if"]


@pytest.mark.parametrize("path", FORMS, ids=name_of)
def test_a_form_has_what_github_asks_for(path):
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)


def test_a_wrong_number_needs_its_result():
    [field] = [
        field for field in read(FOLDER / "ISSUE_TEMPLATE/wrong_number.yml")["body"] if field.get("id") == "result"
    ]
    assert field["validations"]["required"]


def test_the_changelog_has_this_version():
    from mmseg_tfovss import __version__

    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert versions[:2] == [("Unreleased", ""), (__version__, "2026-11-29")]
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"version = {{{__version__}}}" in (ROOT / "docs/citation.md").read_text()
