"""``python -m mmseg_tfovss COMMAND ...``."""

from mmseg_tfovss.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
