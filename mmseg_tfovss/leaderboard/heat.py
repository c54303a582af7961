"""The heat maps of the leaderboard's page: IoU of each class, one map per dataset."""

from collections.abc import Mapping, Sequence

from mmseg_tfovss.evaluation.result import ClassScores
from mmseg_tfovss.leaderboard.board import USUAL_PRECISION
from mmseg_tfovss.leaderboard.columns import column_place
from mmseg_tfovss.leaderboard.run import Run
from mmseg_tfovss.leaderboard.scale import step_of
from mmseg_tfovss.leaderboard.tags import escape, row_of, row_start
from mmseg_tfovss.leaderboard.text import run_rows


def heat_maps(runs: Sequence[Run]) -> str:
    """A section with a choice of dataset and a map for each; runs over a part of its images have one of their own."""
    datasets: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: column_place(run.title)):
        datasets.setdefault(run.title, []).append(run)
    if not datasets:
        return ""
    figures = "\n".join(_heat_map(name, of_it) for name, of_it in datasets.items())
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in datasets)
    return (
        '<section class="heat"><h2>IoU of each class</h2>\n'
        f'<label class="choice" hidden>dataset <select name="heat">{options}</select></label>\n{figures}\n</section>'
    )


def _heat_map(dataset: str, runs: Sequence[Run]) -> str:
    classes = list(dict.fromkeys(name for run in runs for name in run.result["per_class"]))
    head = "".join(f'<th scope="col" class="class"><span>{escape(name)}</span></th>' for name in classes)
    rows = []
    for run in runs:
        cells = "".join(_cell(run.result["per_class"], name) for name in classes)
        rows.append(row_start(*row_of(run.result)) + _title(run) + cells + "</tr>")
    body = "\n".join(rows)
    name = escape(dataset)
    return (
        f'<div class="scroll map" tabindex="0" role="region" aria-label="{name}" data-dataset="{name}">'
        f"<table><caption><span>{name}: IoU of each class in percent</span></caption>\n"
        f'<thead><tr><th scope="col">Method</th>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
        f'<p class="none" hidden>No run on {name} fits the filters.</p></div>'
    )


def _title(run: Run) -> str:
    [row] = run_rows([run])
    details = ", ".join([row[3], row[1], *([row[4]] if row[4] != USUAL_PRECISION else [])])
    return f'<th scope="row"><div class="text">{escape(row[2])} <small>{escape(details)}</small></div></th>'


def _cell(scores: Mapping[str, ClassScores], name: str) -> str:
    """Empty for a class that is not in the run's list, a dash for one that does not occur."""
    if name not in scores:
        return '<td class="absent"></td>'
    value = scores[name]["IoU"]
    return "<td>–</td>" if value is None else f'<td class="h{step_of(value)}">{value:.0f}</td>'
