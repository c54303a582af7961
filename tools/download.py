"""Fetch what configs need on a machine without network (docs/reproduce.md). The same as: tfovss download."""

from mmseg_tfovss.commands.download import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
