"""The solvers' speed: the table holds what it says."""

import re

from mmseg_tfovss.profiling import solver_speed


def test_every_size_has_its_row(monkeypatch):
    monkeypatch.setattr(solver_speed, "SIZES", ((16, 3), (25, 2)))
    table = solver_speed.time_solvers("cpu", 1)
    sizes, ours, pot, ratio, chain = (list(column.cells) for column in table.columns)
    assert sizes == ["16 x 3", "25 x 2"]
    assert all(float(cell) > 0 for column in (ours, chain) for cell in column)
    assert [len(column) for column in (pot, ratio)] == [2, 2]
    assert "32 x 32 to 512 x 512" in table.caption
    assert re.search(
        r"of 16 x 3, by the largest cost in epsilon: \d+ ms up to 79 and \d+ ms up to 599\.", table.caption
    )
