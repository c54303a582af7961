"""Pictures and tables of what methods do (docs/commands.md)."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_tfovss.cli import add_cfg_options


def parse_arguments(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=prog, description="Pictures and tables of what methods do.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    methods = kinds.add_parser("methods", help="several methods on the same samples, beside the annotation")
    methods.add_argument("configs", nargs="+", help="configs with one and the same dataset")
    methods.add_argument(
        "--samples", type=int, action="extend", nargs="+", help="indices into the dataset; default: 0 1 2"
    )
    methods.add_argument("--out", type=Path, required=True, help="PNG to write")
    methods.set_defaults(run=run_methods)

    patches = kinds.add_parser(
        "global-patches", help="CLIP's attention on an image, layer by layer, and what CLIPtrase makes of it"
    )
    patches.add_argument("image", type=Path)
    patches.add_argument("config", help="a config of CLIPtrase")
    patches.add_argument(
        "--layers",
        type=int,
        action="extend",
        nargs="+",
        metavar="N",
        help="block numbers; default: the quarters and the last two",
    )
    patches.add_argument(
        "--patch", type=int, nargs=2, metavar=("ROW", "COLUMN"), help="from 0; default: the one in the middle"
    )
    patches.add_argument("--out", type=Path, help="PNG; default: work_dirs/analysis/<image>_global_patches.png")
    patches.set_defaults(run=run_global_patches)

    discriminability, dslo = add_discriminability(kinds), add_dslo(kinds)
    add_headroom(kinds)
    for kind in (methods, patches, discriminability, *dslo):
        kind.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    for kind in (patches, discriminability, *dslo):
        add_cfg_options(kind)
    return parser.parse_args(argv)


def add_discriminability(kinds: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """LHT-CLIP's analysis and the ranking made from it; the first one's parser."""
    analysis = kinds.add_parser(
        "discriminability", help="what CLIP's layers and heads know about space and meaning, and its abnormal tokens"
    )
    analysis.add_argument("config", help="a config with a dataset")
    analysis.add_argument("--split", default="val", metavar="NAME", help="val (default), train, ...")
    analysis.add_argument("--max-images", type=int, metavar="N", help="draw N images at random; default: all")
    analysis.add_argument(
        "--sample-pairs", type=int, metavar="M", help="draw M pairs of patches per image; default: all, exactly"
    )
    analysis.add_argument("--seed", type=int, default=0, help="of both draws; default: 0")
    analysis.add_argument("--tau", type=float, default=0.5, help="Hoyer score of abnormal tokens; default: 0.5")
    analysis.add_argument("--include-last", action="store_true", help="take the last block as well")
    analysis.add_argument(
        "--out", type=Path, help="folder; default: work_dirs/analysis/<config name>_discriminability_<split>"
    )
    analysis.set_defaults(run=run_discriminability)
    ranking = kinds.add_parser("rank-heads", help="rank CLIP's heads by their discriminability on several datasets")
    ranking.add_argument("results", nargs="+", type=Path, metavar="RESULT.json", help="of discriminability")
    ranking.add_argument("--out", type=Path, help="file; default: in the cache, where LHT-CLIP finds it by itself")
    ranking.add_argument("--picture", type=Path, help="PNG of the layers and heads on all datasets; default: none")
    ranking.set_defaults(run=run_rank_heads, device="cpu")
    return analysis


def add_dslo(kinds: argparse._SubParsersAction) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """DSLO's maps of one image, and the test of its hypothesis on a dataset."""
    maps = kinds.add_parser("discrepancy", help="what DSLO makes of an image, class by class, step by step")
    maps.add_argument("image", type=Path)
    maps.add_argument("config", help="a config of DSLO")
    maps.add_argument("--max-classes", type=int, default=6, metavar="N", help="rows at most; default: 6")
    maps.add_argument("--short-side", type=int, help="resize the image to it first; default: the config's")
    maps.add_argument("--out", type=Path, help="PNG; default: work_dirs/analysis/<image>_discrepancy.png")
    maps.set_defaults(run=run_discrepancy)
    hypothesis = kinds.add_parser(
        "hypothesis", help="whether DSLO's distance to uniform is as good as that to the ground truth"
    )
    hypothesis.add_argument("config", help="a config of DSLO with a dataset")
    hypothesis.add_argument("--max-images", type=int, metavar="N", help="draw N images at random; default: all")
    hypothesis.add_argument("--seed", type=int, default=0, help="of the draw; default: 0")
    hypothesis.add_argument(
        "--smoothing", type=float, default=0.1, metavar="S", help="uniform share of the ground truth; default: 0.1"
    )
    hypothesis.add_argument("--out", type=Path, help="folder; default: work_dirs/analysis/<config name>_hypothesis")
    hypothesis.set_defaults(run=run_hypothesis)
    return maps, hypothesis


