"""Terms and sizes are those of docs/datasets.md."""

import re
from pathlib import Path

from mmseg_tfovss.datasets.facts import PREPARED
from mmseg_tfovss.prepare.recipes import RECIPES
from mmseg_tfovss.prepare.terms import CONDITIONS, ROUNDED_SIZES

DOCS = (Path(__file__).parents[2] / "docs/datasets.md").read_text(encoding="utf-8")
ROWS = {cells[1].strip(" `"): cells for line in DOCS.splitlines() if len(cells := line.split("|")) > 3}


def test_every_benchmark_has_terms_and_a_size():
    assert set(CONDITIONS) == set(PREPARED)
    assert all(conditions.terms for conditions in CONDITIONS.values())
    for key, conditions in CONDITIONS.items():
        told = re.search(r"([\d.]+) GB", ROWS[key][-2])
        if told:  # else those of another benchmark
            assert conditions.disk == round(float(told[1]) * 1e9), key


def test_archives_without_an_exact_size_have_the_publishers_rounded_one():
    for key, recipe in RECIPES.items():
        for archive in recipe.archives:
            if archive.url and archive.size is None and archive.name != "trainval_merged.json":
                size = ROUNDED_SIZES[archive.name]
                assert re.search(rf"`{archive.name}` \(({size / 1e9:g} GB|{size / 1e6:g} MB)\)", DOCS), key
