"""Collect results into leaderboard.md, .csv, .tex and .html (README: "The leaderboard")."""

import argparse
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write leaderboard.md, .csv, .tex and .html from result.json files.")
    parser.add_argument("results", nargs="+", type=Path, help="result folders, or folders of result folders")
    parser.add_argument("--out", type=Path, required=True, help="folder of the leaderboard files")
    parser.add_argument("--published", action="store_true", help="add numbers printed in papers for the same datasets")
    return parser.parse_args()


def main() -> None:
    """Write and print the leaderboard."""
    arguments = parse_arguments()
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from rich.console import Console

        from mmseg_tfovss.evaluation.leaderboard import POCKET_NOTE, load_results, published_rows, write_leaderboard
        from mmseg_tfovss.evaluation.table import print_table, summary_table

        results = load_results(arguments.results)
        published = published_rows({result["dataset"] for result in results}) if arguments.published else []
        paths = write_leaderboard(results, arguments.out, published)
        console = Console()
        print_table(summary_table(results))
        if any(result["dataset"].startswith("pocket") for result in results):
            console.print(POCKET_NOTE)
        console.print(f"Written: {', '.join(str(path) for path in paths)}", soft_wrap=True)


if __name__ == "__main__":
    main()
