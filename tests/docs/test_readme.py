"""README: short, and its table says what the methods' files and recorded differences say."""

import re

from mmseg_tfovss.catalogue import list_methods
from tests.docs.site import DOCS, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 900
ROW = re.compile(
    r"^\| \[(?P<name>[^]]+)\]\(mmseg_tfovss/methods/(?P<file>\w+)\.py\)[^|]*\| (?P<rest>.+) \|$", re.MULTILINE
)
DIFFERENCES = re.compile(r"^\| `(\w+)` \| ([\d.e+-]+) \| ([\d.e+-]+) \| [\d.]+ % \|$", re.MULTILINE)
NO_CODE = {"CLIPtraseSAM", "LHTCLIP", "DSLO"}
# What a companion is called in the table, by the class that a config names.
COMPANIONS = {"DINO": "DINO", "SAM": "SAM", "StableDiffusion": "SD2", "recorded": "masks"}


def rows():
    """Name, file, and the cells paper, companions, parity and pocket_all."""
    return [(match["name"], match["file"], match["rest"].split(" | ")) for match in ROW.finditer(README)]


def test_it_is_short():
    assert len(README.split()) <= MOST_WORDS


def test_it_has_a_picture_of_the_methods_and_one_of_the_leaderboard():
    assert re.findall(r"!\[.*\]\((.*)\)", README) == ["docs/pocket.png", "docs/leaderboard.png"]


def test_the_two_commands_for_a_fresh_machine_are_in_it():
    assert re.search(r"^make benchmark\b", README, re.MULTILINE)
    assert re.search(r"^make test\b", README, re.MULTILINE)


def test_papers_and_companions_are_those_of_the_files():
    facts = list_methods()
    assert len(rows()) >= 21
    for name, file, (paper, companions, *_) in rows():
        known = facts.get(file) or next(facts[key] for key in facts if key.startswith(file))
        assert f"({known.url})" in paper, name
        told = {COMPANIONS[companion.split()[0]] for companion in known.companions}
        assert told == set(re.split(", ", companions.replace("–", ""))) - {""}, name


def test_parity_is_the_greatest_recorded_difference():
    [table] = [text for path in DOCS.rglob("*.md") if len(DIFFERENCES.findall(text := path.read_text())) > 10]
    worst = {name: max(patch, full, key=float) for name, patch, full in DIFFERENCES.findall(table)}
    told = {re.sub(r"[ -]", "", name): parity for name, _, (_, _, parity, _) in rows()}
    assert told == worst | dict.fromkeys(NO_CODE, "no code")
