"""Pictures and tables of what methods do (docs/commands.md). The same as: tfovss analyze."""

from mmseg_tfovss.commands.analyze import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