def add_headroom(kinds: argparse._SubParsersAction) -> None:
    """The comparison of DSLO's readings where there is something to gain."""
    headroom = kinds.add_parser(
        "headroom", help="which reading of DSLO's equations scores best on planted logits and graphs"
    )
    headroom.add_argument("--scenes", type=int, default=100, metavar="N", help="pocket scenes; default: 100")
    headroom.add_argument(
        "--auc", type=float, action="extend", nargs="+", metavar="A", help="of the planted graphs; default: 0.86 0.96"
    )
    headroom.add_argument(
        "--theta", type=float, default=0.5, metavar="T", help="smallest class probability that counts; default: 0.5"
    )
    headroom.add_argument(
        "--logit-noise", type=float, default=0.0135, metavar="S", help="standard deviation on cosines; default: 0.0135"
    )
    headroom.add_argument(
        "--upsampling", default="none", metavar="HOW", help="of the scores: none (default), bilinear or jbu"
    )
    headroom.add_argument("--seed", type=int, default=0, help="of all draws; default: 0")
    headroom.add_argument("--no-diffusion", action="store_true", help="leave the bundled Stable Diffusion's graph out")
    headroom.add_argument("--out", type=Path, help="folder; default: work_dirs/analysis/headroom")
    headroom.set_defaults(run=run_headroom, device="cpu")


def run_methods(arguments: argparse.Namespace) -> None:
    """Several methods on the same samples."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.pictures.method_grid import draw_method_grid
    from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file

    check_target(arguments.out, "--out", PICTURE_ENDINGS)
    configs = [load_config(path) for path in arguments.configs]
    picture = draw_method_grid(configs, arguments.samples or [0, 1, 2], arguments.device)
    with whole_file(arguments.out) as scratch:
        picture.save(scratch)
    say(f"Written: {arguments.out}")


def run_global_patches(arguments: argparse.Namespace) -> None:
    """CLIP's attention, and what CLIPtrase makes of it."""
    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.pocket.files import ensure_pocket_file
    from mmseg_tfovss.studies.global_patches.picture import draw_global_patches
    from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file

    out = arguments.out or Path(f"work_dirs/analysis/{arguments.image.stem}_global_patches.png")
    check_target(out, "--out", PICTURE_ENDINGS)
    config = load_config(arguments.config, parse_options(arguments.cfg_options))
    patch = tuple(arguments.patch) if arguments.patch else None
    ensure_pocket_file(arguments.image)
    figure = draw_global_patches(config, arguments.image, arguments.device, arguments.layers, patch)
    with whole_file(out) as scratch:
        figure.savefig(scratch)
    say(f"Written: {out}")


def command_line(arguments: argparse.Namespace) -> str:
    """This command, to be recorded."""
    return f"{arguments.prog or 'python tools/analyze.py'} {shlex.join(arguments.argv)}"


def run_discriminability(arguments: argparse.Namespace) -> None:
    """What CLIP's layers and heads know."""
    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.studies.discriminability.picture import save_pictures
    from mmseg_tfovss.studies.discriminability.study import HEADS_NAME, LAYERS_NAME, RESULT_NAME, Options, analyse

    config = load_config(arguments.config, parse_options(arguments.cfg_options))
    options = Options(
        split=arguments.split,
        max_images=arguments.max_images,
        sample_pairs=arguments.sample_pairs,
        seed=arguments.seed,
        tau=arguments.tau,
        include_last=arguments.include_last,
    )
    folder = arguments.out or Path(f"work_dirs/analysis/{config.run_name}_discriminability_{arguments.split}")
    result = analyse(config, folder, arguments.device, options, command_line(arguments))
    pictures = save_pictures(result, folder)
    best = max(result["layers"], key=lambda layer: layer["VD"])
    say(f"Best layer: block {best['block']} with VD {best['VD']:.4f}, over {result['images']} images")
    for name in (RESULT_NAME, LAYERS_NAME, HEADS_NAME, *pictures):
        say(f"Written: {folder / name}")


