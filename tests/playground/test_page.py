"""The page in a real browser, on the real server; pytest -m browser."""

import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

import mmseg_tfovss as tf
from mmseg_tfovss.pocket.scenes import draw_validation
from tests.chromium import open_page
from tests.playground.serving import end, served

pytestmark = pytest.mark.browser
WORDS = "brick; donut, ring\nstarfish"
WAIT = 60_000  # milliseconds: the machine may be busy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the server is started; it has an image, and a file that nobody may read through the page."""
    path = tmp_path_factory.mktemp("own")
    Image.fromarray(next(draw_validation()).image).resize((120, 90)).save(path / "my photo.png")
    (path / "no_picture.png").write_text("hello")
    (path / "secret.txt").write_text("secret")
    return path


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as (found, _):
        yield found


def visit(page, address):
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.get_by_role("button", name="Segment").wait_for()


def upload(page, path):
    with page.expect_response(lambda response: "/upload" in response.url):
        page.locator("input[type=file]").set_input_files(path)


def ask(page, words, methods):
    """Type words, and leave exactly these methods chosen."""
    page.get_by_label("Words").first.fill(words)
    for box in page.locator(".methods input[type=checkbox]").all():
        box.set_checked(box.evaluate("box => box.closest('label').innerText.trim()") in methods)
    page.get_by_role("button", name="Segment").click()


def overlays(page):
    return page.locator(".overlay img:visible")


def sideways(page):
    """Pixels that the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def contrast(one, other):
    """WCAG's ratio of two CSS colours rgb(r, g, b)."""
    shades = np.array([[int(part) for part in re.findall(r"\d+", colour)[:3]] for colour in (one, other)]) / 255
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ (0.2126, 0.7152, 0.0722))
    return (light + 0.05) / (dark + 0.05)


def test_two_methods_side_by_side_and_the_mask_is_loads(address, folder, tmp_path):
    asked = []
    with open_page(1400, 900) as page:
        page.on("request", lambda request: asked.append(request.url))
        visit(page, address)
        upload(page, folder / "my photo.png")
        ask(page, WORDS, ["naclip", "clearclip"])
        page.locator(".legend").wait_for()
        assert overlays(page).count() == 2
        first, second = (overlays(page).nth(number).bounding_box() for number in range(2))
        assert first["y"] == second["y"]
        assert first["x"] + first["width"] <= second["x"]
        spoken = [overlays(page).nth(number).get_attribute("alt") for number in range(2)]
        assert [text.partition(":")[0] for text in spoken] == ["Labels of naclip", "Labels of clearclip"]
        legend = page.locator(".legend").inner_text()
        assert {"brick", "donut", "starfish", "clearclip", "naclip"} <= set(legend.split())
        for what in ("mask", "overlay"):
            with page.expect_download() as download:
                page.get_by_role("button", name=f"{what.capitalize()} of naclip").click()
            download.value.save_as(tmp_path / f"{what}.png")
        name = download.value.suggested_filename
    expected = tf.load("naclip", pretrained="pocket", device="cpu")(
        folder / "my photo.png", ["brick", "donut, ring", "starfish"]
    )
    mask = Image.open(tmp_path / "mask.png")
    assert mask.mode == "P"
    assert np.array_equal(np.array(mask), expected.labels)
    assert np.array_equal(np.array(Image.open(tmp_path / "overlay.png")), np.array(expected.overlay()))
    assert name.endswith("naclip_overlay.png")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_mistakes_are_sentences_and_the_page_goes_on(address, folder):
    with open_page() as page:
        visit(page, address)
        problem = page.get_by_role("alert").and_(page.locator(".problem"))

        def told(sentence):
            problem.filter(has_text=sentence).wait_for()
            assert problem.count() == 1
            assert overlays(page).count() == 0

        ask(page, WORDS, ["sclip"])
        told("Image: upload one, or pick an example.")
        upload(page, folder / "my photo.png")
        ask(page, "cat; <b>dog</b>; cat", ["sclip"])
        told('The word "cat" stands twice: remove one of the two.')
        ask(page, WORDS, ["sclip", "naclip", "gem", "clip", "maskclip"])
        told("Methods: choose at most 4; you have chosen 5.")
        ask(page, WORDS, ["sclip"])
        page.locator(".legend").wait_for()
        assert (problem.count(), overlays(page).count()) == (0, 1)
        page.get_by_role("button", name="Remove Image").or_(page.get_by_label("Remove")).first.click()
        upload(page, folder / "no_picture.png")
        ask(page, WORDS, ["sclip"])
        told("The image no_picture.png is truncated or damaged")


