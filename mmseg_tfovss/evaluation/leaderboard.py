"""The leaderboard: results of many runs in one table, as text for people, papers and machines."""

import csv
import html
import io
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from mmseg_tfovss.evaluation.result import Result, read_result
from mmseg_tfovss.whole_file import whole_file

SCORES = ("mIoU", "pAcc", "mAcc", "fwIoU")
COLUMNS = ("Dataset", "Protocol", "Method", "Backbone", "Precision", *SCORES, "Images", "s / image")
POCKET_NOTE = (
    "pocket_* is the bundled benchmark of generated scenes with a small CLIP trained on them: it shows that the"
    " pipeline works and ranks nothing about the real world."
)
Row = tuple[str, ...]
_PUBLISHED = Path(__file__).parent / "published"
_NO_LEADERBOARD = ("_ablations", "_complexity")  # how names of its other files end
_KEY: tuple[Literal["dataset", "protocol", "setting", "method", "backbone", "precision"], ...] = (
    "dataset",
    "protocol",
    "setting",
    "method",
    "backbone",
    "precision",
)


def load_results(folders: Sequence[Path]) -> list[Result]:
    """Results below the given folders, sorted by dataset, protocol, then falling mIoU.

    Args:
        folders: result folders, folders of result folders, or result files.

    Returns:
        The results.

    Raises:
        FileNotFoundError: a folder does not exist, or holds no result.
        ValueError: a damaged file, or two results for the same method, backbone, dataset and protocol.
    """
    found: dict[tuple[str, ...], tuple[Path, Result]] = {}
    for folder in folders:
        for path in _result_files(folder):
            result = read_result(path)
            key = (*(result[name] for name in _KEY), str(result["overrides"]))
            if key in found and found[key][0].resolve() != path.resolve():
                raise ValueError(
                    f"{path} and {found[key][0]} are results of the same run ({', '.join(key[:-1])}): name one."
                )
            found[key] = (path, result)
    results = [result for _, result in found.values()]
    return sorted(results, key=lambda r: (r["dataset"], r["protocol"], -r["metrics"]["mIoU"], r["method"]))


def read_published(name: str) -> list[dict[str, str]]:
    """A file of the folder ``published``, by its name without suffix: numbers as printed, each with its source.

    ``<paper>`` holds a paper's main tables, its own rows and those it quotes; a mean over several datasets has the
    dataset ``average``. ``<paper>_ablations`` has the same columns, ``<paper>_complexity`` those of
    :mod:`mmseg_tfovss.analysis.complexity`.
    """
    text = (_PUBLISHED / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def published_rows(datasets: Collection[str]) -> list[Row]:
    """Numbers that papers and repositories print for these datasets, each row with its source as protocol.

    They were measured by others, under their protocols: see the source before comparing. Numbers of a method that
    another method's paper quotes say so.
    """
    rows = []
    names = sorted(path.stem for path in _PUBLISHED.glob("*.csv"))
    for name in names:
        lines = [] if name.endswith(_NO_LEADERBOARD) else read_published(name)
        for line in lines:
            if line["dataset"] in datasets:
                scores = (f"{float(line[score]):.2f}" if line[score] else "" for score in SCORES)
                source = f"{line['source']}; {line['note']}" if line.get("note") else line["source"]
                protocol = f"published, {line['setting']}: {source}"
                rows.append((line["dataset"], protocol, line["method"], line["backbone"], "", *scores, "", ""))
    return sorted(rows, key=lambda row: (row[0], row[1], -float(row[5]), row[2]))


def leaderboard_rows(results: Sequence[Result]) -> list[Row]:
    """One row of text per result, in the order of :data:`COLUMNS`."""
    return [
        (
            result["dataset"],
            _protocol(result),
            result["method"],
            result["backbone"],
            result["precision"],
            *(f"{result['metrics'][name]:.2f}" for name in SCORES),
            _images(result),
            f"{result['seconds_per_image']:.3f}",
        )
        for result in results
    ]


def _images(result: Result) -> str:
    """The number of images, and how many there should have been if that is another number."""
    images, expected = result["num_images"], result["expected_images"]
    return str(images) if expected in (None, images) else f"{images} of {expected}"


def to_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"# Leaderboard\n\n{table}\n{_note(rows)}"


def to_csv(rows: Sequence[Row]) -> str:
    """Comma-separated values with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def to_latex(rows: Sequence[Row]) -> str:
    """A booktabs table."""
    lines = [" & ".join(_escape_latex(cell) for cell in row) + r" \\" for row in (COLUMNS, *rows)]
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    note = _note(rows).strip()
    comment = f"% {note}\n" if note else ""
    return f"{comment}\\begin{{tabular}}{{lllll{'r' * 6}}}\n{body}\n\\end{{tabular}}\n"


def to_html(rows: Sequence[Row]) -> str:
    """A page with one table."""

    def line(tag: str, cells: Row) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join([line("th", COLUMNS), *(line("td", row) for row in rows)])
    style = "body{font-family:sans-serif}td,th{padding:.2em .8em;text-align:left}tr:nth-child(even){background:#eee}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>\n'
        f"<style>{style}</style></head>\n<body><h1>Leaderboard</h1>\n<table>\n{body}\n</table>\n"
        f"<p>{html.escape(_note(rows).strip())}</p></body></html>\n"
    )


_FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "tex": to_latex,
    "html": to_html,
}


def write_leaderboard(results: Sequence[Result], folder: Path, published: Sequence[Row] = ()) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv``, ``.tex`` and ``.html``.

    Args:
        results: of :func:`load_results`.
        folder: created if needed.
        published: of :func:`published_rows`; they come after the results.

    Returns:
        The files.
    """
    rows = [*leaderboard_rows(results), *published]
    paths = []
    for suffix, render in _FORMATS.items():
        path = folder / f"leaderboard.{suffix}"
        with whole_file(path) as scratch:
            scratch.write_text(render(rows), encoding="utf-8")
        paths.append(path)
    return paths


def _result_files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise FileNotFoundError(f"The result folder {folder} does not exist.")
    files = sorted(folder.rglob("result.json"))
    if not files:
        raise FileNotFoundError(f"No result.json below {folder}: no run in it has finished.")
    return files


def _protocol(result: Result) -> str:
    """The protocol, with what the command line changed of it: such a row must not pass for the protocol's own."""
    changes = ", ".join(f"{name.rsplit('.', 1)[-1]}={value}" for name, value in result["overrides"].items())
    protocol = f"{result['protocol']}, {result['setting']}" if result["setting"] else result["protocol"]
    return f"{protocol} ({changes})" if changes else protocol


def _note(rows: Sequence[Row]) -> str:
    return f"\n{POCKET_NOTE}\n" if any(row[0].startswith("pocket") for row in rows) else ""


def _escape_latex(text: str) -> str:
    return text.replace("\\", r"\textbackslash{}").replace("_", r"\_").replace("%", r"\%").replace("&", r"\&")
