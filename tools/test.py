"""Evaluate a config and write result.json (docs/commands.md). The same as: tfovss test."""

from mmseg_tfovss.commands.test import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
