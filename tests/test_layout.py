"""The house: rooms by purpose, arrows one way, and no file that wears another one's name."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import mmseg_tfovss

PACKAGE = Path(mmseg_tfovss.__file__).parent
TESTS = Path(__file__).parent
NAME = PACKAGE.name
FILES = sorted(PACKAGE.rglob("*.py"))
# Named after their classes.
OWN_NAMES = {"clip_graph", "clip_surgery", "cliptrase_sam"}
SCIENCE = {"methods", "encoders", "heads", "ops", "solvers", "vocabulary"}
ABOVE = {"engine", "cluster", "leaderboard", "sweeps", "pictures", "studies", "profiling"}


def room_of(path):
    """The folder below the package, or the file itself where it stands at the root."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imports_of(path):
    """Files of this package that a file imports, anywhere in it."""
    tree = ast.parse(path.read_text())
    typing_only = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    ]
    found = []
    unseen = {inner for node in typing_only for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if node in unseen:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            first, *rest = name.split(".")
            if first == NAME and rest:
                target = PACKAGE.joinpath(*rest)
                found += [file for file in (target.with_suffix(".py"), target / "__init__.py") if file.is_file()]
    return found


def arrows(of=room_of):
    found = defaultdict(set)
    for path in FILES:
        for target in imports_of(path):
            if of(path) != of(target):
                found[of(path)].add(of(target))
    return found


def circle(graph):
    """A circle of the graph, or nothing."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        path.append(node)
        for following in sorted(graph.get(node, ()), key=str):
            if found := visit(following):
                return found
        done.add(path.pop())
        return []

    return next((found for node in sorted(graph, key=str) if (found := visit(node))), [])


def test_there_are_rooms():
    assert len(FILES) > 150
    assert {room_of(path) for path in FILES} >= SCIENCE | ABOVE | {"datasets", "prepare", "pocket", "evaluation"}


def test_arrows_between_rooms_go_one_way():
    assert circle(arrows()) == []


def test_files_import_each_other_in_no_circle():
    faces = {path for path in FILES if path.name == "__init__.py"}
    graph = arrows(of=lambda path: path)
    assert circle({source: targets - faces for source, targets in graph.items() if source not in faces}) == []


def test_the_circle_finder_finds_one():
    assert circle({1: {2}, 2: {3}, 3: {1}}) == [1, 2, 3, 1]


def test_the_science_knows_nothing_of_runs():
    for room, targets in arrows().items():
        if room in SCIENCE:
            assert not targets & (ABOVE | {"evaluation", "datasets", "prepare", "pocket", "config"}), room


@pytest.mark.parametrize("room", ["engine", "evaluation", "cluster", "leaderboard"])
def test_runs_know_no_paper(room):
    shared = {"base", "stages", "life_cycle", "around", "authoring", "options"}
    papers = {path for path in (PACKAGE / "methods").glob("*.py") if path.stem not in shared}
    known = {target for path in FILES if room_of(path) == room for target in imports_of(path)}
    assert not known & papers - {PACKAGE / "methods" / "__init__.py"}


def test_no_file_wears_another_ones_name_as_its_prefix():
    for folder in {path.parent for path in FILES}:
        names = {path.stem for path in folder.glob("*.py")} | {
            path.parent.name for path in folder.glob("*/__init__.py")
        }
        worn = {name for name in names for other in names if name.startswith(f"{other}_")}
        assert worn <= OWN_NAMES, folder
        assert not {name for name in names if name.startswith(f"{folder.name}_")} - OWN_NAMES


def test_no_room_is_called_utils():
    assert not [path for path in FILES if "util" in path.stem or "helper" in path.stem or "misc" in path.stem]


def test_tests_mirror_the_rooms():
    rooms = {path.parent.relative_to(PACKAGE) for path in FILES if path.parent != PACKAGE}
    missing = [room for room in sorted(rooms) if not list((TESTS / room).rglob("test_*.py"))]
    assert not missing
