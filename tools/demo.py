"""Segment one image with any words (docs/commands.md). The same as: tfovss demo."""

from mmseg_tfovss.commands.demo import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
