"""Segment images with several methods and put them side by side (docs/commands.md).

The same as: tfovss compare.
"""

from mmseg_tfovss.commands.compare import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
