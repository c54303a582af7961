"""Open a page to play with: an image, words, methods side by side (docs/app.md). The same as: tfovss app."""

from mmseg_tfovss.commands.app import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    main()
