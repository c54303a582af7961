"""Make benchmarks of their official archives, or check them (docs/datasets.md). The same as: tfovss prepare."""

from mmseg_tfovss.commands.prepare import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
