"""Names that want to be more than names."""

import random
from pathlib import Path

from mmseg_tfovss.leaderboard.arrange import make_board
from mmseg_tfovss.leaderboard.files import LeftOut
from mmseg_tfovss.leaderboard.results import Collected
from mmseg_tfovss.leaderboard.run import Run
from tests.leaderboard.boards import scored

HACK = "document.body.dataset.hacked = 1"
PIECES = (
    f"<script>{HACK}</script>",
    f'"><img src=x onerror="{HACK}">',
    f"' onmouseover='{HACK}",
    "</td></tr></table>",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "&#x202e;",
    "javascript:alert(1)",
    "data:text/html,<script>1</script>",
    "http://evil.example/?q=",
    "=HYPERLINK(A1)",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    ";=1+1",
    "＝1+1",
    "'=1",
    '"',
    ",",
    "|",
    "\\|",
    "`code`",
    "``",
    "*em*",
    "__strong__",
    "_em_",
    "~~gone~~",
    "[l](javascript:alert(1))",
    "![i](http://evil.example/i.png)",
    "<http://evil.example>",
    "# heading",
    "- item",
    "1. item",
    "---",
    "> quote",
    "$x$",
    "\\input{/etc/passwd}",
    "\\immediate\\write18{id}",
    "\\end{document}",
    "{",
    "}}",
    "%",
    "^^5c",
    "&",
    "#1",
    "~",
    "\\",
    "\n",
    "\r\n",
    "\n\n# h",
    "\x00",
    "\x07\x08",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x9b31m",
    "\x7f",
    "\u200b",
    "\u200f",
    "\u202eevil\u202c",
    "\u2066x\u2069",
    "\u2028",
    "\ufeff",
    "\udcff",
    "[bold]rich[/bold]",
    ":smile:",
    "é本שלום",
    "👩‍🔬",
)


def draw_name(draw: random.Random) -> str:
    """A name of one to four pieces, between words or alone."""
    parts = draw.choices((*PIECES, "cat", "a b", "ViT-B-16/openai"), k=draw.randint(1, 4))
    return draw.choice(("", " ")).join(parts) + draw.choice(("", "", str(draw.randint(0, 99))))


def hostile_board(draw: random.Random, names=draw_name):
    """A board where every text that a file or a command line can bring is drawn."""
    runs = []
    for number in range(draw.randint(2, 5)):
        result = scored(
            draw.uniform(0, 100),
            method=names(draw),
            backbone=names(draw),
            dataset=f"{names(draw)}x",
            setting=names(draw),
            precision=names(draw),
            protocol=draw.choice(("paper", "unified")),
            per_class={names(draw): {"IoU": draw.choice((None, 5.0)), "Acc": 5.0} for _ in range(3)},
            overrides={names(draw): names(draw)} if draw.random() < 0.5 else {},
            settings={names(draw): names(draw)} if draw.random() < 0.5 else {},
            config_hash=str(number),
            vocabulary=names(draw),
            weights_hash=names(draw),
            vocabulary_hash=names(draw),
            git_commit=draw.choice((None, names(draw))),
            finished_at=names(draw),
            device=names(draw),
            num_images=draw.choice((9, 10)),
            assumptions=[names(draw)],
            package=names(draw),
        )
        runs.append(result)
    runs += [{**result, "config_hash": "other", "weights_hash": names(draw)} for result in runs[:1]]
    folder = f"{names(draw)}y".replace("\x00", "").replace("/", "_")
    placed = tuple(
        Run(result, Path(folder, f"{number}.json"), (Path(folder, f"{number}_overlay.png"),))
        for number, result in enumerate(runs)
    )
    return make_board(Collected(placed, (LeftOut(Path(folder), f"is {names(draw)}."),)))
