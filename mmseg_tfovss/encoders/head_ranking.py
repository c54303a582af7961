"""Which heads of a CLIP tell classes apart, best first: small files, one per checkpoint, made once with labels.

``tfovss analyze rank-heads`` writes them; the ones that come with the package lie in ``rankings``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.vocabulary.features import cache_folder

VERSION = 1
BUNDLED = Path(__file__).parent / "rankings"
_REMEDY = (
    "make it once with tfovss analyze discriminability CONFIG --split train --max-images 1000, for one dataset"
    " or several, and tfovss analyze rank-heads RESULT.json [RESULT2.json ...]; or name a file in"
    " model.ranking, or switch SHE off with model.k=0"
)


def load_ranking(ranking: str | None, weights_hash: str) -> tuple[Path, tuple[tuple[int, int], ...]]:
    """Read the ranked heads of a CLIP.

    Args:
        ranking: a file of ``tfovss analyze rank-heads``; ``None``: the one for these weights that comes with the
            package, or that was made on this machine.
        weights_hash: of the CLIP whose heads are wanted.

    Returns:
        The file, and (block number from 1, head from 0), best first; the last block has none.

    Raises:
        FileNotFoundError: there is no such file, or none for these weights.
        ValueError: the file is of other weights, or no ranking.
    """
    if ranking is not None:
        path = Path(ranking).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"The ranking of heads model.ranking={ranking} does not exist: {_REMEDY}.")
        content = read_ranking(path)
        if content["weights_hash"] != weights_hash:
            raise ValueError(
                f"{path} ranks the heads of other weights ({content['arch']}, {content['weights_hash'][:12]}) than the"
                f" model's ({weights_hash[:12]}): leave model.ranking=None, or {_REMEDY}."
            )
        return path, _pairs(content)
    for path in (*sorted(BUNDLED.glob("*.json")), own_ranking_path(weights_hash)):
        if path.is_file():
            content = read_ranking(path)
            if content["weights_hash"] == weights_hash:
                return path, _pairs(content)
    raise FileNotFoundError(f"There is no ranking of heads for these CLIP weights ({weights_hash[:12]}): {_REMEDY}.")


def best_heads(k: int, ranking: str | None, weights_hash: str) -> tuple[tuple[Path, ...], dict[int, list[int]]]:
    """The best heads of a CLIP, for ``model.k`` and ``model.ranking``.

    Args:
        k: how many; 0: none, and no ranking is needed.
        ranking: see :func:`load_ranking`.
        weights_hash: likewise.

    Returns:
        The files that were read, and heads (from 0) by number of their block (from 1).

    Raises:
        ValueError: ``k`` is no number of heads that are ranked, or see :func:`load_ranking`.
        FileNotFoundError: see :func:`load_ranking`.
    """
    if not is_number(k, whole=True) or k < 0:
        raise ValueError(f"model.k must be a number of heads, at least 0, but got {k!r}.")
    if k == 0:
        return (), {}
    path, ranked = load_ranking(ranking, weights_hash)
    if k > len(ranked):
        raise ValueError(f"model.k must be at most {len(ranked)}, the number of ranked heads, but got {k}.")
    best = sorted(ranked[:k])
    return (path,), {number: [head for block, head in best if block == number] for number, _ in best}


def own_ranking_path(weights_hash: str) -> Path:
    """Where a ranking made on this machine is found without being named."""
    return own_rankings() / f"{weights_hash}.json"


def own_rankings() -> Path:
    """The folder of the rankings that were made on this machine; it need not exist."""
    return cache_folder() / "rankings"


def read_ranking(path: Path) -> dict[str, Any]:
    """Read and check a ranking.

    Args:
        path: the file.

    Returns:
        Its content: ``version``, ``weights_hash``, ``arch``, ``blocks``, ``heads_per_block``, ``datasets`` (``name``,
        ``split``, ``images``), ``commands``, ``heads`` ([block, head, VD], best first).

    Raises:
        ValueError: it is not a ranking of this version, or an entry cannot be.
    """
    try:
        content = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a ranking of heads: it is not JSON.") from error
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        raise ValueError(f"{path} is not a ranking of heads of version {VERSION}, as tfovss analyze rank-heads writes.")
    problem = _find_problem(content)
    if problem:
        raise ValueError(f"{path} is not a usable ranking of heads: {problem}.")
    return dict(content)


def _find_problem(content: Mapping[str, Any]) -> str | None:
    heads, blocks, per_block = (content.get(key) for key in ("heads", "blocks", "heads_per_block"))
    if not all(isinstance(content.get(key), str) for key in ("weights_hash", "arch")):
        return "'weights_hash' and 'arch' must be strings"
    if not (_is_index(blocks, 1, None) and _is_index(per_block, 1, None) and isinstance(heads, list) and heads):
        return "'blocks', 'heads_per_block' and 'heads' must be two numbers and a list that is not empty"
    assert isinstance(blocks, int)
    assert isinstance(per_block, int)
    for entry in heads:
        if not _is_entry(entry, blocks, per_block):
            return f"{entry!r} must be [block in 1..{blocks - 1}, head in 0..{per_block - 1}, VD in 0..1]"
    if len({(block, head) for block, head, _ in heads}) < len(heads):
        return "a head is listed twice"
    values = [value for *_, value in heads]
    return None if values == sorted(values, reverse=True) else "the heads are not sorted, best first"


def _is_entry(entry: object, blocks: int, per_block: int) -> bool:
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    block, head, value = entry
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return number and _is_index(block, 1, blocks - 1) and _is_index(head, 0, per_block - 1)


def _is_index(value: object, low: int, high: int | None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and low <= value and (high is None or value <= high)  # type: ignore[operator]


def _pairs(content: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple((block, head) for block, head, _ in content["heads"])
