"""Pictures and tables of what methods do (README: "Look at methods")."""

import argparse
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Pictures and tables of what methods do.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    methods = kinds.add_parser("methods", help="several methods on the same samples, beside the annotation")
    methods.add_argument("configs", nargs="+", help="configs with one and the same dataset")
    methods.add_argument("--samples", type=int, nargs="+", default=[0, 1, 2], help="indices into the dataset")
    methods.add_argument("--out", type=Path, required=True, help="PNG to write")
    methods.set_defaults(run=run_methods)

    patches = kinds.add_parser(
        "global-patches", help="CLIP's attention on an image, layer by layer, and what CLIPtrase makes of it"
    )
    patches.add_argument("image", type=Path)
    patches.add_argument("config", help="a config of CLIPtrase")
    patches.add_argument(
        "--layers", type=int, nargs="+", metavar="N", help="block numbers; default: the quarters and the last two"
    )
    patches.add_argument(
        "--patch", type=int, nargs=2, metavar=("ROW", "COLUMN"), help="from 0; default: the one in the middle"
    )
    patches.add_argument("--out", type=Path, help="PNG; default: work_dirs/analysis/<image>_global_patches.png")
    patches.set_defaults(run=run_global_patches)

    sweep = kinds.add_parser("sweep", help="evaluate a config for every combination of some options' values")
    sweep.add_argument("config", help="a config with a dataset")
    sweep.add_argument(
        "--set",
        dest="swept",
        action="append",
        required=True,
        metavar="KEY=VALUE,VALUE,...",
        help="an option and its values, e.g. model.eps=0.5,0.7,0.9; may be repeated",
    )
    sweep.add_argument("--samples", type=int, metavar="N", help="evaluate the first N images; default: all")
    sweep.add_argument("--out", type=Path, help="folder; default: work_dirs/analysis/<config name>_sweep")
    sweep.add_argument(
        "--cache", type=float, default=4.0, metavar="GIB", help="memory for what combinations share; default: 4"
    )
    sweep.set_defaults(run=run_sweep)

    for kind in (methods, patches, sweep):
        kind.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    for kind in (patches, sweep):
        kind.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def run_methods(arguments: argparse.Namespace) -> None:
    """Several methods on the same samples."""
    from mmseg_tfovss.analysis.method_grid import draw_method_grid
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.whole_file import whole_file

    configs = [load_config(path) for path in arguments.configs]
    picture = draw_method_grid(configs, arguments.samples, arguments.device)
    with whole_file(arguments.out) as scratch:
        picture.save(scratch)


def run_global_patches(arguments: argparse.Namespace) -> None:
    """CLIP's attention, and what CLIPtrase makes of it."""
    from mmseg_tfovss.analysis.global_patches_picture import draw_global_patches
    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.whole_file import whole_file

    config = load_config(arguments.config, parse_options(arguments.cfg_options))
    patch = tuple(arguments.patch) if arguments.patch else None
    figure = draw_global_patches(config, arguments.image, arguments.device, arguments.layers, patch)
    out = arguments.out or Path(f"work_dirs/analysis/{arguments.image.stem}_global_patches.png")
    with whole_file(out) as scratch:
        figure.savefig(scratch)
    print(f"Written: {out}")


def run_sweep(arguments: argparse.Namespace) -> None:
    """All combinations of some options' values."""
    import numpy as np

    from mmseg_tfovss.analysis.sweep import parse_swept, sweep
    from mmseg_tfovss.analysis.sweep_picture import PICTURE_NAME, draw_sweep
    from mmseg_tfovss.analysis.sweep_table import TABLE_NAME
    from mmseg_tfovss.cli import parse_options
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.whole_file import whole_file

    options, swept = parse_options(arguments.cfg_options), parse_swept(arguments.swept)
    config = load_config(arguments.config, options)
    folder = arguments.out or Path(f"work_dirs/analysis/{config.run_name}_sweep")
    cache = int(arguments.cache * 2**30)
    rows = sweep(arguments.config, options, swept, folder, arguments.device, arguments.samples, cache)
    best = max(rows, key=lambda row: float(row["mIoU"]))
    print(f"Best mIoU: {float(best['mIoU']):.2f} with {', '.join(f'{key}={best[key]}' for key in swept)}")
    print(f"Written: {folder / TABLE_NAME}")
    if len(swept) <= 2:
        scores = np.array([float(row["mIoU"]) for row in rows]).reshape([len(values) for values in swept.values()])
        title = f"{config.run_name}, {best['images']} images"
        with whole_file(folder / PICTURE_NAME) as scratch:
            draw_sweep(swept, scores, "mIoU", title).savefig(scratch)
        print(f"Written: {folder / PICTURE_NAME}")


def main() -> None:
    """Run the command."""
    arguments = parse_arguments()
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from mmengine.device import get_device

        arguments.device = arguments.device or get_device()
        arguments.run(arguments)


if __name__ == "__main__":
    main()
