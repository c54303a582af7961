"""Boards for the tests of the leaderboard."""

from pathlib import Path

from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run
from tests.evaluation.test_result import make_result

EIGHT = ("voc21", "context60", "coco_object", "voc20", "context59", "coco_stuff164k", "cityscapes", "ade20k")


def scored(miou, **changes):
    """A result with this mIoU."""
    return make_result(metrics={"mIoU": miou, "pAcc": 80.0, "mAcc": 70.0, "fwIoU": 65.0}, **changes)


def board(*results, published=(), left_out=()):
    """A board of results, as if each came from a file of its own."""
    runs = tuple(Run(result, Path(f"runs/{number}/result.json")) for number, result in enumerate(results))
    return make_board(Collected(runs, tuple(left_out)), published)
