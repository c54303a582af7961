"""Repeat a published number: fetch, run, compare (docs/reproduce.md). The same as: tfovss reproduce."""

from mmseg_tfovss.commands.reproduce import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    raise SystemExit(main())
