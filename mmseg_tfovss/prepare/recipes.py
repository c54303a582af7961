"""How each benchmark's validation set is made of its official archives; sources of all facts: docs/datasets.md."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmseg_tfovss.prepare import convert
from mmseg_tfovss.prepare.archives import member_names, read_members
from mmseg_tfovss.prepare.download import Archive
from mmseg_tfovss.prepare.jobs import Job
from mmseg_tfovss.prepare.layout import LAYOUTS, Layout
from mmseg_tfovss.whole_file import whole_file

VOC2012 = Archive(
    "VOCtrainval_11-May-2012.tar",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    size=1_999_639_040,
    checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
)
VOC2010 = Archive(
    "VOCtrainval_03-May-2010.tar",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2010/",
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    checksum="md5:da459979d0c395079b5c75ee67908abb",
)
# Its official host, codalabuser.blob.core.windows.net, is gone; this is the Internet Archive's copy, and checked.
CONTEXT_JSON = Archive(
    "trainval_merged.json",
    page="https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/user_guides/2_dataset_prepare.md",
    url="http://web.archive.org/web/20251122105902id_/https://codalabuser.blob.core.windows.net/public/trainval_merged.json",
    checksum="md5:3c2d0c0656b7be9eb61928ffe885d8ce",
)
CONTEXT_LABEL_MAPS = Archive(
    "trainval.tar.gz",
    page="https://roozbehm.info/pascal-context/",
    url="https://roozbehm.info/pascal-context/trainval.tar.gz",
)
COCO_IMAGES = Archive(
    "val2017.zip",
    page="https://cocodataset.org/#download",
    url="http://images.cocodataset.org/zips/val2017.zip",
    size=815_585_330,
    checksum="md5:442b8da7639aecaf257c1dceb8ba8c80",
)
COCO_MAPS = Archive(
    "stuffthingmaps_trainval2017.zip",
    page="https://github.com/nightrome/cocostuff",
    url="http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip",
)
CITYSCAPES_IMAGES = Archive(
    "leftImg8bit_trainvaltest.zip", page="https://www.cityscapes-dataset.com/downloads/", size=11_592_327_197
)
CITYSCAPES_LABELS = Archive(
    "gtFine_trainvaltest.zip", page="https://www.cityscapes-dataset.com/downloads/", size=252_567_705
)
ADE2016 = Archive(
    "ADEChallengeData2016.zip",
    page="http://sceneparsing.csail.mit.edu/",
    url="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    checksum="md5:7328b3957e407ddae1d3cbf487f149ef",
)
ADE_FULL = Archive(
    "ADE20K_2021_17_01.zip",  # the download has a name of one's own: {username}_{hash}.zip
    page="https://ade20k.csail.mit.edu/request_data/",
)


@dataclass(frozen=True)
class Step:
    """Files that are made together.

    Attributes:
        title: what they are.
        targets: where they will be.
        jobs: makes those of the targets that are asked for.
    """

    title: str
    targets: Sequence[Path]
    jobs: Callable[[Collection[Path]], Iterator[Job]]


Find = Callable[[Archive], Path]  # where an archive is on this machine
Steps = Callable[[Layout, Path, Find], Iterator[Step]]  # of a layout, below a root; a step may need files of the last


@dataclass(frozen=True)
class Recipe:
    """How a benchmark is made.

    Attributes:
        layout: of the files made.
        archives: what they are made of.
        steps: in this order; each is complete before the next is asked for.
    """

    layout: Layout
    archives: tuple[Archive, ...]
    steps: Steps


def unpack(
    title: str,
    archive: Path,
    pattern: str,
    place: Callable[[str], Path | None],
    converter: Callable[[bytes], bytes] | None = None,
    required: Collection[Path] = (),
) -> Step:
    """Files of an archive, each converted by itself.

    Args:
        title: what they are.
        archive: tar, tar.gz or zip.
        pattern: regular expression for the end of a member's path; its first group names the file.
        place: that name -> target, or None if the file is not wanted.
        converter: of a file's bytes; None: as it is.
        required: targets without which the archive is incomplete.

    Raises:
        ValueError: the archive is damaged, or lacks such files.
    """
    expression = re.compile(rf"(?:.*/)?{pattern}")
    targets: dict[str, Path] = {}
    for name in member_names(archive):
        match = expression.fullmatch(name)
        target = place(match[1]) if match else None
        if target is not None:
            targets[name] = target
    lacking = sorted(set(required) - set(targets.values()))
    if lacking or not targets:
        first = f" for {lacking[0].name}" if lacking else ""
        raise ValueError(
            f"{archive} has no {title}{first} (members like {pattern})"
            f"{f', nor for {len(lacking) - 1} more' if len(lacking) > 1 else ''}: it is incomplete, or not the official"
            " archive; download it again."
        )

    def jobs(missing: Collection[Path]) -> Iterator[Job]:
        for name, content in read_members(archive, lambda name: targets.get(name) in missing):
            yield Job(targets[name], f"{archive.name}: {name}", content, converter)

    return Step(title, list(targets.values()), jobs)


def _voc(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(VOC2012)
    assert layout.listing is not None
    listing = root / layout.folder / layout.listing
    yield unpack("list of images", archive, r"VOC2012/ImageSets/Segmentation/(val)\.txt", lambda _: listing)
    stems = set(layout.stems(root))
    yield _listed_images(archive, "VOC2012", layout, root, stems)
    yield unpack(
        "annotations",
        archive,
        r"VOC2012/SegmentationClass/([^/]+)\.png",
        lambda stem: layout.label(root, stem) if stem in stems else None,
        partial(convert.checked, labels=21),
        [layout.label(root, stem) for stem in stems],
    )


def _listed_images(archive: Path, year: str, layout: Layout, root: Path, stems: set[str]) -> Step:
    return unpack(
        "images",
        archive,
        rf"{year}/JPEGImages/([^/]+)\.jpg",
        lambda stem: layout.image(root, stem) if stem in stems else None,
        required=[layout.image(root, stem) for stem in stems],
    )


def _context(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    records = _read_context(find(CONTEXT_JSON))
    _write_list(layout, root, records)
    yield _listed_images(find(VOC2010), "VOC2010", layout, root, set(records))
    targets = {layout.label(root, stem): stem for stem in records}

    def jobs(missing: Collection[Path]) -> Iterator[Job]:
        for target, stem in targets.items():
            if target in missing:
                content = json.dumps(records[stem]).encode()
                yield Job(target, f"{CONTEXT_JSON.name}: {stem}", content, convert.context60)

    yield Step("annotations", list(targets), jobs)


def _read_context(path: Path) -> dict[str, Any]:
    """The validation images' sizes and segments, by stem."""
    try:
        content = json.loads(path.read_bytes())
        records: dict[int, Any] = {
            image["image_id"]: {key: image[key] for key in ("file_name", "height", "width")} | {"segments": {}}
            for image in content["images"]
            if image["phase"] == "val"
        }
        for segment in content["annos_segmentation"]:
            if segment["image_id"] in records:
                run_lengths = {key: segment["segmentation"][key] for key in ("size", "counts")}
                kept = {"id": segment["id"], "category_id": segment["category_id"], "segmentation": run_lengths}
                records[segment["image_id"]]["segments"][segment["id"]] = kept
        by_stem = {Path(record.pop("file_name")).stem: record for record in records.values()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged, or not the official file ({type(error).__name__}: {error}): delete it and download it"
            " again."
        ) from error
    if not by_stem:
        raise ValueError(f"{path} lists no validation image: delete it and download it again.")
    return {stem: {**record, "segments": list(record["segments"].values())} for stem, record in by_stem.items()}


