"""Results over a part of a benchmark's images: columns of their own, so that none stands beside a whole one."""

import re
from collections import defaultdict
from collections.abc import Sequence

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.labels import short_hashes
from mmseg_tfovss.leaderboard.run import image_count, is_partial

PART = re.compile(r"\(\d+ of \d+(, files \w+)?\)\s*$")


def column_titles(results: Sequence[Result]) -> list[str]:
    """The title of each result's column.

    Args:
        results: of different runs.

    Returns:
        The dataset; with "(50 of 200)" after it for a result over so many images, and with the first digits of the
        hash of their files too where results over equally many are of different ones.
    """
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for result in results:
        hashes[_plain(result)].add(result["dataset_hash"])
    return [_title(result, short_hashes(hashes[_plain(result)])) for result in results]


def _plain(result: Result) -> str:
    name = result["dataset"]
    return f"{name} ({image_count(result)})" if is_partial(result) else name


def _title(result: Result, short: dict[str, str]) -> str:
    plain = _plain(result)
    if len(short) == 1 or not is_partial(result):
        return plain
    return f"{plain.removesuffix(')')}, files {short[result['dataset_hash']]})"
