"""The columns of the leaderboard: datasets in the papers' order, and the means that papers print."""

from collections.abc import Mapping

WITH_BACKGROUND = ("voc21", "context60", "coco_object")
WITHOUT_BACKGROUND = ("voc20", "context59", "coco_stuff164k", "cityscapes", "ade20k")
EIGHT = (*WITH_BACKGROUND, *WITHOUT_BACKGROUND)
POCKET = ("pocket_all", "pocket_thing")
# Means that papers print. A row has one if it has all of the datasets, complete.
AVERAGES: Mapping[str, tuple[str, ...]] = {
    "avg 3 (background)": WITH_BACKGROUND,
    "avg 5 (no background)": WITHOUT_BACKGROUND,
    "avg 8": EIGHT,
    "avg pocket": POCKET,
}
PLAIN_AVERAGE = "average"  # of all columns, where none of the others fits
DATASET_ORDER = (*EIGHT, "pc459", "ade847", "coco27", "cityscapes27", *POCKET)


def column_place(title: str) -> tuple[tuple[int, str], str]:
    """To sort columns by, whose titles are datasets, or "pocket_all (50 of 200)"."""
    return dataset_place(dataset_of(title)), title


def dataset_of(title: str) -> str:
    """The dataset of a column's title."""
    return title.partition(" (")[0]


def dataset_place(name: str) -> tuple[int, str]:
    """To sort datasets by: in the order of :data:`DATASET_ORDER`, others after them by name."""
    return (DATASET_ORDER.index(name) if name in DATASET_ORDER else len(DATASET_ORDER), name)