def run_rank_heads(arguments: argparse.Namespace) -> None:
    """One ranking from several datasets."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.encoders.head_ranking import own_ranking_path
    from mmseg_tfovss.studies.discriminability.picture import draw_comparison
    from mmseg_tfovss.studies.discriminability.rank_heads import rank_heads, read_results, write_ranking
    from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file

    if arguments.picture:
        check_target(arguments.picture, "--picture", PICTURE_ENDINGS)
    results = read_results(arguments.results)
    ranking = rank_heads(results, command_line(arguments))
    out = arguments.out or own_ranking_path(ranking["weights_hash"])
    write_ranking(ranking, out)
    best = ", ".join(f"{block}.{head}" for block, head, _ in ranking["heads"][:10])
    say(f"Best heads (block.head): {best}")
    say(f"Written: {out}")
    if arguments.picture:
        with whole_file(arguments.picture) as scratch:
            draw_comparison(results).savefig(scratch)
        say(f"Written: {arguments.picture}")


def run_discrepancy(arguments: argparse.Namespace) -> None:
    """DSLO's maps of one image."""
    from mmseg_tfovss.cli import add_short_side, parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.pocket.files import ensure_pocket_file
    from mmseg_tfovss.studies.discrepancy.picture import draw_discrepancy
    from mmseg_tfovss.whole_file import PICTURE_ENDINGS, check_target, whole_file

    out = arguments.out or Path(f"work_dirs/analysis/{arguments.image.stem}_discrepancy.png")
    check_target(out, "--out", PICTURE_ENDINGS)
    options = parse_options(arguments.cfg_options)
    add_short_side(options, arguments.short_side)
    config = load_config(arguments.config, options)
    ensure_pocket_file(arguments.image)
    figure = draw_discrepancy(config, arguments.image, arguments.device, arguments.max_classes)
    with whole_file(out) as scratch:
        figure.savefig(scratch)
    say(f"Written: {out}")


def run_hypothesis(arguments: argparse.Namespace) -> None:
    """The test of DSLO's hypothesis."""
    from mmseg_tfovss.cli import parse_options, say
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.studies.hypothesis.maps import SCENARIOS
    from mmseg_tfovss.studies.hypothesis.report import NAMES
    from mmseg_tfovss.studies.hypothesis.study import Options, analyse

    options = Options(arguments.max_images, arguments.seed, arguments.smoothing)
    config = load_config(arguments.config, parse_options(arguments.cfg_options))
    folder = arguments.out or Path(f"work_dirs/analysis/{config.run_name}_hypothesis")
    result = analyse(config, folder, arguments.device, options, command_line(arguments))
    for name, label in SCENARIOS.items():
        say(f"{label}: {result['scenarios'][name]['mIoU']:.2f} mIoU")
    for name in NAMES:
        say(f"Written: {folder / name}")


def run_headroom(arguments: argparse.Namespace) -> None:
    """The comparison of DSLO's readings."""
    from mmseg_tfovss.cli import say
    from mmseg_tfovss.studies.headroom.report import NAMES, summary_lines
    from mmseg_tfovss.studies.headroom.study import Options, analyse

    options = Options(
        scenes=arguments.scenes,
        aucs=tuple(arguments.auc or Options.aucs),
        theta=arguments.theta,
        logit_noise=arguments.logit_noise,
        seed=arguments.seed,
        diffusion=not arguments.no_diffusion,
        upsampling=arguments.upsampling,
    )
    folder = arguments.out or Path("work_dirs/analysis/headroom")
    say(*summary_lines(analyse(folder, options, command_line(arguments))))
    for name in NAMES:
        say(f"Written: {folder / name}")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run the command."""
    arguments = parse_arguments(argv, prog)
    arguments.argv, arguments.prog = sys.argv[1:] if argv is None else argv, prog
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from mmengine.device import get_device

        arguments.device = arguments.device or get_device()
        arguments.run(arguments)
