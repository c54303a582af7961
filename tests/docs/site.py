"""What the pages of the documentation hold: links, headings, commands."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "index.md"

_FENCE = re.compile(r"^(?P<fence>```+|~~~+)(?P<kind>[^\n]*)\n(?P<code>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<path>[^()\s#]*)(?:#(?P<anchor>[^()\s]+))?\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OUTSIDE = ("http:", "https:", "mailto:")


class Link(NamedTuple):
    """A link to something in this repository."""

    page: Path
    path: str
    anchor: str

    @property
    def target(self) -> Path:
        """The file or folder that it leads to."""
        return (self.page.parent / self.path).resolve() if self.path else self.page


def pages() -> list[Path]:
    """README, and all pages of the site."""
    found = [path for suffix in ("md", "ipynb") for path in DOCS.rglob(f"*.{suffix}")]
    return [ROOT / "README.md", *sorted(path for path in found if "_build" not in path.parts)]


def text_of(page: Path) -> str:
    """A page's Markdown; of a notebook, that of its text cells."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def prose(text: str) -> str:
    """Markdown without blocks of code."""
    return _FENCE.sub("", text)


def links(page: Path) -> Iterator[Link]:
    """Links that stay in this repository, pictures too."""
    for match in _LINK.finditer(prose(text_of(page))):
        if not match["path"].startswith(_OUTSIDE):
            yield Link(page, match["path"], match["anchor"] or "")


def anchors(page: Path) -> set[str]:
    """Of headings, as GitHub and MyST make them."""
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(prose(text_of(page)))]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def contents() -> list[str]:
    """Entries of the table of contents, as they stand in it."""
    blocks = _TOCTREE.findall(INDEX.read_text(encoding="utf-8"))
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def shell_lines(text: str) -> Iterator[str]:
    """Commands in blocks of shell code; continued lines are joined."""
    for match in _FENCE.finditer(text):
        if match["kind"].strip() in ("bash", "sh", "console"):
            yield from filter(None, map(str.strip, match["code"].replace("\\\n", " ").splitlines()))


def words_of(line: str) -> list[str]:
    """A command in words, without comments, settings of the environment, and the folder of the program."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    return [Path(words[0]).name, *words[1:]] if words else []
