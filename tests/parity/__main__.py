"""Measure how far every method is from the official outputs beside this file: python -m tests.parity

Runs the tests that compare whole cases, slow ones too, and prints the greatest differences of each method as Markdown.
"""

import sys

import pytest

from tests.parity.cases import measured

ARRAYS = ("patch_logits", "seg_logits", "pred")
NO_CODE = {"LHTCLIP"}  # has no official code: with all of it switched off, it is compared as its base


def table():
    """Lines of Markdown: a row per method."""
    yield "| method | patch logits | full-size logits | labels that differ |"
    yield "| --- | --- | --- | --- |"
    for method in sorted({method for method, *_ in measured} - NO_CODE, key=str.lower):
        worst = [max((d for m, name, d in measured if (m, name) == (method, array)), default=0.0) for array in ARRAYS]
        yield f"| `{method}` | {worst[0]:.1e} | {worst[1]:.1e} | {100 * worst[2]:.3f} % |"


if __name__ == "__main__":
    code = pytest.main(["tests/methods", "-k", "official", "-m", "not gpu", "-q", "-p", "no:cacheprovider"])
    print(*table(), sep="\n")
    sys.exit(code)
