"""Segment images with several methods and put them side by side (docs/commands.md)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="One row per image, one column per method, one legend.",
        usage="%(prog)s IMAGE... CONFIG... --out GRID.png [options]",
    )
    parser.add_argument("paths", nargs="+", type=Path, help="images, and configs (files that end in .py, or names)")
    parser.add_argument("--out", type=Path, required=True, help="picture to write: .png, .jpg, .pdf, ...")
    parser.add_argument(
        "--ground-truth",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="an annotation per image (class ids), or auto: that of the first config's dataset",
    )
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--classes", help='"cat; dog, puppy; grass" for all configs: classes by ";", synonyms by ","')
    words.add_argument("--classes-file", type=Path, help="one class a line, synonyms separated by commas")
    parser.add_argument(
        "--short-side", type=int, help="resize the images to this short side first; default: each config's"
    )
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument("--cell", type=int, default=480, help="long side of a picture in pixels (default 480)")
    add_cfg_options(parser, "settings of all configs, e.g. model.precision=bf16")
    arguments = parser.parse_args(argv)
    arguments.configs = [path for path in arguments.paths if is_config(path)]
    arguments.images = [path for path in arguments.paths if not is_config(path)]
    if not (arguments.configs and arguments.images):
        parser.error("name at least one image and one config (a file that ends in .py, or a name)")
    if arguments.out in arguments.images:
        parser.error(f"--out {arguments.out} is one of the images, which it would replace: choose another name")
    if arguments.cell < 1:
        parser.error("--cell must be at least 1 pixel")
    own = "--classes" if arguments.classes is not None else "--classes-file" if arguments.classes_file else None
    if own and arguments.ground_truth == ["auto"]:
        parser.error(f"--ground-truth auto has the classes of its dataset: leave {own}, or name annotation files")
    return arguments


def is_config(path: Path) -> bool:
    """Whether a path or a name is a config, and no image."""
    from mmseg_tfovss.catalogue import resolve

    try:
        return resolve(path)[0].suffix == ".py"
    except ValueError:
        return False


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Draw the picture."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import add_short_side, parse_options, say, user_errors

    with user_errors():
        from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file

        check_target(arguments.out, "--out", PICTURE_ENDINGS)
        from mmengine.device import get_device

        from mmseg_tfovss.config import load_config
        from mmseg_tfovss.engine.words import take_words
        from mmseg_tfovss.pictures import compare
        from mmseg_tfovss.pocket.files import ensure_pocket_file

        options = parse_options(arguments.cfg_options)
        add_short_side(options, arguments.short_side)
        configs = [load_config(path, options) for path in arguments.configs]
        words = take_words(configs, options, arguments.classes, arguments.classes_file)
        names = compare.shared_names(configs)
        say(*words.lines)
        colours = compare.shared_colours(configs, names, given=words.given)
        for path in [*arguments.images, *map(Path, arguments.ground_truth or ())]:
            ensure_pocket_file(path)
        truths = None
        if arguments.ground_truth == ["auto"]:
            truths = compare.find_truths(arguments.images, configs[0])
        elif arguments.ground_truth:
            files = [Path(file) for file in arguments.ground_truth]
            truths = compare.read_truths(files, arguments.images, len(names))
        device = arguments.device or str(get_device())
        picture = compare.draw_comparison(
            arguments.images, configs, device, names, colours, truths=truths, cell=arguments.cell
        )
        with whole_file(arguments.out) as scratch:
            picture.save(scratch)
        say(f"Written: {arguments.out}")
