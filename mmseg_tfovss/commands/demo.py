"""Segment one image with any words (docs/commands.md)."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Segment an image; writes OUT_DIR/<stem>_mask.png and _overlay.png."
    )
    parser.add_argument("image", type=Path)
    parser.add_argument(
        "config", help="a method (sclip), or a config: file or name; its vocabulary is used unless words are given"
    )
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--classes", help='"cat; dog, puppy; grass": classes by ";", synonyms by ","')
    words.add_argument("--classes-file", type=Path, help="one class a line, synonyms separated by commas")
    parser.add_argument(
        "--short-side", type=int, help="resize the image to this short side first; default: the config's"
    )
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument("--out-dir", type=Path, default=Path("work_dirs/demo"))
    parser.add_argument("--save-logits", action="store_true", help="write OUT_DIR/<stem>.npz")
    parser.add_argument(
        "--window",
        type=int,
        nargs=2,
        metavar=("Y", "X"),
        help="with --save-logits: add patch_logits of the window at this corner of the resized image",
    )
    add_cfg_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.window and not arguments.save_logits:
        parser.error("--window needs --save-logits")
    return arguments


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Segment the image and write the files."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import add_short_side, parse_options, say, user_errors

    with user_errors():
        from mmengine.device import get_device

        from mmseg_tfovss.config import load_config
        from mmseg_tfovss.datasets.files import image_orientation
        from mmseg_tfovss.engine.single import build_method, save_arrays, segment_file
        from mmseg_tfovss.engine.words import take_words
        from mmseg_tfovss.pictures.overlay import draw_overlay, named_colours, save_mask
        from mmseg_tfovss.pocket.files import ensure_pocket_file
        from mmseg_tfovss.whole_file import whole_file

        options = parse_options(arguments.cfg_options)
        add_short_side(options, arguments.short_side)
        config = load_config(arguments.config, options)
        words = take_words([config], options, arguments.classes, arguments.classes_file)
        ensure_pocket_file(arguments.image)
        image_orientation(arguments.image)  # a file that is none is told before weights are loaded
        say(*words.lines)
        model = build_method(config, arguments.device or get_device())
        window = tuple(arguments.window) if arguments.window else None
        result = segment_file(model, arguments.image, keep_logits=arguments.save_logits, window=window)

        colours = named_colours(result.names)
        overlay = draw_overlay(result.image, result.pred, result.names, colours)
        writers: dict[str, Callable[[Path], object]] = {
            "_mask.png": lambda path: save_mask(result.pred, colours, path),
            "_overlay.png": overlay.save,
        }
        if arguments.save_logits:
            writers[".npz"] = lambda path: save_arrays(result, path)
        written = [f"{arguments.image.stem}{ending}" for ending in writers]
        for name, write in zip(written, writers.values(), strict=True):
            with whole_file(arguments.out_dir / name) as scratch:
                write(scratch)
        say(f"Written to {arguments.out_dir}: {', '.join(written)}")
