"""A dataset whose images and masks are listed in pairs: their names need not resemble each other."""

from pathlib import Path
from typing import Any

from mmseg_tfovss.datasets.framework import BaseSegDataset
from mmseg_tfovss.registry import DATASETS

_SUFFIXES = ("img_suffix", "seg_map_suffix")


@DATASETS.register_module()
class ListedDataset(BaseSegDataset):
    """The images of a list, each with its mask.

    Args:
        ann_file: the list, below ``data_root``: an image and its mask in every line, separated by a tab, below the
            folders of ``data_prefix``.
        **kwargs: see MMSeg's ``BaseSegDataset``; ``metainfo`` names the classes.

    Raises:
        ValueError: a line that is no such pair, or an option for names' endings, which would not act.
    """

    def __init__(self, ann_file: str, **kwargs: Any) -> None:  # noqa: ANN401 - handed on as they are
        idle = next((name for name in _SUFFIXES if name in kwargs), None)
        if idle:
            raise ValueError(f"ListedDataset has no option {idle}: {ann_file} gives the whole names of its files.")
        super().__init__(ann_file=ann_file, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """The samples, in the order of the list."""
        folders = [Path(self.data_prefix[name]) for name in ("img_path", "seg_map_path")]
        shared = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        samples = []
        for pair in read_pairs(Path(self.ann_file)):
            image, mask = (str(folder / name) for folder, name in zip(folders, pair, strict=True))
            samples.append({"img_path": image, "seg_map_path": mask, **shared, "seg_fields": []})
        return samples


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """The pairs of a list: names of an image and of its mask.

    Raises:
        FileNotFoundError: no such list.
        ValueError: a line that is no pair; it is named.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        image, tab, mask = line.partition("\t")
        if not (image and tab and mask) or "\t" in mask:
            raise ValueError(f"Line {number} of {path} must be an image, a tab and its mask, but is {line!r}.")
        pairs.append((image, mask))
    return pairs


def write_pairs(pairs: list[tuple[str, str]], path: Path) -> None:
    """Write what :func:`read_pairs` reads.

    Raises:
        ValueError: a name holds a tab or the end of a line.
    """
    for name in (name for pair in pairs for name in pair):
        if len(name.splitlines()) != 1 or "\t" in name:
            raise ValueError(f"The file name {name!r} holds a tab or a line break: rename the file.")
    path.write_text("".join(f"{image}\t{mask}\n" for image, mask in pairs), encoding="utf-8")
