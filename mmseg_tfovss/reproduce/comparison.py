"""A result beside the number that it should repeat: the difference, and what is not as it was for that number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.leaderboard.published import Published, is_of

TOLERANCE = 0.3  # points of mIoU
SCORE = "mIoU"
_DIGITS = 2  # of a score, as tables print it


@dataclass(frozen=True)
class Comparison:
    """Of mIoU, in percent.

    Attributes:
        published: as printed.
        ours: rounded as tables print it.
        strays: what makes this another run than the published one: then the two numbers cannot be compared.
        differences: what differs, or may differ and is not known; sentences.
    """

    published: str
    ours: float
    strays: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def difference(self) -> float:
        """Ours minus published, rounded as tables print it."""
        return round(self.ours - float(self.published), _DIGITS)

    @property
    def within(self) -> bool:
        """Whether they differ by no more than :data:`TOLERANCE`."""
        return abs(self.difference) <= TOLERANCE

    @property
    def repeated(self) -> bool:
        """Whether the run is the published one, and its number within the tolerance."""
        return self.within and not self.strays

    @property
    def verdict(self) -> str:
        """In one sentence."""
        if self.strays:
            return "Not comparable: this is not the run that the number was published for."
        return f"{'Within' if self.within else 'Not within'} {TOLERANCE}."


def compare(result: Result, number: Published) -> Comparison:
    """Compare a result with a published number."""
    ours = round(result["metrics"][SCORE], _DIGITS)
    strays = tuple(_strays(result, number))
    return Comparison(number.scores[SCORE], ours, strays, (*strays, *_unknowns(result, number)))


def _strays(result: Result, number: Published) -> Iterator[str]:
    """By what the run is certainly another one."""
    images, expected = result["num_images"], result["expected_images"]
    if images != expected:
        yield f"Images: {images} here, {expected} in the benchmark."
    for name, value in result["overrides"].items():
        yield f"Setting: {name}={value} was changed on the command line."
    names = (result["dataset"], result["method"], result["setting"], result["backbone"])
    if not is_of(number, *names):
        yield f"Networks: {result['backbone']} here, {number.backbone} in the source."


def _unknowns(result: Result, number: Published) -> Iterator[str]:
    """What may differ, as far as the result tells."""
    if number.note:
        yield f"The source's number: {number.note}."
    for assumed in result["assumptions"]:
        yield f"Assumed: {assumed}."
    yield f"Precision: {result['precision']} here; most authors run float16, and do not say so beside a number."
    yield f"Words: {result['vocabulary']}, version {result['vocabulary_version'] or 'none'}."
    yield f"Weights: {result['backbone']}, sha256 of the tensors {result['weights_hash']}; the source names no hash."
    yield f"Dataset: sha256 of images and annotations {result['dataset_hash']}; the source names no hash."
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    yield f"Versions: {versions}; those of the source are not recorded here."
    if str(result["git_commit"]).endswith("-dirty"):
        yield f"Code: changed since commit {str(result['git_commit']).removesuffix('-dirty')}."


def as_json(comparison: Comparison, number: Published, others: tuple[Published, ...], result: Result) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "schema_version": 1,
        "score": SCORE,
        "published": float(comparison.published),
        "source": number.source,
        "note": number.note,
        "ours": comparison.ours,
        "difference": comparison.difference,
        "tolerance": TOLERANCE,
        "within_tolerance": comparison.within,
        "repeated": comparison.repeated,
        "verdict": comparison.verdict,
        "what_differs": list(comparison.differences),
        "other_numbers": [
            {"value": float(other.scores[SCORE]), "setting": other.setting, "source": other.source, "note": other.note}
            for other in others
        ],
        "method": result["method"],
        "backbone": result["backbone"],
        "dataset": result["dataset"],
        "setting": result["setting"],
        "finished_at": result["finished_at"],
        "config_hash": result["config_hash"],
        "weights_hash": result["weights_hash"],
    }
