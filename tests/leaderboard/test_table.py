"""Terminal tables."""

from mmseg_tfovss.leaderboard.table import class_table, print_table, summary_table
from tests.evaluation.test_result import make_result


def test_square_brackets_in_names_are_no_markup(capsys):
    odd = make_result(method="[red] [/x] y\\", per_class={"[b] cat": {"IoU": 5.0, "Acc": 5.0}})
    print_table(summary_table([odd]))
    print_table(class_table(odd))
    text = capsys.readouterr().out
    assert text.count("[red] [/x] y\\") == 2
    assert "[b] cat" in text


def test_tables_are_printed_in_full_where_there_is_no_terminal(capsys):
    long = make_result(backbone="ViT-H-14-378-quickgelu/a-very-long-name-of-some-weights.safetensors")
    print_table(summary_table([long]))
    print_table(class_table(long))
    text = capsys.readouterr().out
    assert long["backbone"] in text
    assert "59.12" in text
    assert "…" not in text
    assert "-" in next(line for line in text.splitlines() if "cat" in line)  # Acc is None
