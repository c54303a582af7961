"""docs/quickstart.ipynb: small, run from top to bottom, and saying what it says here."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs/quickstart.ipynb"
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell):
    """The text that a cell gives, in however many parts; what libraries warn of differs between machines."""
    printed = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    return [printed, *(output.data["text/plain"] for output in cell.outputs if "text/plain" in output.get("data", {}))]


def pictures(cell):
    return sum("image/jpeg" in output.get("data", {}) for output in cell.outputs)


def test_it_is_small_valid_and_was_run_in_order(committed):
    nbformat.validate(committed)
    assert NOTEBOOK.stat().st_size < MOST_BYTES
    cells = code_cells(committed)
    assert 8 <= len(cells) <= 14
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.get("name") for cell in cells for output in cell.outputs} <= {None, "stdout"}
    assert sum(map(pictures, cells)) >= 5


@pytest.mark.slow
def test_running_it_changes_no_text(committed, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    run = nbformat.from_dict({**committed, "cells": [dict(cell) for cell in committed.cells]})
    client = NotebookClient(run, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # a cell that fails raises
    for before, after in zip(code_cells(committed), code_cells(run), strict=True):
        assert said(after) == said(before), before.source
        assert pictures(after) == pictures(before), before.source
    assert list(tmp_path.iterdir()) == []
