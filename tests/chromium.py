"""A real Chromium for tests of pages: the system's, or the one that ``playwright install chromium`` brings."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# As root no sandbox; on a machine without a network, no background traffic that would be refused.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


@contextmanager
def open_page(width: int = 1400, height: int = 900, *, dark: bool = False) -> Iterator:
    """A Playwright page of this size, in a fresh browser; a test of it fails if the page raised an error.

    Raises:
        pytest.fail.Exception: Playwright or a browser is missing, or a script of the page has failed.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        pytest.fail("Tests in a browser need Playwright: run them by `make test-browser`.")
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)), None)
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        except Error as error:
            pytest.fail(f"No Chromium: install your system's, or run `playwright install chromium`. {error}")
        faults: list[str] = []
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
        page.on("pageerror", lambda error: faults.append(str(error)))
        yield page
        browser.close()
    assert not faults, faults
