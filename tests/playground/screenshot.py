"""The picture of the page in docs/app.md: ``python -m tests.playground.screenshot docs/app.png``.

Needs Gradio, Playwright and a Chromium: ``pip install -e '.[test,app,browser]'``.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from mmseg_tfovss.whole_file import check_target, whole_file
from tests.chromium import open_page
from tests.playground.serving import served

METHODS = ("sclip", "naclip", "clearclip")
WAIT = 60_000  # milliseconds


def photograph(address: str) -> Image.Image:
    """The page with an answer of three methods, (1280, ...) pixels, in 256 colours."""
    with open_page(1280, 900) as page:
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.get_by_role("button", name="donut, tree, fish, gift, ball on grass, brick").click()
        page.get_by_alt_text("The image to segment").wait_for()
        for method in METHODS:
            page.get_by_label(method, exact=True).check()
        page.get_by_role("button", name="Segment").click()
        page.locator(".legend").wait_for()
        page.wait_for_function("[...document.querySelectorAll('.overlay img')].every(image => image.complete)")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        shot = page.screenshot(full_page=True, animations="disabled")
    return Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def main(target: Path) -> None:
    """Start the page, and write the picture."""
    check_target(target, "the picture", (".png",))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (address, _), whole_file(target) as scratch:
        photograph(address).save(scratch, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
