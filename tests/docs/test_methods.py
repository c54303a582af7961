"""The methods' pages in docs/methods: what they say of options, settings, commands and parity is what the code says.

A method needs no page: adding one touches its file, its configs, its test and its row in the README. A page that is
there is checked, whoever wrote it, and those that the overview lists must be there.
"""

import ast
import importlib
import re
import shlex

import pytest

from mmseg_tfovss.catalogue import find_method, resolve
from mmseg_tfovss.own_configs import config_files
from tests.docs import pages
from tests.docs.pages import INDEX, PAGES, ROOT

TEXTS = {name: path.read_text(encoding="utf-8") for name, path in {**PAGES, "index": INDEX}.items()}
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
PARITY = re.compile(r"^\| `(\w+)` \| [\d.e+-]+ \| [\d.e+-]+ \| [\d.]+ % \|$", re.MULTILINE)
STEM = re.compile(r"`([\w-]+_vit-[\w-]+)_<benchmark>`")
# What `model.<name>` may be beside a method's options.
PARTS = {"backbone", "decode_head", "test_cfg", "data_preprocessor", *pages.common_options()}


def anchors(text):
    """Of headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands():
    """Commands in the pages, as (page, words)."""
    for page, text in TEXTS.items():
        for line in pages.code(text, "bash"):
            for command in line.split(" && "):
                yield page, shlex.split(command, comments=True)


def test_the_overview_lists_every_page():
    listed = re.findall(r"^\| \[[^\]]+\]\((\w+)\.md\)", TEXTS["index"], re.MULTILINE)
    assert len(listed) >= 19
    assert sorted(listed) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_belongs_to_a_method_and_links_its_file_and_its_configs(page):
    assert pages.methods_on(page)
    linked = {match[1] for match in LINK.finditer(TEXTS[page])}
    for module in {kind.__module__.split(".")[-1] for kind in pages.methods_on(page)}:
        assert {f"../../mmseg_tfovss/methods/{module}.py", f"../../configs/{module}"} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_the_parts_that_a_reader_looks_for(page):
    titles = re.findall(r"^## (.+)$", TEXTS[page], re.MULTILINE)
    assert titles[:3] == ["Idea", "Equations", "Run"]
    assert {"Options", "Settings under `paper`", "Parity"} <= set(titles)
    assert "tfovss leaderboard --published" in TEXTS[page]


@pytest.mark.parametrize("page", PAGES)
def test_formulas_are_whole_and_no_markdown_gets_in_their_way(page):
    parts = re.split(r"^\$\$$", TEXTS[page], flags=re.MULTILINE)
    assert len(parts) % 2
    assert len(parts) > 1
    formulas = [*parts[1::2], *re.findall(r"\$([^$\n]+)\$", "".join(parts[::2]))]
    for formula in formulas:
        assert formula.count("{") == formula.count("}"), formula
        assert len(re.findall(r"\\left\b", formula)) == len(re.findall(r"\\right\b", formula)), formula
        # GitHub takes a backslash before punctuation for itself.
        assert not re.search(r"\\[^a-zA-Z ]", formula), formula


@pytest.mark.parametrize("page", PAGES)
def test_options_and_their_defaults_are_those_of_the_code(page):
    said = pages.said_options(TEXTS[page])
    own = [pages.own_options(kind) for kind in pages.methods_on(page)]
    assert set(said) == {name for options in own for name in options}
    for options in own:
        assert {name: said[name] for name in options} == options


def test_common_options_and_their_defaults_are_those_of_the_code():
    assert pages.said_options(TEXTS["index"], "Common options") == pages.common_options()


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    folder = INDEX.parent
    for path, anchor in LINK.findall(TEXTS[page]):
        target = (folder / path).resolve() if path else folder / f"{page}.md"
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), (path, anchor)


def test_links_of_the_readme_to_the_pages_lead_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"\]\((docs/methods/[\w.]+)(?:#([\w-]+))?\)", text)
    assert linked
    for path, anchor in linked:
        assert not anchor or anchor in anchors((ROOT / path).read_text(encoding="utf-8")), (path, anchor)
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("page", PAGES)
def test_differences_from_the_official_code_are_those_of_the_overview(page):
    rows = [match[0] for match in PARITY.finditer(TEXTS[page])]
    known = {match[0] for match in PARITY.finditer(TEXTS["index"])}
    names = {kind.__name__.replace("VanillaCLIP", "CLIP") for kind in pages.methods_on(page)}
    assert set(rows) == {row for row in known if PARITY.match(row)[1] in names}


def test_commands_are_those_of_the_command_line():
    seen = set()
    for page, (first, *rest) in commands():
        if first == "tfovss":
            command = importlib.import_module(f"mmseg_tfovss.commands.{rest[0]}")
            command.parse_arguments(rest[1:])
        elif first == "make":
            assert re.search(rf"\b{rest[0]}\b", (ROOT / "Makefile").read_text()), page
        elif first == "python":
            assert (ROOT / f"{rest[1].replace('.', '/')}.py").is_file() or (ROOT / rest[1].replace(".", "/")).is_dir()
        else:
            pytest.fail(f"{page}: {first} is no command of this project")
        seen.add(page)
    assert seen == set(TEXTS)


def test_configs_and_options_of_commands_exist():
    for page, words in commands():
        named = [word for word in words if re.fullmatch(r"(?!model)[\w-]+_vit-[\w-]+", word)]
        assert set(named) <= set(config_files()), page
        if words[:2] == ["tfovss", "demo"]:
            assert resolve(words[3])[0].is_file(), words
        own = (
            {name for kind in pages.methods_on(page) for name in pages.own_options(kind)} if page in PAGES else {"vfm"}
        )
        given = [word for word in words if word.startswith("model.")]
        assert {word.split("=")[0].split(".")[1] for word in given} <= own | PARTS, (page, given)


@pytest.mark.parametrize("page", PAGES)
def test_python_loads_a_method_with_options_that_it_has(page):
    calls = [
        node
        for line in pages.code(TEXTS[page], "python")
        for node in ast.walk(ast.parse(line))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.load"
    ]
    assert calls
    for call in calls:
        name = ast.literal_eval(call.args[0])
        given = {word.arg: word.value for word in call.keywords}
        pocket = "pretrained" in given and ast.literal_eval(given["pretrained"]) == "pocket"
        assert name in config_files() or find_method(name, "ViT-B-16", pocket=pocket)
        own = {option for kind in pages.methods_on(page) for option in pages.own_options(kind)}
        assert set(given) <= own | PARTS | {"pretrained"}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_which_configs_its_settings_are_from(page):
    stems = STEM.findall(TEXTS[page])
    assert stems
    assert all(f"{stem}_voc21" in config_files() for stem in stems)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_settings_are_those_of_the_configs(page):
    for stem in STEM.findall(TEXTS[page]):
        assert "\n".join(pages.settings_lines(stem)) in TEXTS[page], stem
