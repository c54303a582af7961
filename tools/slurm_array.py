"""Evaluate many configs as an array job, or here (docs/clusters.md). The same as: tfovss array."""

import sys
from pathlib import Path

from mmseg_tfovss.commands import array
from mmseg_tfovss.commands.array import parse_arguments

__all__ = ["main", "parse_arguments"]

TEST = [sys.executable, str(Path(__file__).absolute().with_name("test.py"))]


def main() -> None:
    """Run the command; every config is evaluated by the tool beside this one."""
    array.main(test=TEST)


if __name__ == "__main__":
    main()
