"""What a comparison with official code has found, for the terminal and as a file."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from mmseg_tfovss.plain import escape_markdown, printable
from mmseg_tfovss.profiling.complexity import Row, check_suffix, to_csv
from mmseg_tfovss.profiling.official.pairs import Pairs
from mmseg_tfovss.whole_file import whole_file

_SAME = 0.99  # share of labels; with less of them in float32, the two did not compute the same
_COLUMNS = ("ours in", "official (s)", "ours (s)", "ratio", "same labels")


@dataclass(frozen=True)
class Comparison:
    """Timings of one config beside official code.

    Attributes:
        config: its name.
        code: folder and commit of the official code.
        image: its height and width, ``480x640``.
        device: what both ran on.
        pairs: by our precision.
        wanted: pairs that were asked for.
        stopped: why there are fewer; ``None``: there are not.
    """

    config: str
    code: str
    image: str
    device: str
    pairs: Mapping[str, Pairs]
    wanted: int
    stopped: BaseException | None = None

    @property
    def count(self) -> int:
        """Pairs that were finished."""
        return len(next(iter(self.pairs.values())).ours)

    @property
    def remarks(self) -> list[str]:
        """What speaks against reading the ratios."""
        found = []
        if self.stopped is not None:
            found.append(f"The run was stopped after {self.count} of {self.wanted} pairs.")
        exact = self.pairs.get("fp32")
        least = min(pairs.agreement for pairs in self.pairs.values())
        if exact and exact.agreement < _SAME:
            found.append(
                f"Only {100 * exact.agreement:.2f} % of the labels are the same in fp32: the two did not compute the"
                " same, so the ratios say nothing."
            )
        elif not exact and least < _SAME:
            found.append("Labels differ. Add fp32 to --precision to see whether that is rounding.")
        if max(pairs.classes for pairs in self.pairs.values()) == 1:
            found.append("All pixels are of one class, so that the same labels say little: take another --image.")
        return found


def comparison_table(found: Comparison) -> Table:
    """One row per precision of ours."""
    caption = " ".join(found.remarks) or None
    table = Table(title=Text(printable(f"{found.config} beside {found.code}")), caption=caption)
    for name in (*_COLUMNS, "classes"):
        table.add_column(name, justify="left" if name == "ours in" else "right")
    for precision, pairs in found.pairs.items():
        table.add_row(precision, *_cells(pairs), str(pairs.classes))
    return table


def write_comparison(found: Comparison, path: Path) -> None:
    """Write it, in the format that the file's name says; numbers are rounded in Markdown only."""
    check_suffix(path)
    texts = {
        ".md": to_markdown,
        ".csv": lambda found: to_csv(comparison_rows(found)),
        ".json": lambda found: json.dumps(comparison_rows(found), indent=2) + "\n",
    }
    with whole_file(path) as scratch:
        scratch.write_text(texts[path.suffix](found), encoding="utf-8")


def comparison_rows(found: Comparison) -> list[Row]:
    """One row per precision of ours, with numbers that are not rounded."""
    return [
        {
            "Config": found.config,
            "Official code": found.code,
            "Ours in": precision,
            "Official (s)": statistics.median(pairs.official),
            "Ours (s)": statistics.median(pairs.ours),
            "Ratio": pairs.ratio,
            "Lowest ratio": min(pairs.ratios),
            "Highest ratio": max(pairs.ratios),
            "Same labels (%)": 100 * pairs.agreement,
            "Classes": pairs.classes,
            "Pairs": len(pairs.ours),
            "Image": found.image,
            "Device": found.device,
        }
        for precision, pairs in found.pairs.items()
    ]


def to_markdown(found: Comparison) -> str:
    """The table of docs/speed.md, and a line that says what was measured."""
    lines: list[Sequence[str]] = [("config", *_COLUMNS), ["---"] * (1 + len(_COLUMNS))]
    lines += [(escape_markdown(found.config), name, *_cells(pairs)) for name, pairs in found.pairs.items()]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    said = f"{found.code}. Medians of {found.count} pairs, image {found.image} (height x width), {found.device}."
    return f"{table}\n{escape_markdown(' '.join([said, *found.remarks]))}\n"


def _cells(pairs: Pairs) -> Sequence[str]:
    return (
        f"{statistics.median(pairs.official):.3f}",
        f"{statistics.median(pairs.ours):.3f}",
        f"{pairs.ratio:.2f} ({min(pairs.ratios):.2f} to {max(pairs.ratios):.2f})",
        f"{100 * pairs.agreement:.2f} %",
    )
