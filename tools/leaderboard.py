"""Collect results into leaderboard.md, .csv, .tex and .html (docs/leaderboard.md).

The same as: tfovss leaderboard.
"""

from mmseg_tfovss.commands.leaderboard import main, parse_arguments

__all__ = ["main", "parse_arguments"]

if __name__ == "__main__":
    raise SystemExit(main())
