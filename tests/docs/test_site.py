"""The site: every link and anchor resolves, every page is in the table of contents, commands exist."""

import importlib
import os
import re
import runpy
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from mmseg_tfovss import commands
from mmseg_tfovss.commands import COMMANDS
from tests.docs import site
from tests.docs.site import DOCS, INDEX, ROOT

PAGES = site.pages()
MODULES = getattr(commands, "MODULES", {})  # of commands that are not called as their modules
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)) | {
    "versatility",
    "graphs",
    "plugins",
}


def name_of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in site.links(page):
        assert link.target.exists(), link
        assert not link.anchor or link.anchor in site.anchors(link.target), link


def test_every_page_is_in_the_table_of_contents():
    entries = site.contents()
    names = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES if DOCS in page.parents}
    assert names - {"index"} == {
        name for name in names for entry in entries if fnmatch(name, entry) and name.count("/") == entry.count("/")
    }


def test_the_table_of_contents_names_pages():
    for entry in set(site.contents()):
        assert "*" in entry or list(DOCS.glob(f"{entry}.*")), entry
    assert len(set(site.contents())) == len(site.contents())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_take_the_options_that_a_page_gives_them(page):
    for line in site.shell_lines(site.text_of(page)):
        program, *words = site.words_of(line) or [""]
        if program == "tfovss":
            assert words[0] in COMMANDS, line
            command = importlib.import_module(f"mmseg_tfovss.commands.{MODULES.get(words[0], words[0])}")
            try:
                command.parse_arguments(words[1:])
            except SystemExit:
                pytest.fail(f"{name_of(page)}: {line}")
        elif program == "make":
            assert words[0] in TARGETS, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_running_text_exist(page):
    text = site.prose(site.text_of(page))
    assert set(re.findall(r"`tfovss ([a-z][\w-]*)", text)) <= set(COMMANDS)
    assert set(re.findall(r"`make ([a-z][\w-]*)", text)) <= TARGETS


def test_links_and_anchors_that_lead_nowhere_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One `two`: three\n\n[a](page.md#one-two-three) [b](gone.md#x)\n\n```text\n[c](code.md)\n```\n")
    assert site.anchors(page) == {"one-two-three"}
    assert [(link.path, link.anchor) for link in site.links(page)] == [("page.md", "one-two-three"), ("gone.md", "x")]
    assert not list(site.links(page))[1].target.exists()


def test_links_to_folders_become_their_names_on_the_site():
    nodes = pytest.importorskip("docutils.nodes", reason="needs the extra docs")
    addnodes = pytest.importorskip("sphinx.addnodes", reason="needs the extra docs")
    document = importlib.import_module("docutils.utils").new_document("page")
    targets = {"configs/clip": "../../configs/clip", "six": "../../configs/clip", "clip.md": "clip.md", "no": "gone"}
    for text, target in targets.items():
        link = addnodes.pending_xref("", nodes.inline(text, text), reftype="myst", reftarget=target)
        document += nodes.paragraph("", "", link)
    runpy.run_path(str(DOCS / "conf.py"))["name_folders"](document, DOCS / "methods" / "clip.md")
    assert [link.astext() for link in document.findall(addnodes.pending_xref)] == ["clip.md", "no"]
    assert [part.astext() for part in document.findall(nodes.paragraph)][:2] == ["configs/clip", "six (configs/clip)"]
    assert [name.astext() for name in document.findall(nodes.literal)] == ["configs/clip"] * 2


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    options = ["--nitpicky", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *options,
        "-d",
        str(tmp_path / "trees"),
        str(DOCS),
        str(tmp_path / "html"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "Segmenter" in (tmp_path / "html/api/python.html").read_text()
    pages = {path: path.read_text() for path in (tmp_path / "html").rglob("*.html")}
    assert [path for path, text in pages.items() if 'href="#..' in text] == []
    assert re.search(r'href="\.\./_downloads/\w+/sclip\.py"', pages[tmp_path / "html/methods/sclip.html"])
    assert INDEX.is_file()
