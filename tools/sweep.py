"""Evaluate configs for every combination of some options' values (docs/commands.md). The same as: tfovss sweep."""

from mmseg_tfovss.commands.sweep import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
