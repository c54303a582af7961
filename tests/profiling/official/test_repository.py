"""A checkout says which commit it is, and leaves no trace of its code."""

import os
import re
import subprocess

from mmseg_tfovss.profiling.official.repository import Repository


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


def test_the_title_names_commit_and_changes(tmp_path):
    root = tmp_path / "theirs"
    root.mkdir()
    (root / "a.py").write_text("x = 1\n")
    assert Repository(root).title == "theirs @ unknown commit"
    git(root, "init", "--quiet")
    git(root, "add", "a.py")
    git(root, "commit", "--quiet", "--message", "one")
    git(root, "rm", "--quiet", "--cached", "a.py")  # of no matter: the file is there
    (root / "weights.pt").write_text("not part of it")
    (root / "copied").mkdir()
    named = Repository(root).title
    assert re.fullmatch("theirs @ [0-9a-f]{7,}", named)
    (root / "a.py").write_text("x = 2\n")
    assert Repository(root).title == f"{named}, changed"
    assert Repository(root / "copied").title == "copied @ unknown commit"  # its files are not in the commit


def test_what_its_code_sets_in_the_environment_is_taken_back(tmp_path):
    with Repository(tmp_path).modules():
        os.environ["TFOVSS_OF_THEIRS"] = "1"
    assert "TFOVSS_OF_THEIRS" not in os.environ
