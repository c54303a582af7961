"""Fetch what configs need on a machine without network (docs/reproduce.md)."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg_tfovss.cli import add_cfg_options
from mmseg_tfovss.cores import cores

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Fetch what configs need on a machine without network: weights, text features and, with --data,"
        " datasets. What is there is not fetched again.",
    )
    parser.add_argument(
        "--for",
        dest="configs",
        nargs="+",
        required=True,
        metavar="CONFIG",
        help="configs: files, or names such as sclip_vit-b16_voc21",
    )
    parser.add_argument("--data", action="store_true", help="also fetch and prepare their datasets")
    parser.add_argument(
        "--archives",
        type=Path,
        help="with --data: folder of the datasets' archives, or of what they unpack to (default: data/archives)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_cfg_options(parser, "settings of all configs, e.g. model.backbone.pretrained=FILE")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Fetch, or say what would be fetched."""
    arguments = parse_arguments(argv, prog)
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        if arguments.archives and not arguments.data:
            raise ValueError("--archives has no effect without --data.")
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line says."""
    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.downloads.fetching import fetch_weights, make_datasets, make_plan, refuse_missing
    from mmseg_tfovss.downloads.settings import offline_settings

    options = parse_options(arguments.cfg_options)
    configs = [load_config(name, options) for name in arguments.configs]
    archives = arguments.archives or Path("data/archives")
    plan = make_plan(configs, archives, data=arguments.data, ask=not arguments.dry_run)
    say(f"Needed by {', '.join(config.run_name for config in configs)}:", *plan.lines)
    faults: list[str] = []
    attempt = partial(_noted, faults)
    if not arguments.dry_run:
        fetch_weights(plan, say, attempt)
    for config in configs:
        with attempt():
            say(_text(config, dry_run=arguments.dry_run))
    if not arguments.dry_run:
        make_datasets(plan, cores(), say, attempt)
    say("On a machine without network, with these folders at the same places:")
    say(*(f"  {line}" for line in offline_settings(configs, hub=any(need.repository for need in plan.needs))))
    if not arguments.dry_run:
        refuse_missing(plan, faults)  # only now: all else is here


@contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    """Keep the sentence of an error for the end: it does not keep the rest from being fetched."""
    from mmseg_tfovss.cli import sentence

    try:
        yield
    except (OSError, ValueError) as error:
        faults.append(sentence(error))


def _text(config: "Config", *, dry_run: bool) -> str:
    """Compute a config's text features: what was done, or would be."""
    from rich.filesize import decimal

    from mmseg_tfovss.downloads.needs import clips_of
    from mmseg_tfovss.downloads.plan import plan_weights
    from mmseg_tfovss.downloads.text import cache_text_features, text_folder

    if dry_run:
        return f"Text features of {config.run_name}: would be computed into {text_folder(config)}"
    absent = [item.name for item in plan_weights(clips_of(config), ask=False) if item.state != "here"]
    if absent:
        return f"Text features of {config.run_name}: not computed, because {' and '.join(absent)} is not here"
    done = cache_text_features(config)
    files = "1 file" if done.new == 1 else f"{done.new} files"
    new = f"{files}, {decimal(done.size)}" if done.new else "already there"
    words = f"{done.queries} words in {done.templates} templates"
    return f"Text features of {config.run_name}: {words}: {new} in {done.folder}"
