"""Sentences that belong to the leaderboard's tables: what the marks mean, and what to be careful of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.board import POCKET_NOTE, Board, Cell, Section
from mmseg_tfovss.leaderboard.leaves import strays_by
from mmseg_tfovss.leaderboard.published import JOIN, counterpart_of
from mmseg_tfovss.leaderboard.run import assumptions_of, commit_of
from mmseg_tfovss.plain import one_line

_MARKS_NOTE = "Best bold, second underlined: per table, among results without changes from the command line."
_PART_NOTE = (
    'Columns such as "pocket_all (50 of 200)" are of a part of the benchmark\'s images. Such numbers have tables'
    " of their own, because they cannot be compared with those of all images."
)
_BESIDE_NOTE = (
    "After a number: what the source in square brackets prints for the same method, backbone and setting under the"
    " paper protocol, in whatever precision, and ours minus that; only where our settings are those of a config of this"
    " package, and the row's label tells no difference."
)
_PUBLISHED_NOTE = (
    "Published numbers were measured by others, under their protocols; averages are the source's own, over the same"
    " datasets."
)
_SAME_FOR_ALL = (
    "short_side",
    "model.short_side",
    *(f"model.decode_head.{name}" for name in ("logit_scale", "prob_threshold", "area_threshold", "templates")),
)
_NOT_RECORDED = "not recorded"


def notes_of(board: Board) -> list[str]:
    """What the tables need said."""
    cells = [cell for section in board.sections for cell in _cells(section)]
    results = [run.result for run in board.runs]
    candidates = (
        (_MARKS_NOTE, any(cell.mark for cell in cells)),
        (_PART_NOTE, any(section.is_part for section in board.sections)),
        (_BESIDE_NOTE, any(cell.published for cell in cells)),
        (_PUBLISHED_NOTE, bool(board.published)),
        (POCKET_NOTE, any(result["dataset"].startswith("pocket") for result in results)),
    )
    unified = [result for result in results if result["protocol"] == "unified" and not result["overrides"]]
    return [
        *(text for text, needed in candidates if needed),
        *_beside(board),
        *_assumed(results),
        *_code(results),
        *_mixed((f"{r['method']} on {r['backbone']}", r["weights_hash"], "different weights") for r in results),
        *_mixed((f"{r['dataset']} (unified)", r["vocabulary_hash"], "different class lists") for r in unified),
        *_mixed(_shared_settings(unified)),
    ]


def unmatched(board: Board) -> str:
    """A sentence that says why published numbers were asked for and none stands beside a result; empty if one does."""
    if not board.runs or any(cell.published for section in board.sections for cell in _cells(section)):
        return ""
    if board.published:
        return (
            "--published: no printed number stands beside a result, because none is of the same method, backbone,"
            " setting and dataset as an unchanged run over all images under the paper protocol."
        )
    datasets = ", ".join(dict.fromkeys(run.result["dataset"] for run in board.runs))
    return f"--published adds nothing: no source prints a number for {one_line(datasets)}."


def _cells(section: Section) -> Iterator[Cell]:
    for line in section.lines:
        yield from line.cells.values()


def _beside(board: Board) -> list[str]:
    """Runs beside which no published number stands, or only by their names."""
    named = [run.result for run in board.runs if counterpart_of(run, board.published)]
    strays = [(result, strays_by(result)) for result in named]
    unknown = sum(not result["settings"] for result in named)
    return [
        *(
            f"Careful: {result['method']} on {result['backbone']} ({result['dataset']}) {reason}: no published number"
            " stands beside it."
            for result, reason in strays
            if reason
        ),
        *(
            [f"Careful: {_runs(unknown, 'without recorded settings')}: published numbers stand there by name only."]
            if unknown
            else []
        ),
    ]


def _assumed(results: Sequence[Result]) -> list[str]:
    """What runs had to take for granted, once per method, backbone and assumption."""
    counts = Counter(
        (result["method"], result["backbone"], text) for result in results for text in assumptions_of(result)
    )
    return [
        f"Careful: {_runs(count, f'of {method} on {backbone}')} assume{'s' if count == 1 else ''} this: {text}."
        for (method, backbone, text), count in sorted(counts.items())
    ]


def _code(results: Sequence[Result]) -> list[str]:
    """Warn of several commits, of code that no commit holds, and of one method's code in several versions."""
    commits = dict.fromkeys(commit_of(result).removesuffix("-dirty") for result in results if result["git_commit"])
    uncommitted = sum(commit_of(result).endswith("-dirty") for result in results)
    unknown = sum(not result["git_commit"] for result in results) if commits else 0
    parts = [f"{len(commits)} commits ({', '.join(commits)})"] if len(commits) > 1 else []
    parts += [_runs(uncommitted, "of uncommitted code")] if uncommitted else []
    parts += [_runs(unknown, "without a commit")] if unknown else []
    # Other methods, datasets and networks go through other code, so only within one of each do the hashes tell.
    versions: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for result in results:
        if not result["overrides"] and result["code_hash"] != _NOT_RECORDED:
            networks = result["backbone"].split(JOIN)[1:]
            versions[result["method"], result["setting"], result["dataset"], *networks].add(result["code_hash"])
    found = ((key[0], str(len(hashes))) for key, hashes in versions.items() if len(hashes) > 1)
    differing = sorted(set(found))
    return [
        *([f"Careful: {', '.join(parts)}."] if parts else []),
        *(f"Careful: results of {name} are of {count} versions of its code." for name, count in differing),
    ]


def _runs(count: int, what: str) -> str:
    return f"{count} run{'' if count == 1 else 's'} {what}"


def _shared_settings(results: Iterable[Result]) -> Iterator[tuple[str, str, str]]:
    """What the unified protocol fixes for all methods, of the results that record it."""
    for result in results:
        for name in _SAME_FOR_ALL:
            if name in result["settings"]:
                yield f"{result['dataset']} (unified)", result["settings"][name], f"different values of {name}"


def _mixed(facts: Iterable[tuple[str, str, str]]) -> list[str]:
    """Warn where results under one name differ in something that they should share."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, value, what in facts:
        found[name, what].add(value)
    return [
        f"Careful: results of {name} have {len(values)} {what}: they are not comparable."
        for (name, what), values in sorted(found.items())
        if len(values) > 1
    ]
