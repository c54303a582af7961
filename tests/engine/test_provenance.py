"""Commit, package, versions and memory."""

import base64
import hashlib
import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from mmseg_tfovss import __version__
from mmseg_tfovss.engine import provenance


def git(folder, *arguments):
    """Of a user whom no setting of this machine reaches."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    names = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(folder), "-c", "protocol.file.allow=always", "-c", "core.fsync=none", *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **own, **names}
    )
    return done.stdout.strip()


def make_package(folder):
    """The two files that matter here."""
    package = folder / "mmseg_tfovss"
    (package / "engine").mkdir(parents=True)
    for name in ("__init__.py", "engine/provenance.py"):
        (package / name).write_text(f"# {name}\n")
    return package


def commit_all(folder):
    git(folder, "init", "-q") if not (folder / ".git").exists() else None
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that takes itself for this one."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    made = make_package(tmp_path / "repository")
    monkeypatch.setattr(provenance, "_PACKAGE", made)
    return made


def test_the_commit_of_a_checkout_and_what_makes_it_dirty(package):
    root = package.parent
    commit = commit_all(root)
    assert provenance.git_commit() == commit
    (root / "notes.txt").write_text("not of the package")
    (package / "__pycache__").mkdir()
    (package / "__pycache__/a.pyc").write_text("")
    assert provenance.git_commit() == commit
    (package / "own.py").write_text("# runs, and is in no commit\n")
    assert provenance.git_commit() == f"{commit}-dirty"
    (package / "own.py").unlink()
    (package / "engine/provenance.py").write_text("# changed\n")
    assert provenance.git_commit() == f"{commit}-dirty"


def test_a_repository_around_an_installed_package_is_not_its_own(package):
    """A virtual environment inside a user's repository, ignored there or not."""
    root = package.parent
    site = root / ".venv/lib/site-packages"
    shutil.move(package, site / "mmseg_tfovss")
    provenance._PACKAGE = site / "mmseg_tfovss"
    (root / "users.py").write_text("")
    git(root, "init", "-q")
    git(root, "add", "users.py")
    git(root, "commit", "-q", "-m", "the user's")
    assert provenance.git_commit() is None
    (root / ".gitignore").write_text(".venv\n")
    commit_all(root)
    assert provenance.git_commit() is None


def test_a_copy_that_is_part_of_another_repository_has_its_commit(package):
    root = package.parent
    (root / "third_party").mkdir()
    shutil.move(package, root / "third_party/mmseg_tfovss")
    provenance._PACKAGE = root / "third_party/mmseg_tfovss"
    commit = commit_all(root)
    (root / "users.py").write_text("")
    assert provenance.git_commit() == commit


def test_a_submodule_has_its_own_commit_and_a_shallow_clone_the_same(package, tmp_path):
    commit = commit_all(package.parent)
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(package.parent), "inner")
    assert commit_all(outer) != commit
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{package.parent}", "shallow")
    for place in (outer / "inner", tmp_path / "shallow"):
        provenance._PACKAGE = place / "mmseg_tfovss"
        assert provenance.git_commit() == commit


@pytest.mark.parametrize("kind", ["other repository", "no repository", "bare index"])
def test_variables_that_point_elsewhere_do_not_mislead(package, tmp_path, monkeypatch, kind):
    commit = commit_all(package.parent)
    make_package(tmp_path / "other")
    (tmp_path / "other/more.txt").write_text("")
    assert commit_all(tmp_path / "other") != commit
    if kind == "other repository":
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    elif kind == "no repository":
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    else:
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere"))
    assert provenance.git_commit() == commit


def test_without_git_or_a_commit_or_trust_there_is_none(package, monkeypatch):
    git(package.parent, "init", "-q")
    git(package.parent, "add", "-A")
    assert provenance.git_commit() is None  # nothing is committed yet
    commit_all(package.parent)
    assert provenance.git_commit() is not None
    for error in (
        FileNotFoundError("git"),
        subprocess.CalledProcessError(128, "git", stderr="fatal: detected dubious ownership in repository"),
        subprocess.TimeoutExpired("git", 30),
    ):

        def fails(*_, error=error, **__):
            raise error

        monkeypatch.setattr(provenance.subprocess, "run", fails)
        assert provenance.git_commit() is None


def recorded(path):
    digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
    return f"sha256={digest},{path.stat().st_size}"


@pytest.fixture
def installed(package, monkeypatch):
    """The same, as pip installs a wheel."""
    site = package.parent
    info = site / "mmseg_tfovss-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmseg_tfovss\nVersion: 0.1.0\n")
    files = [package / "__init__.py", package / "engine/provenance.py"]
    lines = [f"{path.relative_to(site).as_posix()},{recorded(path)}" for path in files]
    lines += ["mmseg_tfovss/__pycache__/__init__.cpython-311.pyc,,", "mmseg_tfovss-0.1.0.dist-info/RECORD,,"]
    (info / "RECORD").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(site))
    return package


def test_a_wheel_has_a_hash_of_its_files_and_no_commit(installed, tmp_path, monkeypatch):
    assert provenance.git_commit() is None
    said = provenance.package_source()
    assert said.startswith(f"mmseg_tfovss {__version__}, wheel with files of sha256 ")
    assert len(said.rsplit(maxsplit=1)[-1]) == 64
    record = installed.parent / "mmseg_tfovss-0.1.0.dist-info/RECORD"
    record.write_text(record.read_text() + "../../bin/tfovss,sha256=abc,5\n")  # which differs from place to place
    assert provenance.package_source() == said
    (installed / "__init__.py").write_text("# changed after it was installed\n")
    assert provenance.package_source() == f"{said}, 1 of its files changed"


def test_a_checkout_beside_an_installed_wheel_is_source(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "_PACKAGE", make_package(tmp_path / "checkout"))
    assert provenance.package_source() == f"mmseg_tfovss {__version__}, source"
    monkeypatch.setattr(metadata, "files", lambda _: None)  # an installer that keeps no list
    assert provenance.package_source() == f"mmseg_tfovss {__version__}, source"


def test_this_package_runs_from_source_and_its_version_is_its_own(monkeypatch):
    assert Path(provenance.__file__).parents[1] == provenance._PACKAGE
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")  # of one that is installed elsewhere
    assert provenance.package_versions()["mmseg_tfovss"] == __version__


def test_versions_name_the_packages_that_matter():
    versions = provenance.package_versions()
    assert versions["torch"] == metadata.version("torch")
    assert versions["onedl-mmsegmentation"] == metadata.version("onedl-mmsegmentation")
    assert {"python", "mmseg_tfovss", "numpy", "open_clip_torch"} <= set(versions)


def test_peak_memory_is_that_of_a_process_with_torch():
    assert 50 < provenance.peak_memory_mb() < 200_000
