"""What people read of a comparison, and the two files beside result.json."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.published import Published
from mmseg_tfovss.plain import escape_markdown
from mmseg_tfovss.reproduce.comparison import SCORE, Comparison, as_json
from mmseg_tfovss.whole_file import whole_file

JSON_NAME, MARKDOWN_NAME = "reproduction.json", "reproduction.md"


def number_line(number: Published) -> str:
    """A printed number with its source."""
    setting = f", {number.setting}" if number.setting else ""
    note = f" ({number.note})" if number.note else ""
    return f"{number.scores[SCORE]} {SCORE}{setting}: {number.source}{note}"


def comparison_lines(comparison: Comparison, number: Published, others: Sequence[Published]) -> Iterator[str]:
    """For a terminal or a log; what differs is listed unless the number is repeated."""
    yield f"Published:  {number_line(number)}"
    yield from (f"Also:       {number_line(other)}" for other in others)
    yield f"Ours:       {comparison.ours:.2f} {SCORE}"
    yield f"Difference: {comparison.difference:+.2f}. {comparison.verdict}"
    if not comparison.repeated:
        yield "What differs, or may differ:"
        yield from (f"  - {line}" for line in comparison.differences)


def write_report(
    comparison: Comparison, number: Published, others: tuple[Published, ...], result: Result, folder: Path
) -> list[Path]:
    """Write ``reproduction.json`` and ``reproduction.md``, each whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    texts = {
        JSON_NAME: json.dumps(as_json(comparison, number, others, result), indent=2) + "\n",
        MARKDOWN_NAME: "\n".join(_markdown(comparison, number, others, result)) + "\n",
    }
    for name, text in texts.items():
        with whole_file(folder / name) as scratch:
            scratch.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _markdown(comparison: Comparison, number: Published, others: Sequence[Published], result: Result) -> Iterator[str]:
    yield f"# {escape_markdown(result['method'])} on {escape_markdown(result['dataset'])}"
    yield ""
    yield f"| {SCORE} | source |"
    yield "| --- | --- |"
    yield f"| {comparison.ours:.2f} | this run, {escape_markdown(result['finished_at'])} |"
    for one in (number, *others):
        source = "; ".join(filter(None, (one.source, one.setting, one.note)))
        yield f"| {one.scores[SCORE]} | {escape_markdown(source)} |"
    yield ""
    yield f"Difference: {comparison.difference:+.2f}. {comparison.verdict}"
    yield ""
    yield "What differs, or may differ:"
    yield ""
    yield from (f"- {escape_markdown(line)}" for line in comparison.differences)
