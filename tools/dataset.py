"""Make configs for a dataset of your own (docs/own_data.md). The same as: tfovss dataset."""

from mmseg_tfovss.commands.dataset import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
