"""Time configs stage by stage on one image (docs/speed.md). The same as: tfovss benchmark."""

from mmseg_tfovss.commands.benchmark import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
