"""A result that counts, and what is said of it in short."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.labels import change_items

_DIGITS = 7  # of a commit
# The options that take a part of the images, of the pocket benchmark and of MMEngine's datasets; "null" takes all.
_CHOICES, _ALL = ("test_dataloader.dataset.subset", "test_dataloader.dataset.indices"), "null"


@dataclass(frozen=True)
class Run:
    """A result that counts.

    Attributes:
        result: its content.
        path: the file.
        overlays: pictures ``*_overlay.png`` in the run's folder, or in ``overlays`` in it.
        differences: what tells it from other runs under its printed name, see
            :func:`~mmseg_tfovss.leaderboard.labels.tell_apart`.
        column: title of its column, see :func:`~mmseg_tfovss.leaderboard.parts.column_titles`.
    """

    result: Result
    path: Path
    overlays: tuple[Path, ...] = ()
    differences: tuple[str, ...] = ()
    column: str = ""

    @property
    def title(self) -> str:
        """Its column, or its dataset where no board has given it a column."""
        return self.column or self.result["dataset"]


def changes(result: Result, differences: tuple[str, ...] = ()) -> str:
    """What the command line changed of the protocol, and what else tells a run from others; empty if nothing does."""
    told = [item.partition("=")[0] for item in differences]
    overrides = {name: value for name, value in own_overrides(result).items() if name not in told}
    items = [*change_items(overrides), *differences]
    return f"({', '.join(items)})" if items else ""


def own_overrides(result: Result) -> dict[str, str]:
    """What the command line changed, besides the choice of a part of the images, which the column tells."""
    hidden = _CHOICES if is_partial(result) else ()
    return {name: value for name, value in result["overrides"].items() if name not in hidden}


def image_count(result: Result) -> str:
    """The number of images, and how many there should have been if that is another number."""
    images, expected = result["num_images"], result["expected_images"]
    return str(images) if expected in (None, images) else f"{images} of {expected}"


def is_partial(result: Result) -> bool:
    """Whether the result is of another number of images than the benchmark has."""
    return result["expected_images"] not in (None, result["num_images"])


def is_incomplete(result: Result) -> bool:
    """Whether images are missing, or too many, though the settings choose no part of them."""
    options = {**result["overrides"], **result["settings"]}
    return is_partial(result) and all(options.get(name, _ALL) == _ALL for name in _CHOICES)


def commit_of(result: Result) -> str:
    """The commit's first digits, with ``-dirty`` for uncommitted code; empty where none is known."""
    commit, dirty, _ = (result["git_commit"] or "").partition("-dirty")
    return commit[:_DIGITS] + dirty


def assumptions_of(result: Mapping[str, Any]) -> list[str]:
    """What the run had to take for granted, each once; older results do not say."""
    return list(dict.fromkeys(result.get("assumptions") or ()))


def package_of(result: Mapping[str, Any]) -> str:
    """What was installed; empty where older results do not say."""
    return result.get("package") or ""
