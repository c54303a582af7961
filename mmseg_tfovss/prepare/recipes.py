"""How each benchmark's validation set is made of its official archives; sources of all facts: docs/datasets.md."""

import json
import re
import reprlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from mmseg_tfovss.prepare import convert
from mmseg_tfovss.prepare.archives import folder_file, member_names, read_members
from mmseg_tfovss.prepare.download import Archive
from mmseg_tfovss.prepare.jobs import Job
from mmseg_tfovss.prepare.layout import LAYOUTS, Layout
from mmseg_tfovss.prepare.workers import bounded
from mmseg_tfovss.whole_file import whole_file

_LARGEST_JSON = 1_000_000_000  # bytes; the official file has less
# What is read of the official file takes a few times its bytes; lists in lists would take 45 times as many.
_MEMORY_PER_BYTE, _SPARE_MEMORY = 8, 1_000_000_000

VOC2012 = Archive(
    "VOCtrainval_11-May-2012.tar",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    size=1_999_639_040,
    checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
    folder="VOC2012",
    files=r"JPEGImages/[^/]+\.jpg",
)
VOC2010 = Archive(
    "VOCtrainval_03-May-2010.tar",
    page="http://host.robots.ox.ac.uk/pascal/VOC/voc2010/",
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2010/VOCtrainval_03-May-2010.tar",
    checksum="md5:da459979d0c395079b5c75ee67908abb",
    folder="VOC2010",
    files=r"JPEGImages/[^/]+\.jpg",
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
    folder="trainval",
    files=r"[^/]+\.mat",
)
COCO_IMAGES = Archive(
    "val2017.zip",
    page="https://cocodataset.org/#download",
    url="http://images.cocodataset.org/zips/val2017.zip",
    size=815_585_330,
    checksum="md5:442b8da7639aecaf257c1dceb8ba8c80",
    folder="val2017",
    files=r"\d+\.jpg",
)
COCO_MAPS = Archive(
    "stuffthingmaps_trainval2017.zip",
    page="https://github.com/nightrome/cocostuff",
    url="http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip",
    folder="val2017",
    files=r"\d+\.png",
)
CITYSCAPES_IMAGES = Archive(
    "leftImg8bit_trainvaltest.zip",
    page="https://www.cityscapes-dataset.com/downloads/",
    size=11_592_327_197,
    folder="leftImg8bit/val",
    files=r"[^/]+/[^/]+_leftImg8bit\.png",
)
CITYSCAPES_LABELS = Archive(
    "gtFine_trainvaltest.zip",
    page="https://www.cityscapes-dataset.com/downloads/",
    size=252_567_705,
    folder="gtFine/val",
    files=r"[^/]+/[^/]+_gtFine_(labelIds\.png|polygons\.json)",
)
ADE2016 = Archive(
    "ADEChallengeData2016.zip",
    page="http://sceneparsing.csail.mit.edu/",
    url="http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    checksum="md5:7328b3957e407ddae1d3cbf487f149ef",
    folder="ADEChallengeData2016",
    files=r"images/validation/[^/]+\.jpg",
)
ADE_FULL = Archive(
    "ADE20K_2021_17_01.zip",  # the download has a name of one's own: {username}_{hash}.zip
    page="https://ade20k.csail.mit.edu/request_data/",
    folder="ADE20K_2021_17_01/images/ADE/validation",
    files=r".*ADE_val_\d+\.jpg",
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

    @property
    def official(self) -> bool:
        """Whether the layout is that of the unpacked archive, without a conversion."""
        return len(self.archives) == 1 and f"/{self.layout.folder}".endswith(f"/{self.archives[0].folder}")


def unpack(
    title: str,
    source: Path,
    pattern: str,
    place: Callable[[str], Path | None],
    converter: Callable[[bytes], bytes] | None = None,
    required: Collection[Path] = (),
    *,
    linked: bool = True,
) -> Step:
    """Files of an archive or of a folder, each converted by itself.

    Args:
        title: what they are.
        source: tar, tar.gz or zip, or a folder that one was unpacked to.
        pattern: regular expression for the end of a member's path; its first group names the file.
        place: that name -> target, or None if the file is not wanted.
        converter: of a file's bytes; None: as it is.
        required: targets without which the source is incomplete.
        linked: make symbolic links to a folder's files that are taken as they are.

    Raises:
        ValueError: the source is damaged, lacks such files, has two for one target, or one with a name that no
            official file has.
    """
    targets = _targets(source, pattern, place)
    _check_complete(title, source, pattern, targets.values(), required)

    def jobs(missing: Collection[Path]) -> Iterator[Job]:
        if converter is None and linked and source.is_dir():
            for name, target in targets.items():
                if target in missing:
                    file = folder_file(source, name)
                    yield Job(target, str(file), b"", link=file)
            return
        for name, content in read_members(source, lambda name: targets.get(name) in missing):
            yield Job(targets[name], f"{source.name}: {name}", content, converter)

    return Step(title, list(targets.values()), jobs)


def _targets(source: Path, pattern: str, place: Callable[[str], Path | None]) -> dict[str, Path]:
    """What shall become of the source's members, by their names; refused where that is not clear."""
    names: dict[Path, str] = {}
    for name, stem in _matching(source, pattern):
        target = place(stem)
        if target is None:
            continue
        if not name.isprintable() or target.name.startswith("."):
            raise ValueError(f"{source} is refused: its member {name!r} has a name that no official file has.")
        if target in names:
            both = f"{names[target]!r} and {name!r}" if names[target] != name else f"two members {name!r}"
            raise ValueError(f"{source} is refused: {both} in it would become one file, {target}.")
        names[target] = name
    return {name: target for target, name in names.items()}


def _matching(source: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """Members whose path ends as the pattern says, and what its first group is."""
    expression = re.compile(rf"(?:.*/)?{pattern}", re.ASCII | re.DOTALL)
    for name in member_names(source):
        match = expression.fullmatch(name)
        if match:
            yield name, match[1]


def _check_complete(
    title: str, source: Path, pattern: str, found: Collection[Path], required: Collection[Path]
) -> None:
    lacking = sorted(set(required) - set(found))
    if not lacking and found:
        return
    first = f" for {lacking[0].name}" if lacking else ""
    more = f", nor for {len(lacking) - 1} more" if len(lacking) > 1 else ""
    remedy = "it is incomplete, or not the official archive; download it again"
    if source.is_dir():
        remedy = "the folder is incomplete; add what is missing, or give the official archive (--archives, --download)"
    raise ValueError(f"{source} has no {title}{first} (members like {pattern}){more}: {remedy}.")


def _voc(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(VOC2012)
    assert layout.listing is not None
    listing = root / layout.folder / layout.listing
    pattern = r"VOC2012/ImageSets/Segmentation/(val)\.txt"
    yield unpack("list of images", archive, pattern, lambda _: listing, linked=False)
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
    size = path.stat().st_size
    if size > _LARGEST_JSON:
        raise ValueError(
            f"{path} has more than {decimal(_LARGEST_JSON)}, so it is not the official file: delete it and download it"
            " again."
        )
    memory = _MEMORY_PER_BYTE * size + _SPARE_MEMORY
    try:
        with bounded(memory):
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
        by_stem = {_context_stem(record.pop("file_name")): record for record in records.values()}
        if len(by_stem) < len(records):
            raise ValueError("two of its images have the same name")
    except MemoryError:
        raise ValueError(
            f"{path} cannot be read within {decimal(memory)} of memory, so it is not the official file: delete it"
            " and download it again."
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged, or not the official file ({type(error).__name__}: {error}): delete it and download it"
            " again."
        ) from error
    if not by_stem:
        raise ValueError(f"{path} lists no validation image: delete it and download it again.")
    return {stem: {**record, "segments": list(record["segments"].values())} for stem, record in by_stem.items()}


def _context_stem(name: str) -> str:
    """Without ``.jpg``; it becomes the name of files, so it is nothing but a name."""
    match = re.fullmatch(r"([\w-]+)\.jpg", name, re.ASCII)
    if match is None:
        raise ValueError(f"{reprlib.repr(name)} is no name of an image")
    return match[1]


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

    photographs, maps = find(COCO_IMAGES), find(COCO_MAPS)
    annotations = r"val2017/(\d+)\.png"
    required = _required(photographs, maps, annotations, place_image)
    images = unpack("images", photographs, r"val2017/(\d+)\.jpg", place_image, required=required)
    yield images
    stems = [path.stem for path in images.targets]
    wanted = {layout.label(root, stem) for stem in stems}

    def place(stem: str) -> Path | None:
        target = layout.label(root, stem)
        return target if target in wanted else None

    yield unpack("annotations", maps, annotations, place, converter, wanted)
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
    photographs, archive = find(CITYSCAPES_IMAGES), find(CITYSCAPES_LABELS)
    kind, converter = r"labelIds\.png", from_ids
    if not any(name.endswith("_gtFine_labelIds.png") for name in member_names(archive)):
        kind, converter = r"polygons\.json", from_polygons
    annotations = rf"gtFine/val/([^/]+/[^/]+)_gtFine_{kind}"
    place = partial(layout.image, root)
    required = _required(photographs, archive, annotations, place)
    pattern = r"leftImg8bit/val/([^/]+/[^/]+)_leftImg8bit\.png"
    images = unpack("images", photographs, pattern, place, required=required)
    yield images
    required = [layout.label(root, layout.stem(root, path)) for path in images.targets]
    yield unpack("annotations", archive, annotations, partial(layout.label, root), converter, required)


def _ade20k(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(ADE2016)
    annotations = r"annotations/validation/([^/]+)\.png"
    place = partial(layout.image, root)
    required = _required(archive, archive, annotations, place)
    images = unpack("images", archive, r"images/validation/([^/]+)\.jpg", place, required=required)
    yield images
    required = [layout.label(root, layout.stem(root, path)) for path in images.targets]
    converter = partial(convert.checked, labels=151)
    yield unpack("annotations", archive, annotations, partial(layout.label, root), converter, required)


def _ade847(layout: Layout, root: Path, find: Find) -> Iterator[Step]:
    archive = find(ADE_FULL)
    annotations = r"(ADE_val_\d+)_seg\.png"
    place = partial(layout.image, root)
    required = _required(archive, archive, annotations, place)
    images = unpack("images", archive, r"(ADE_val_\d+)\.jpg", place, convert.ade847_image, required)
    yield images
    stems = [path.stem for path in images.targets]
    required = [layout.label(root, stem) for stem in stems]
    yield unpack("annotations", archive, annotations, partial(layout.label, root), convert.ade847_labels, required)
    _write_list(layout, root, stems)


def _required(photographs: Path, maps: Path, annotations: str, place: Callable[[str], Path | None]) -> list[Path]:
    """The images of all annotations, where the photographs are a folder: there, what somebody left out is noticed."""
    if not photographs.is_dir():
        return []
    targets = (place(stem) for _, stem in _matching(maps, annotations))
    return [target for target in targets if target is not None]


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
