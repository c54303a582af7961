"""From the discriminability of several datasets to one ranking of heads."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmseg_tfovss.encoders.head_ranking import VERSION, read_ranking
from mmseg_tfovss.studies.discriminability.study import SCHEMA_VERSION
from mmseg_tfovss.whole_file import whole_file

_logger = logging.getLogger(__name__)
_DIGITS = 6


def read_results(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read what ``tfovss analyze discriminability`` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file.
    """
    results = []
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: give files discriminability.json of tfovss analyze.")
        try:
            result = json.loads(path.read_text())
        except (UnicodeDecodeError, json.JSONDecodeError):
            result = None
        if not isinstance(result, Mapping) or "head_VD" not in result or result["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"{path} is not what tfovss analyze discriminability writes in this version.")
        results.append(dict(result))
    return results


def rank_heads(results: Sequence[Mapping[str, Any]], command: str = "") -> dict[str, Any]:
    """Average each head's VD over datasets, and sort; the last block is left out.

    Args:
        results: of the same weights, each of another dataset or split.
        command: recorded behind those of the results.

    Returns:
        What :func:`mmseg_tfovss.encoders.head_ranking.read_ranking` reads.

    Raises:
        ValueError: results of several checkpoints, or of one dataset twice.
    """
    first = results[0]
    if any(result["weights_hash"] != first["weights_hash"] for result in results):
        named = ", ".join(f"{r['dataset']}: {r['arch']} {r['weights_hash'][:12]}" for r in results)
        raise ValueError(f"The results are of different weights ({named}): heads of one CLIP can be ranked at a time.")
    datasets = [{key: r[source] for key, source in _DATASET.items()} for r in results]
    if len({(d["name"], d["split"]) for d in datasets}) < len(datasets):
        raise ValueError("A dataset would count twice: give one result per dataset.")
    evaluated = [d["name"] for d in datasets if d["split"] == "val"]
    if evaluated:
        _logger.warning(
            "warning: the ranking will know the evaluation images of %s: use --split train.", ", ".join(evaluated)
        )
    heads = []
    for block in range(1, first["blocks"]):
        for head in range(first["heads"]):
            mean = sum(result["head_VD"][block - 1][head] for result in results) / len(results)
            heads.append([block, head, round(mean, _DIGITS)])
    return {
        "version": VERSION,
        "weights_hash": first["weights_hash"],
        "arch": first["arch"],
        "blocks": first["blocks"],
        "heads_per_block": first["heads"],
        "datasets": datasets,
        "commands": [*(result["command"] for result in results), command],
        "heads": sorted(heads, key=lambda entry: -entry[2]),
    }


_DATASET = {"name": "dataset", "split": "split", "images": "images", "without_pairs": "images_without_pairs"} | {
    key: key for key in ("short_side", "seed", "sample_pairs")
}


def write_ranking(ranking: Mapping[str, Any], path: Path) -> None:
    """Write a ranking, one head a line."""
    lines = {key: json.dumps(value) for key, value in ranking.items()}
    for key in ("datasets", "commands", "heads"):
        lines[key] = "[\n    " + ",\n    ".join(json.dumps(entry) for entry in ranking[key]) + "\n  ]"
    with whole_file(path) as scratch:
        scratch.write_text("{\n" + ",\n".join(f'  "{key}": {text}' for key, text in lines.items()) + "\n}\n")
        read_ranking(scratch)
