"""Where a prepared benchmark's files lie: what the configs of configs/_base_/datasets expect."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Folders and endings of a benchmark's validation set.

    Attributes:
        folder: of the dataset, below the root of all datasets.
        images: folder of the images in it.
        labels: folder of the annotations in it.
        image_suffix: what follows an image's stem.
        label_suffix: what follows the stem of its annotation.
        listing: file with one stem a line; None: the images are those in their folder.
    """

    folder: str
    images: str
    labels: str
    image_suffix: str = ".jpg"
    label_suffix: str = ".png"
    listing: str | None = None

    def image(self, root: Path, stem: str) -> Path:
        """Path of an image."""
        return root / self.folder / self.images / f"{stem}{self.image_suffix}"

    def label(self, root: Path, stem: str) -> Path:
        """Path of an image's annotation."""
        return root / self.folder / self.labels / f"{stem}{self.label_suffix}"

    def stems(self, root: Path) -> list[str]:
        """Names of the images that are there, or listed, without folder and suffix.

        Raises:
            FileNotFoundError: the list does not exist.
            ValueError: it is no list of names.
        """
        if self.listing:
            path = root / self.folder / self.listing
            if not path.is_file():
                raise FileNotFoundError(f"The list of images {path} does not exist.")
            return _read_list(path)
        return _stems_in(root / self.folder / self.images, self.image_suffix)

    def stem(self, root: Path, image: Path) -> str:
        """The name in an image's path."""
        return image.relative_to(root / self.folder / self.images).as_posix().removesuffix(self.image_suffix)

    def has_list(self, root: Path) -> bool:
        """Whether there is a list of images, and it is a file."""
        return self.listing is not None and (root / self.folder / self.listing).is_file()

    def label_stems(self, root: Path) -> list[str]:
        """Names of the annotations that are there."""
        return _stems_in(root / self.folder / self.labels, self.label_suffix)

    def complete(self, root: Path, images: int | None) -> bool:
        """Whether that many images (None: any number but zero) and all their annotations exist."""
        try:
            stems = self.stems(root)
        except (FileNotFoundError, ValueError):
            return False
        paths = (path for stem in stems for path in (self.image(root, stem), self.label(root, stem)))
        counted = bool(stems) if images is None else len(stems) == images
        return counted and all(path.is_file() for path in paths)


def _read_list(path: Path) -> list[str]:
    try:
        stems = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"The list of images {path} is no text ({error.reason}): delete it.") from error
    if not all(stem.isprintable() and stem for stem in stems) or not stems:
        raise ValueError(f"The list of images {path} is empty, or has lines without a name: delete it.")
    return stems


def _stems_in(folder: Path, suffix: str) -> list[str]:
    """Also from subfolders (Cityscapes' cities), as ``city/name``; hidden files are none."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{suffix}") if path.name[0] != ".")
    return sorted(path.removesuffix(suffix) for path in paths)


_VOC2012 = Layout("VOCdevkit/VOC2012", "JPEGImages", "SegmentationClass", listing="ImageSets/Segmentation/val.txt")
_CONTEXT = Layout(
    "VOCdevkit/VOC2010", "JPEGImages", "SegmentationClassContext", listing="ImageSets/SegmentationContext/val.txt"
)
LAYOUTS = {
    "voc21": _VOC2012,
    "voc20": _VOC2012,
    "context60": _CONTEXT,
    "context59": _CONTEXT,
    "pc459": Layout(
        "VOCdevkit/VOC2010",
        "JPEGImages",
        "annotations_detectron2/pc459_val",
        label_suffix=".tif",
        listing="ImageSets/SegmentationContext/val.txt",
    ),
    "coco_object": Layout(
        "coco_stuff164k", "images/val2017", "annotations/val2017", label_suffix="_instanceTrainIds.png"
    ),
    "coco_stuff164k": Layout(
        "coco_stuff164k", "images/val2017", "annotations/val2017", label_suffix="_labelTrainIds.png"
    ),
    "coco27": Layout(
        "coco_stuff164k",
        "images/val2017",
        "annotations/val2017",
        label_suffix="_label27TrainIds.png",
        listing="coco27_val2017.txt",
    ),
    "cityscapes": Layout(
        "cityscapes",
        "leftImg8bit/val",
        "gtFine/val",
        image_suffix="_leftImg8bit.png",
        label_suffix="_gtFine_labelTrainIds.png",
    ),
    "cityscapes27": Layout(
        "cityscapes",
        "leftImg8bit/val",
        "gtFine/val",
        image_suffix="_leftImg8bit.png",
        label_suffix="_gtFine_label27TrainIds.png",
    ),
    "ade20k": Layout("ade/ADEChallengeData2016", "images/validation", "annotations/validation"),
    "ade847": Layout(
        "ADE20K_2021_17_01",
        "images_detectron2/validation",
        "annotations_detectron2/validation",
        label_suffix=".tif",
        listing="validation.txt",
    ),
}
