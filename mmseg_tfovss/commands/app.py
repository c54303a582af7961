"""A page in the browser to play with: an image, words, methods side by side (docs/app.md)."""

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmseg_tfovss.playground.answer import Playground

INSTALL = "pip install 'mmseg_tfovss[app]'"
_OPTIONS = {"model.backbone.pretrained": "--pretrained", "model.backbone.arch": "--backbone"}
_DEVICES = re.compile(r"cpu|cuda(:[0-9]+)?")
_MOST_KEPT = 4  # methods in memory: as many as one answer needs


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Open a page in which you choose an image, words and one to four methods, and see their overlays.",
        epilog=f"Needs Gradio: {INSTALL}",
    )
    parser.add_argument(
        "--pretrained",
        default="pocket",
        help="CLIP's weights: an open_clip tag (openai), a local file, or pocket (default): the package's small CLIP,"
        " which needs no download and knows 14 words",
    )
    parser.add_argument("--backbone", help="CLIP's architecture; default: ViT-B-16, and the file's for pocket")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument(
        "--methods", nargs="+", default=[], metavar="METHOD", help="offer only these; default: all that can run"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1, for this machine only"
    )
    parser.add_argument("--port", type=int, default=7860, help="default: 7860")
    parser.add_argument(
        "--max-side", type=int, default=2048, help="larger images are shrunk to this many pixels (default 2048)"
    )
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.port <= 65535:
        parser.error(f"--port must be between 1 and 65535, but got {arguments.port}")
    if arguments.device is not None and not _DEVICES.fullmatch(arguments.device):
        parser.error(f"--device must be cpu or cuda (cuda:1 for the second GPU), but got {arguments.device!r}")
    if arguments.max_side < 32:
        parser.error(f"--max-side must be at least 32 pixels, but got {arguments.max_side}")
    return arguments


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Serve the page until Ctrl-C."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import say, user_errors
    from mmseg_tfovss.playground.stopping import stoppable

    with user_errors(), stoppable() as stop:
        check_gradio()
        from mmseg_tfovss.playground.choice import chosen_at_start, offered_methods
        from mmseg_tfovss.playground.server import check_address, own_folder, serve

        stop.check()
        check_address(arguments.host, arguments.port)
        check_device(arguments.device)
        offered = offered_methods(arguments.pretrained, arguments.methods)
        chosen = chosen_at_start(offered, arguments.methods)
        playground = new_playground(arguments, offered)
        stop.check()
        say(f"Loading {chosen[0]} ...")
        with playground.segmenters.use(chosen[0]):  # weights that cannot be used are told before the page opens
            pass
        stop.check()
        with own_folder(arguments.host) as folder:
            serve(playground, chosen, folder, arguments.host, arguments.port, say, stop)


def check_gradio() -> None:
    """Refuse to go on without Gradio.

    Raises:
        ValueError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise ValueError(f"tfovss app needs Gradio, which is not installed here: {INSTALL}")


def check_device(device: str | None) -> None:
    """Refuse a GPU that is not there.

    Raises:
        ValueError: PyTorch does not see it.
    """
    if device is None or device == "cpu":
        return
    import torch

    count = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= count:
        raise ValueError(f"--device {device}: PyTorch sees {count or 'no'} GPU{'s' * (count > 1)} here: take cpu.")


@contextmanager
def own_options() -> Iterator[None]:
    """Name this command's options in messages that name settings of configs.

    Raises:
        ValueError: for any mistake of the user.
    """
    from mmseg_tfovss.cli import sentence

    try:
        yield
    except (ValueError, OSError) as error:
        text = sentence(error)
        for setting, option in _OPTIONS.items():
            text = text.replace(setting, option)
        raise ValueError(text) from error


def new_playground(arguments: argparse.Namespace, offered: Sequence[str]) -> "Playground":
    """What answers the page's questions, by :func:`mmseg_tfovss.load`; nothing is loaded yet."""
    import mmseg_tfovss as tf
    from mmseg_tfovss.playground.answer import Playground
    from mmseg_tfovss.playground.segmenters import Segmenters

    def load(method: str) -> tf.Segmenter:
        with own_options():
            return tf.load(method, arguments.backbone, arguments.pretrained, arguments.device)

    segmenters = Segmenters(load, _MOST_KEPT)
    return Playground(segmenters, offered, arguments.max_side, arguments.pretrained == "pocket")
