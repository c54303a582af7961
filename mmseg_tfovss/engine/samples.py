"""The images of a dataset: each one is counted once, or the odd file is named."""

import io
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dist import is_main_process
from PIL import Image

from mmseg_tfovss.datasets.files import formats
from mmseg_tfovss.datasets.framework import BaseSegDataset
from mmseg_tfovss.whole_file import SCRATCH_NAME

_logger = logging.getLogger(__name__)
_NAMED = 3  # files named in a message
_WAY_OUT = "name the images that count in an ann_file (test_dataloader.dataset.ann_file, one a line, without ending)"
# fmt: off
_PICTURES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif", ".ppm", ".pgm",
    ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".tga",
)
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"RIFF", b"BM", b"GIF8", b"P5", b"P6", b"\0\0\0")
# fmt: on


def check_samples(dataset: BaseDataset, samples: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a dataset that would count an image twice, or leave one out without a word.

    Args:
        dataset: built; of MMSeg's own way to list files, those files are compared with what it has listed.
        samples: what it knows of each image.

    Raises:
        ValueError: the files are named.
    """
    check_lines(dataset)
    indices = getattr(dataset, "_indices", None)  # MMEngine cuts what is too large in silence
    if isinstance(indices, int) and abs(indices) > len(samples):
        raise ValueError(
            f"test_dataloader.dataset.indices={indices}, but the dataset has only {len(samples)}: leave it out for all"
            " images."
        )
    _check_twice(samples)
    if _lists_as_usual(dataset) and not dataset.ann_file and type(dataset).filter_data is BaseDataset.filter_data:
        folder = Path(dataset.data_prefix["img_path"])
        odd = left_out(folder, dataset.img_suffix, Path(dataset.data_prefix["seg_map_path"]), dataset.seg_map_suffix)
        if odd:
            raise ValueError(
                f"The dataset takes the images in {folder} that end in {dataset.img_suffix!r} (img_suffix), and would"
                f" leave out {_listed(odd)}: remove or rename them, or {_WAY_OUT}."
            )
        if indices is None:
            _warn_of_spare_annotations(Path(dataset.data_prefix["seg_map_path"]), dataset.seg_map_suffix, samples)


def check_lines(dataset: BaseDataset) -> None:
    """Refuse an ``ann_file`` with a line that names no image, or one that stands there twice.

    Args:
        dataset: if it has no such file, or reads it in a way of its own, nothing is looked at.

    Raises:
        ValueError: the line is named.
    """
    if not (_lists_as_usual(dataset) and dataset.ann_file):
        return
    file, folder, suffix = Path(dataset.ann_file), Path(dataset.data_prefix["img_path"]), dataset.img_suffix
    if file.is_dir():
        raise ValueError(
            f"test_dataloader.dataset.ann_file is the folder {file}: name a file, or leave it out for all."
        )
    first: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(file.read_bytes().decode()), 1):  # lines as MMEngine takes them
        name = line.strip()
        if not name:
            raise ValueError(f"Line {number} of {file} is blank: delete it.")
        if name.startswith("\ufeff"):
            raise ValueError(f"{file} begins with a byte-order mark: save it as plain UTF-8.")
        if name.endswith(suffix) and (folder / name).exists() and not (folder / f"{name}{suffix}").exists():
            raise ValueError(
                f"Line {number} of {file}, {name!r}, has the ending {suffix!r}, which img_suffix adds: list names"
                " without it."
            )
        usual = os.path.normpath(name)
        if usual in first:
            raise ValueError(f"{file} lists {name!r} twice, in line {first[usual]} and {number}: delete one.")
        first[usual] = number


def left_out(folder: Path, suffix: str, annotations: Path, ending: str) -> list[Path]:
    """What MMSeg's listing does not take: other images, links to nothing, and folders named like images.

    Args:
        folder: of the images, with folders in it.
        suffix: ``img_suffix``.
        annotations: their folder; one inside that of the images is not searched.
        ending: ``seg_map_suffix``; in one and the same folder, the annotations of its images are no images.

    Returns:
        The files, sorted.
    """
    taken: list[os.DirEntry[str]] = []
    others: list[os.DirEntry[str]] = []
    for entry in walk(folder, skip=annotations, folders=True):
        usual = not entry.name.startswith(".") and entry.is_file() and entry.path.endswith(suffix)
        (taken if usual else others).append(entry)
    roots = [os.path.relpath(entry.path[: -len(suffix)], folder) for entry in taken]
    labels = {os.path.normpath(annotations / f"{root}{ending}") for root in roots}
    return sorted(
        Path(entry.path) for entry in others if os.path.normpath(entry.path) not in labels and _is_picture(entry)
    )


def walk(folder: Path, skip: Path | None = None, *, folders: bool = False) -> Iterator["os.DirEntry[str]"]:
    """Everything in a folder and the folders in it that is no folder, through links too.

    Args:
        folder: where to begin.
        skip: a folder in it that is left out.
        folders: the folders too.

    Raises:
        ValueError: a link leads to a folder that is seen elsewhere, so that its files would be there twice.
    """
    begin = os.path.realpath(folder)
    left = None if skip is None else os.path.realpath(skip)
    seen, waiting = {begin: str(folder)}, [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if not entry.is_dir():
                yield entry
                continue
            real = os.path.realpath(entry.path)
            if real == left:
                continue
            if real in seen:
                raise ValueError(
                    f"{entry.path} and {seen[real]} are one folder, so its images would be counted twice: remove the"
                    " link."
                )
            if folders:
                yield entry
            seen[real] = entry.path
            waiting.append(entry.path)


def _lists_as_usual(dataset: BaseDataset) -> bool:
    """Whether MMSeg's own code finds the files."""
    return isinstance(dataset, BaseSegDataset) and type(dataset).load_data_list is BaseSegDataset.load_data_list


def _check_twice(samples: Sequence[Mapping[str, Any]]) -> None:
    folders: dict[str, str] = {}  # links on the way, looked up once
    real = {}
    for field, kind in (("img_path", "image"), ("seg_map_path", "annotation")):
        users = defaultdict(list)
        for sample in samples:
            users[_identity(_real(os.fspath(sample[field]), folders))].append(sample)
        twice = next((file for file, found in users.items() if len(found) > 1), None)
        if twice is not None:
            file = _real(os.fspath(users[twice][0][field]), folders)
            paths = sorted({os.fspath(sample["img_path"]) for sample in users[twice]})
            what = "is counted more than once" if kind == "image" else f"belongs to {len(users[twice])} images"
            raise ValueError(f"The {kind} {file} {what} ({', '.join(paths[:_NAMED])}): each must be there once.")
        real[kind] = {one: os.fspath(found[0][field]) for one, found in users.items()}
    both = sorted(real["image"][one] for one in real["image"].keys() & real["annotation"].keys())
    if both:
        raise ValueError(f"{both[0]} is an image and an annotation at once: set img_suffix and seg_map_suffix apart.")


def _real(path: str, folders: dict[str, str]) -> str:
    """A file without links on the way to it, given those of folders that are known."""
    above, name = os.path.split(path)
    if above not in folders:
        folders[above] = os.path.realpath(above)
    return os.path.realpath(path) if Path(path).is_symlink() else f"{folders[above]}/{name}"


def _identity(path: str) -> str:
    """What tells a file from all others, under whatever name: hard links are the same file too."""
    try:
        found = Path(path).stat()
    except OSError:  # whoever reads it says so
        return path
    return f"{found.st_dev}:{found.st_ino}" if found.st_nlink > 1 and found.st_ino else path


def _warn_of_spare_annotations(folder: Path, ending: str, samples: Sequence[Mapping[str, Any]]) -> None:
    """Say which annotations have no image: it may be gone by accident."""
    if not folder.is_dir() or not is_main_process():
        return
    used = {os.path.normpath(sample[field]) for sample in samples for field in ("img_path", "seg_map_path")}
    files = [entry for entry in walk(folder) if entry.name.endswith(ending) and not entry.name.startswith(".")]
    spare = sorted(Path(entry.path) for entry in files if os.path.normpath(entry.path) not in used)
    if spare:
        _logger.warning(
            "warning: %d of %d annotations have no image, so that they do not count: %s.",
            len(spare),
            len(files),
            _listed(spare),
        )


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    """Whether something that is not taken may be meant as an image: by name, by content, or a link to nothing."""
    hidden = entry.name.startswith(".")  # macOS leaves such notes beside files, under their names
    if not Path(entry).exists():
        return not entry.name.startswith(".#")  # Emacs's locks
    if not hidden and entry.name.lower().endswith(_PICTURES):
        return True
    if not entry.is_file() or SCRATCH_NAME.fullmatch(entry.name):  # reading from a pipe would not end
        return False
    try:
        with Path(entry).open("rb") as file:
            if not file.read(4).startswith(_BEGINNINGS):
                return False
        with Image.open(entry.path, formats=formats()):
            return True
    except Image.DecompressionBombError:
        return True
    except Exception:  # whatever Pillow makes of what is no picture
        return False


def _listed(files: Sequence[Path]) -> str:
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(f"{file}{_nowhere(file)}" for file in files[:_NAMED]) + more


def _nowhere(file: Path) -> str:
    if file.is_dir():
        return " (a folder)"
    return "" if file.exists() or not file.is_symlink() else f" (a link to {file.readlink()}, which does not exist)"
