"""Make configs for a dataset of the user's own (docs/own_data.md)."""

import argparse
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.cores import cores

if TYPE_CHECKING:
    from mmseg_tfovss.own_data.create import Created
    from mmseg_tfovss.own_data.survey import Survey
    from mmseg_tfovss.own_data.table import ClassTable

METHODS = ("clip", "maskclip", "sclip", "clearclip", "naclip")
BACKBONES = ("vit-b16", "vit-pocket")
_SECONDS = 10  # between lines of progress in a file


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Evaluate methods on a dataset of your own.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="{init,check,add}")
    init = actions.add_parser("init", help="check images and masks, and write the configs")
    init.add_argument("name", type=Path, help="folder to make; its last part is the dataset's name in results")
    init.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images")
    init.add_argument("--masks", type=Path, required=True, metavar="DIR", help="folder of masks, one per image")
    init.add_argument(
        "--classes",
        required=True,
        metavar="FILE",
        help="one class a line, synonyms separated by commas; or a table: name,r,g,b for colour masks, name,label for"
        " labels with gaps",
    )
    init.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="labels (11 255), colours (0,0,0) or classes (Void) whose pixels do not count",
    )
    init.add_argument("--first-label", type=int, metavar="N", help="label of the first class (default: 0)")
    init.add_argument("--split", type=Path, metavar="FILE", help="list of the images that count (default: all)")
    init.add_argument("--image-suffix", metavar="END", help="take images whose names end so, e.g. _rgb.png")
    init.add_argument("--mask-suffix", metavar="END", help="take masks whose names end so, e.g. _labelIds.png")
    init.add_argument("--only-pairs", action="store_true", help="leave out images without a mask")
    _add_methods(init, METHODS)
    check = actions.add_parser("check", help="read every image and mask again")
    check.add_argument("folder", type=Path, help="what init has made")
    add = actions.add_parser("add", help="write configs of further methods")
    add.add_argument("folder", type=Path, help="what init has made")
    _add_methods(add, None)
    for action in (init, check):
        action.add_argument("--workers", type=int, default=cores(), help="files read at a time (default: one per core)")
    return parser.parse_args(argv)


def _add_methods(parser: argparse.ArgumentParser, methods: Sequence[str] | None) -> None:
    usual = f" (default: {' '.join(methods)})" if methods else ""
    parser.add_argument(
        "--methods",
        nargs="+",
        default=methods,
        required=methods is None,
        metavar="METHOD",
        help=f"methods to write configs for, or all{usual}",
    )
    parser.add_argument(
        "--backbones",
        nargs="+",
        default=BACKBONES,
        choices=["vit-b16", "vit-l14", "vit-h14", "vit-pocket"],
        metavar="BACKBONE",
        help="vit-b16, vit-l14, vit-h14, or vit-pocket, which is the small CLIP of this package (default:"
        f" {' '.join(BACKBONES)})",
    )


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make, check or extend a dataset."""
    arguments = parse_arguments(argv, prog)
    arguments.command = shlex.join(["tfovss", "dataset", *(sys.argv[1:] if argv is None else argv)])
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from mmseg_tfovss.own_data.report import ProblemsError

        if getattr(arguments, "workers", 1) < 1:
            raise ValueError(f"--workers must be a positive number, but got {arguments.workers}.")
        try:
            {"init": _init, "check": _check, "add": _add}[arguments.action](arguments)
        except ProblemsError as problems:
            _complain(str(problems).splitlines())


def _init(arguments: argparse.Namespace) -> None:
    from mmseg_tfovss.own_data.create import Request, create

    request = Request(
        folder=arguments.name,
        images=arguments.images,
        masks=arguments.masks,
        classes=arguments.classes,
        ignored=arguments.ignore,
        first_label=arguments.first_label,
        split=arguments.split,
        image_suffix=arguments.image_suffix,
        mask_suffix=arguments.mask_suffix,
        only_pairs=arguments.only_pairs,
        methods=arguments.methods,
        backbones=arguments.backbones,
        workers=arguments.workers,
        command=arguments.command,
    )
    _tell_created(arguments.name, create(request, _watch))


def _tell_created(folder: Path, made: "Created") -> None:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.own_data.report import notes

    _tell_found(made.table, made.survey)
    say(*notes(made.survey, made.table, made.pairs))
    if made.anew:
        say(f"The masks were written anew, as class numbers, into {folder}/masks.")
    count = "1 config" if len(made.leaves) == 1 else f"{len(made.leaves)} configs"
    say(f"Written: {folder}, with {count}. To evaluate one:")
    names = sorted((leaf.name for leaf in made.leaves), key=lambda name: "_vit-pocket" not in name)
    say(f"  tfovss test {shlex.quote(str(folder / names[0]))}")
    if len(names) > 1:
        say("To evaluate all on this machine, one after the other:")
        say(f"  tfovss array {shlex.quote(str(folder))}/*_{shlex.quote(folder.name)}.py --local 1")


def _check(arguments: argparse.Namespace) -> None:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.own_data.existing import check
    from mmseg_tfovss.own_data.report import pair_notes

    checked = check(arguments.folder, arguments.workers, _watch)
    _tell_found(checked.table, checked.survey)
    say(*pair_notes(checked.pairs, checked.unlisted))
    say(f"Nothing is wrong in {arguments.folder}.")


def _add(arguments: argparse.Namespace) -> None:
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.own_data.existing import add
    from mmseg_tfovss.vocabulary.words import count_of

    added = add(arguments.folder, arguments.methods, arguments.backbones)
    say(*(f"Written: {arguments.folder / leaf.name}" for leaf in added.written))
    if added.kept:
        kept = count_of(len(added.kept), "config", "configs")
        say(f"Kept {kept}, which had been written before; added {len(added.written)}.")


def _tell_found(table: "ClassTable", found: "Survey") -> None:
    """A table of what the masks hold."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.own_data.report import class_rows

    rows = [("colour" if table.coloured else "label", "class", "pixels", "masks"), *class_rows(found, table)]
    wide, width = (max(len(row[column]) for row in rows) for column in (0, 1))
    say("1 image with its mask." if found.images == 1 else f"{found.images} images with masks.")
    say(*(f"  {value:>{wide}}  {name:{width}}  {share:>8}  {masks:>6}".rstrip() for value, name, share, masks in rows))


def _complain(lines: Sequence[str]) -> None:
    from mmseg_tfovss.plain import printable

    for line in lines:
        sys.stderr.write(f"error: {printable(line)}\n")
    sys.exit(1)


def _watch(items: Iterable[None], total: int) -> Iterable[None]:
    """A bar with the time that is left, or lines where nobody watches a terminal."""
    if not sys.stderr.isatty():
        return _lines(items, total)
    from rich.console import Console
    from rich.progress import track

    return track(items, "checking", total, console=Console(stderr=True), transient=True)


def _lines(items: Iterable[None], total: int) -> Iterable[None]:
    """A line every so many seconds."""
    begun = told = time.monotonic()
    for done, item in enumerate(items, 1):
        now = time.monotonic()
        if now - told > _SECONDS:
            told = now
            left = (now - begun) / done * (total - done)
            sys.stderr.write(f"checking: {done}/{total} images, {left / 60:.1f} minutes left\n")
        yield item
