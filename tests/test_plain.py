"""Whatever names hold: nothing is executed or hidden, and a table keeps its shape, in every output."""

import csv
import html.parser
import io
import random
import re

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.latex import to_latex
from mmseg_tfovss.leaderboard.table import class_table, runs_table
from mmseg_tfovss.leaderboard.text import line_names, run_rows, to_csv, to_markdown, to_runs_csv
from mmseg_tfovss.plain import csv_cell, escape_markdown, one_line, printable
from tests.leaderboard.hostile import PIECES, draw_name, hostile_board

SEEDS = (*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 120)))
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def check_signs(text):
    """Nothing but signs that can be seen, and the ends of lines."""
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b", r"\x9b"),
        ("a\u202eb", r"a\u202eb"),
        ("\udcff", r"\xff"),
        ("\ud800", r"\ud800"),
        ("\x00\n", r"\x00\n"),
        ("\U000e0001", r"\U000e0001"),
        ("é本", "é本"),
    ],
)
def test_signs_that_cannot_be_seen_are_named(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-1+1", "'-1+1"),
        ("@x", "'@x"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        ("  =1", "'=1"),
        ("＝1", "'＝1"),
        ("a; =1;@x", "a; '=1;'@x"),
        ("-", "'-"),
        ("-0.04", "-0.04"),
        ("+2.10", "+2.10"),
        ("-1e-05", "-1e-05"),
        (".5", ".5"),
        ("59.12", "59.12"),
        ("a=1", "a=1"),
        ("-1 cat", "'-1 cat"),
        ("a\nb", "a b"),
    ],
)
def test_formulas_are_text_and_numbers_are_numbers(text, cell):
    assert csv_cell(text) == cell


@pytest.mark.parametrize("text", [*PIECES, *(draw_name(random.Random(seed)) for seed in range(150))])
def test_markdown_shows_the_text_itself(text):
    """As a paragraph, a heading, an item of a list, and a cell of a table."""
    shown, escaped = one_line(text), escape_markdown(text)
    for source in (escaped, f"# {escaped}", f"- {escaped}", f"| {escaped} | b |\n| --- | --- |\n| {escaped} | c |"):
        inlines = [token for token in MARKDOWN.parse(source) if token.type == "inline"]
        texts = ["".join(child.content for child in token.children) for token in inlines]
        kinds = {child.type for token in inlines for child in token.children}
        assert kinds <= {"text", "text_special"}
        if "|" in source[:1]:
            assert texts == [shown, "b", shown, "c"]
        else:
            assert "".join(texts) == shown


def test_what_only_some_readers_of_markdown_know_is_text_too():
    assert escape_markdown("$x$ ~~y~~") == r"\$x\$ \~\~y\~\~"


@pytest.mark.parametrize("seed", SEEDS)
def test_markdown_tables_keep_their_shape(seed):
    board = hostile_board(random.Random(seed))
    text = to_markdown(board)
    check_signs(text)
    tokens = MARKDOWN.parse(text)
    assert not {token.type for token in tokens} & {"html_block", "fence", "code_block", "blockquote_open", "hr"}
    children = [child for token in tokens if token.type == "inline" for child in token.children]
    assert {child.content for child in children if child.type == "html_inline"} <= {"<u>", "</u>"}
    assert not {child.type for child in children} & {"link_open", "image", "code_inline", "em_open", "s_open"}
    assert len([token for token in tokens if token.type == "table_open"]) == len(board.sections) + 1
    rows, row = [], None
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "tr_open":
            row = []
            rows.append(row)
        elif token.type in ("th_open", "td_open"):
            row.append("".join(c.content for c in following.children if c.type in ("text", "text_special")))
    names = [line_names(section, line) for section in board.sections for line in section.lines]
    assert [tuple(row[: len(names[0])]) for row in rows if tuple(row[: len(names[0])]) in names] == names
    assert [tuple(row[:-1]) for row in rows][-len(board.runs) :] == run_rows(board.runs)