def _context459(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    # If 59 or 60 classes are there already, their list of images holds here too.
    listed = layout.has_list(root)
    known = set(layout.stems(root) if listed else _bundled_list("context_val.txt"))
    labels = unpack(
        "annotations",
        find(CONTEXT_LABEL_MAPS),
        r"trainval/([^/]+)\.mat",
        lambda stem: layout.label(root, stem) if stem in known else None,
        convert.context459,
        [layout.label(root, stem) for stem in known] if listed else (),
    )
    yield labels
    stems = {target.stem for target in labels.targets}
    yield _listed_images(find(VOC2010), "VOC2010", layout, root, stems)
    if not listed:
        _write_list(layout, root, stems)


def _coco(
    layout: Layout, root: Path, find: Find, *, converter: Callable[[bytes], bytes], chosen: str | None = None
) -> Iterator[Step]:
    """All images, or those of a bundled list."""
    known = set(_bundled_list(chosen)) if chosen else None

    def place_image(stem: str) -> Path | None:
        return layout.image(root, stem) if known is None or stem in known else None

    images = unpack("images", find(COCO_IMAGES), r"val2017/(\d+)\.jpg", place_image)
    yield images
    stems = [path.stem for path in images.targets]
    wanted = {layout.label(root, stem) for stem in stems}

    def place(stem: str) -> Path | None:
        target = layout.label(root, stem)
        return target if target in wanted else None

    yield unpack("annotations", find(COCO_MAPS), r"val2017/(\d+)\.png", place, converter, wanted)
    if known is not None:
        _write_list(layout, root, stems)


def _cityscapes(
    layout: Layout,
    root: Path,
    find: Find,
    *,
    from_ids: Callable[[bytes], bytes],
    from_polygons: Callable[[bytes], bytes],
) -> Iterator[Step]:
    place = partial(layout.image, root)
    images = unpack("images", find(CITYSCAPES_IMAGES), r"leftImg8bit/val/([^/]+/[^/]+)_leftImg8bit\.png", place)
    yield images
    archive = find(CITYSCAPES_LABELS)
    kind, converter = r"labelIds\.png", from_ids
    if not any(name.endswith("_gtFine_labelIds.png") for name in member_names(archive)):
        kind, converter = r"polygons\.json", from_polygons
    required = [layout.label(root, layout.stem(root, path)) for path in images.targets]
    pattern = rf"gtFine/val/([^/]+/[^/]+)_gtFine_{kind}"
    yield unpack("annotations", archive, pattern, partial(layout.label, root), converter, required)


def _ade20k(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(ADE2016)
    images = unpack("images", archive, r"images/validation/([^/]+)\.jpg", partial(layout.image, root))
    yield images
    required = [layout.label(root, layout.stem(root, path)) for path in images.targets]
    converter = partial(convert.checked, labels=151)
    place = partial(layout.label, root)
    yield unpack("annotations", archive, r"annotations/validation/([^/]+)\.png", place, converter, required)


def _ade847(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(ADE_FULL)
    place = partial(layout.image, root)
    images = unpack("images", archive, r"(ADE_val_\d+)\.jpg", place, convert.ade847_image)
    yield images
    stems = [path.stem for path in images.targets]
    required = [layout.label(root, stem) for stem in stems]
    place = partial(layout.label, root)
    yield unpack("annotations", archive, r"(ADE_val_\d+)_seg\.png", place, convert.ade847_labels, required)
    _write_list(layout, root, stems)


def _bundled_list(name: str) -> list[str]:
    lines = (convert.DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _write_list(layout: Layout, root: Path, stems: Collection[str]) -> None:
    assert layout.listing is not None
    path, text = root / layout.folder / layout.listing, "".join(f"{stem}\n" for stem in sorted(stems))
    if not path.is_file() or path.read_bytes() != text.encode():
        with whole_file(path) as scratch:
            scratch.write_text(text, encoding="utf-8")


RECIPES = {
    key: Recipe(LAYOUTS[key], archives, steps)
    for keys, archives, steps in (
        (("voc21", "voc20"), (VOC2012,), _voc),
        (("context60", "context59"), (VOC2010, CONTEXT_JSON), _context),
        (("pc459",), (VOC2010, CONTEXT_LABEL_MAPS), _context459),
        (("coco_object",), (COCO_IMAGES, COCO_MAPS), partial(_coco, converter=convert.coco_object)),
        (("coco_stuff164k",), (COCO_IMAGES, COCO_MAPS), partial(_coco, converter=convert.coco_stuff)),
        (("coco27",), (COCO_IMAGES, COCO_MAPS), partial(_coco, converter=convert.coco27, chosen="coco27_val.txt")),
        (
            ("cityscapes",),
            (CITYSCAPES_IMAGES, CITYSCAPES_LABELS),
            partial(_cityscapes, from_ids=convert.cityscapes, from_polygons=convert.cityscapes_polygons),
        ),
        (
            ("cityscapes27",),
            (CITYSCAPES_IMAGES, CITYSCAPES_LABELS),
            partial(_cityscapes, from_ids=convert.cityscapes27, from_polygons=convert.cityscapes27_polygons),
        ),
        (("ade20k",), (ADE2016,), _ade20k),
        (("ade847",), (ADE_FULL,), _ade847),
    )
    for key in keys
}
