"""Commit, versions and memory."""

from importlib import metadata

from mmseg_tfovss.engine import provenance


def test_versions_name_the_packages_that_matter():
    versions = provenance.package_versions()
    assert versions["torch"] == metadata.version("torch")
    assert versions["onedl-mmsegmentation"] == metadata.version("onedl-mmsegmentation")
    assert {"python", "mmseg_tfovss", "numpy", "open_clip_torch"} <= set(versions)


def test_no_git_means_no_commit(monkeypatch):
    def absent(*_):
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance, "_git", absent)
    assert provenance.git_commit() is None


def test_changed_files_mark_the_commit(monkeypatch):
    answers = {"rev-parse": "abc", "status": " M file"}
    monkeypatch.setattr(provenance, "_git", lambda _, command, *__: answers[command])
    assert provenance.git_commit() == "abc-dirty"
    answers["status"] = ""
    assert provenance.git_commit() == "abc"


def test_peak_memory_is_that_of_a_process_with_torch():
    assert 50 < provenance.peak_memory_mb() < 200_000