@pytest.mark.parametrize("seed", SEEDS)
def test_csv_tables_keep_their_shape_and_hold_no_formula(seed):
    board = hostile_board(random.Random(seed))
    for text in (to_csv(board), to_runs_csv(board)):
        check_signs(text)
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len(rows) == text.count("\n")
        assert len({len(row) for row in rows}) == 1
        assert rows == list(csv.reader(io.StringIO(text), delimiter=",", strict=True))
        for cell in (part.strip() for row in rows for text in row for part in text.split(";")):
            assert cell[:1] not in tuple("=+-@＝＋－＠") or re.fullmatch(r"[+-]?[\d.]+", cell)
    [header, *found] = csv.reader(io.StringIO(to_runs_csv(board), newline=""))
    assert [row[header.index("Method")].removeprefix("'") for row in found] == [
        csv_cell(run.result["method"]).removeprefix("'") for run in board.runs
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_latex_has_its_own_commands_only(seed):
    text = to_latex(hostile_board(random.Random(seed)))
    check_signs(text)
    body = re.sub(r"(?<!\\)%.*", "", text)
    plain = re.sub(r"\\[{}$&#_%\\]", "", body)
    assert plain.count("{") == plain.count("}")
    commands = set(re.findall(r"\\([a-zA-Z@]+)", re.sub(r"\\\\", "", body)))
    assert commands <= {
        *("expandafter", "ifx", "csname", "endcsname", "relax", "let", "leaderboardend", "else", "def", "fi", "char"),
        *("documentclass", "usepackage", "begin", "end", "toprule", "midrule", "bottomrule", "bigskip", "par"),
        *("textbf", "underline", "scriptsize", "textbackslash", "textasciitilde", "textasciicircum", "textless"),
        *("textgreater", "textbar", "textasciigrave", "textdagger", "textdaggerdbl", "ensuremath", "times", "pm"),
        "cdot",
    }
    assert set(re.findall(r"\\(?:begin|end)\{(\w+)\}", body)) == {"document", "tabular"}
    tables = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", body, re.DOTALL)
    assert tables
    for columns, rows in tables:
        for row in rows.splitlines():
            if row.startswith("{}"):
                assert row.endswith(r" \\")
                assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1
                assert not re.search(r"(?<!\\)[%#_$]", row)
            else:
                assert row in (r"\toprule", r"\midrule", r"\bottomrule")


@pytest.mark.parametrize("seed", SEEDS)
def test_terminal_tables_keep_their_shape_and_send_no_commands(seed):
    board = hostile_board(random.Random(seed))
    tables = [runs_table(board.runs), *(class_table(run.result) for run in board.runs)]
    rows = [board.runs, *(run.result["per_class"] for run in board.runs)]
    for table, expected in zip(tables, rows, strict=True):
        console = Console(width=5000, file=io.StringIO(), force_terminal=False)
        console.print(table)
        check_signs(console.file.getvalue())
        assert len([line for line in console.file.getvalue().splitlines() if line[0] == "│"]) == len(expected)


class Page(html.parser.HTMLParser):
    """Elements, attributes, texts, and the cells of every row of a page."""

    VOID = ("meta", "link", "input", "br", "img", "wbr")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.tables, self.texts = [], [], [], [], []
        self.within_word = False

    def handle_starttag(self, tag, attrs):
        self.within_word = tag == "wbr"  # where a line may end, as at a soft hyphen
        if self.within_word:
            return
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1] += 1

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.within_word = False

    def handle_data(self, data):
        data = data.replace("\N{SOFT HYPHEN}", "")
        self.texts.append(self.texts.pop() + data if self.within_word else data)

    def handle_comment(self, data):
        raise AssertionError(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_page_runs_its_own_script_only_and_shows_every_name(seed, tmp_path):
    board = hostile_board(random.Random(seed))
    text = to_html(board, tmp_path)
    check_signs(text)
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert set(page.tags) <= {
        *("html", "head", "meta", "link", "title", "style", "body", "header", "h1", "h2", "p", "details", "summary"),
        *("ul", "li", "code", "form", "label", "select", "option", "input", "button", "output", "main", "section"),
        *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "b", "u", "small", "span", "a", "script"),
    }
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert {value for _, name, value in page.attributes if name == "style"} <= {"--v:5.0"}
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert len(links) == 2 * len(board.runs)
    assert not [link for link in links if not re.fullmatch(r"(\.\./)*[A-Za-z0-9_.~%/-]+", link) or link[0] == "/"]
    assert {name for _, name, _ in page.attributes} & {"src", "srcset", "action", "formaction", "ping"} == set()
    assert all(len(set(cells)) == 1 for cells in page.tables)
    for run in board.runs:
        for name in ("method", "backbone", "dataset", "precision"):
            shown = one_line(run.result[name])
            part = f"{shown} ({run.result['num_images']} of {run.result['expected_images']})"
            assert not shown or {shown, part} & set(page.texts)
        assert {one_line(name) for name in run.result["per_class"]} - {""} <= set(page.texts)


def test_links_to_overlays_are_relative_whatever_they_are_called(tmp_path):
    from mmseg_tfovss.leaderboard.every_run import _link

    for name in ("javascript:alert(1)_overlay.png", "//evil.example/x_overlay.png", "/etc/x_overlay.png", "data:x"):
        link = re.search('href="([^"]*)"', _link(tmp_path / name.lstrip("/"), name, tmp_path))[1]
        assert ":" not in link
        assert not link.startswith("/")
    assert (
        ":" not in re.search('href="([^"]*)"', _link(tmp_path.__class__("javascript:x"), "x", tmp_path.__class__()))[1]
    )