def test_four_methods_are_two_by_two_and_go_when_the_next_run_starts(address, folder):
    with open_page(1400, 900) as page:
        visit(page, address)
        upload(page, folder / "my photo.png")
        ask(page, WORDS, ["sclip", "naclip", "clip", "gem"])
        page.locator(".legend").wait_for()
        boxes = [overlays(page).nth(number).bounding_box() for number in range(4)]
        assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"] == boxes[3]["y"]
        assert boxes[0]["x"] == boxes[2]["x"] < boxes[1]["x"] == boxes[3]["x"]
        page.evaluate("""() => {
            const results = document.getElementById("results");
            window.fewest = results.querySelectorAll("button, a, img, table").length;
            new MutationObserver(() => {
                if (!results.innerText.includes("Segmenting ...")) return;
                window.fewest = Math.min(window.fewest, results.querySelectorAll("button, a, img, table").length);
            }).observe(results, {childList: true, subtree: true, characterData: true});
        }""")
        assert page.evaluate("window.fewest") > 10
        page.get_by_role("button", name="Segment").click()
        page.wait_for_function("window.fewest == 0")
        page.locator(".legend").wait_for()
        assert overlays(page).count() == 4


@pytest.mark.parametrize("dark", [False, True])
def test_the_button_can_be_read_and_the_focus_be_seen(address, dark):
    with open_page(dark=dark) as page:
        visit(page, address)
        style = "element => { const found = getComputedStyle(element); return [found.color, found.backgroundColor]; }"
        button = page.get_by_role("button", name="Segment")
        assert contrast(*button.evaluate(style)) >= 4.5
        button.hover()
        page.wait_for_timeout(500)  # the colour changes slowly
        assert contrast(*button.evaluate(style)) >= 4.5
        page.get_by_label("sclip", exact=True).focus()
        page.keyboard.press("Tab")
        ring, width = page.evaluate(
            "(found => [found.outlineColor, found.outlineWidth])(getComputedStyle(document.activeElement))"
        )
        behind = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page.evaluate("document.activeElement.type") == "checkbox"
        assert (width, contrast(ring, behind) >= 3) == ("2px", True)


def test_words_are_text_and_no_markup(address, folder):
    with open_page() as page:
        visit(page, address)
        upload(page, folder / "my photo.png")
        ask(page, "<img src=x onerror=document.title='stolen'>; brick", ["sclip"])
        page.locator(".legend").wait_for()
        assert page.locator("#results img[src=x]").count() == 0
        assert page.title() == "Segment an image with your own words"
        assert "<img src=x" in page.locator("#results").inner_text()


def test_a_phone_has_one_column_and_no_sideways_scrolling(address):
    with open_page(390, 844) as page:
        visit(page, address)
        assert sideways(page) <= 0
        page.get_by_role("button", name="apple, donut, starfish, fish on brick").click()
        page.get_by_alt_text("The image to segment").wait_for()
        ask(page, "brick; donut; a word that is quite a bit longer than others", ["sclip", "lht_clip_naclip"])
        page.locator(".legend").wait_for()
        assert sideways(page) <= 0
        boxes = [overlays(page).nth(number).bounding_box() for number in range(2)]
        assert boxes[0]["x"] == boxes[1]["x"]
        assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
        top = "document.getElementById('results').getBoundingClientRect().top"
        page.wait_for_function(f"{top} < innerHeight / 2")


def test_keys_alone_lead_to_an_answer_in_the_dark_too(address):
    with open_page(dark=True) as page:
        visit(page, address)

        def tab_to(script):
            for _ in range(80):
                page.keyboard.press("Tab")
                if page.evaluate(f"(element => {script})(document.activeElement)"):
                    return
            pytest.fail(f"Tab does not reach: {script}")

        tab_to("element.innerText.includes('donut, banana, ball, apple on sand')")
        page.keyboard.press("Enter")
        page.get_by_alt_text("The image to segment").wait_for()
        tab_to("element.tagName == 'TEXTAREA'")
        page.keyboard.press("Control+A")
        page.keyboard.type("sand; banana")
        tab_to("element.type == 'checkbox' && element.closest('label').innerText.trim() == 'naclip'")
        page.keyboard.press("Space")  # which takes it away
        tab_to("element.innerText == 'Segment'")
        page.keyboard.press("Enter")
        page.locator(".legend").wait_for()
        assert overlays(page).count() == 1
        shades = page.evaluate(
            "[getComputedStyle(document.querySelector('.legend td')).color, getComputedStyle(document.body)"
            ".backgroundColor].map(colour => Math.max(...colour.match(/\\d+/g).slice(0, 3)))"
        )
        assert shades[0] > 200 > 60 > shades[1]


@pytest.mark.parametrize("path", ["/etc/passwd", "secret.txt", "{folder}/secret.txt"])
def test_files_of_the_machine_are_not_served(address, folder, path):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{address}/gradio_api/file={path.format(folder=folder)}", timeout=30)
    assert error.value.code == 403


def test_ctrl_c_ends_it_and_leaves_nothing(folder, tmp_path):
    with served(folder, "--methods", "clip", "gem", TMPDIR=str(tmp_path)) as (found, process):
        assert [path.name.startswith("tfovss-app-") for path in tmp_path.iterdir()] == [True]
        with open_page() as page:
            visit(page, found)
            assert page.locator(".methods input[type=checkbox]").count() == 2
            said = end(process)
        assert (process.returncode, said) == (0, "Stopped.\n")
    assert list(tmp_path.iterdir()) == []
