"""Measure how far every method is from the official outputs beside this file: python -m tests.parity [--device cuda]

Runs the tests that compare whole cases, slow ones too, and prints the greatest differences of each method as Markdown.
On another device than the CPU no difference is too large; CLIPtrase, whose steps are compared one by one, is left out.
"""

import argparse
import os
import sys

import pytest

ARRAYS = ("patch_logits", "seg_logits", "pred")
NO_CODE = {"LHTCLIP"}  # has no official code: with all of it switched off, it is compared as its base


def table():
    """Lines of Markdown: a row per method."""
    from tests.parity.cases import measured

    yield "| method | patch logits | full-size logits | labels that differ |"
    yield "| --- | --- | --- | --- |"
    for method in sorted({method for method, *_ in measured} - NO_CODE, key=str.lower):
        worst = [max((d for m, name, d in measured if (m, name) == (method, array)), default=0.0) for array in ARRAYS]
        yield f"| `{method}` | {worst[0]:.1e} | {worst[1]:.1e} | {100 * worst[2]:.3f} % |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description="Greatest differences of each method.")
    parser.add_argument("--device", default="cpu", help="where ours run; default: cpu")
    device = parser.parse_args().device
    os.environ["MMSEG_TFOVSS_PARITY_DEVICE"] = device  # before tests.parity.cases is imported
    chosen = "official" if device == "cpu" else "equals_official_code and not cliptrase"
    code = pytest.main(["tests/methods", "-k", chosen, "-m", "not gpu", "-q", "-p", "no:cacheprovider"])
    print(*table(), sep="\n")
    sys.exit(code)
