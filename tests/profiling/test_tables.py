import dataclasses

import pytest

from mmseg_tfovss.leaderboard.table import print_table
from mmseg_tfovss.profiling.tables import benchmark_table, summary_table
from tests.profiling.test_complexity import make_timing


@pytest.fixture
def timing():
    return make_timing(flops=40 * 10**9, seconds={"load": 0.1, "encoder": 0.4, "upsample+argmax": 0.1, "metric": 0.2})


def test_the_encoder_is_compared_with_matrix_products_of_the_same_run(timing, capsys):
    print_table(benchmark_table("run", {"fp32": timing}))
    text = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in text.splitlines() if line[:1] == "│"}
    assert rows["encoder GFLOP / s"] == "100"
    assert rows["matrix products by torch.matmul, GFLOP / s"] == "150"
    assert rows["by the faster way, GFLOP / s"] == "200"
    assert rows["encoder, of that rate"] == "50 %"
    assert rows["after the encoder"] == "20.0 %"


def test_runs_are_compared_with_the_first(timing, capsys):
    slower = dataclasses.replace(timing, seconds={**timing.seconds, "encoder": 1.2})
    print_table(summary_table({"a, fp32": timing, "b, fp32": slower}))
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1] == "│"]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert cells == [["a, fp32", "0.800", "1.00", "50 %", "20.0 %"], ["b, fp32", "1.600", "2.00", "17 %", "7.7 %"]]
