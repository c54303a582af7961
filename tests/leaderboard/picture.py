"""A picture of a leaderboard's page, as docs/leaderboard.png is one of the bundled pocket benchmark.

    make page-picture

Needs Playwright and a Chromium (extra ``browser``). The picture shows the top of the page: its notes, which say what a
pocket benchmark is, and the first table.
"""

import argparse
import io
from pathlib import Path

from PIL import Image

from mmseg_tfovss.cli import user_errors
from mmseg_tfovss.whole_file import whole_file
from tests.chromium import open_page

WIDTH, MOST_HEIGHT = 1000, 1400  # pixels
MOST_BYTES = 300_000
COLOURS = 128  # enough for text and one hue


def take_picture(page_file: Path, target: Path) -> None:
    """Take the picture; the file is there completely or not at all."""
    if not page_file.is_file():
        raise FileNotFoundError(f"{page_file} does not exist: name the leaderboard.html of a leaderboard.")
    with open_page(WIDTH, MOST_HEIGHT) as page:
        page.goto(page_file.absolute().as_uri())
        page.locator("details.filters").evaluate("part => { part.open = false; }")
        end = page.locator("section").first.bounding_box()
        height = min(MOST_HEIGHT, round(end["y"] + end["height"]) + 12) if end else MOST_HEIGHT
        shot = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    with Image.open(io.BytesIO(shot)) as picture, whole_file(target) as scratch:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(scratch, "PNG", optimize=True)
    if target.stat().st_size > MOST_BYTES:
        raise ValueError(f"{target} has {target.stat().st_size} bytes, more than {MOST_BYTES}: take a smaller board.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.leaderboard.picture", description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="leaderboard.html")
    parser.add_argument("--out", type=Path, required=True, help="the picture, a PNG file")
    arguments = parser.parse_args()
    with user_errors():
        take_picture(arguments.page, arguments.out)
