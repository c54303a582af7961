"""Pictures of what methods do (README: "Look at methods")."""

import argparse
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Pictures of what methods do.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    methods = kinds.add_parser("methods", help="several methods on the same samples, beside the annotation")
    methods.add_argument("configs", nargs="+", help="configs with one and the same dataset")
    methods.add_argument("--samples", type=int, nargs="+", default=[0, 1, 2], help="indices into the dataset")
    methods.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    methods.add_argument("--out", type=Path, required=True, help="PNG to write")
    return parser.parse_args()


def main() -> None:
    """Draw and write the picture."""
    arguments = parse_arguments()
    from mmseg_tfovss.cli import user_errors

    with user_errors():
        from mmengine.device import get_device

        from mmseg_tfovss.analysis.method_grid import draw_method_grid
        from mmseg_tfovss.config import load_config
        from mmseg_tfovss.whole_file import whole_file

        configs = [load_config(path) for path in arguments.configs]
        picture = draw_method_grid(configs, arguments.samples, arguments.device or get_device())
        with whole_file(arguments.out) as scratch:
            picture.save(scratch)


if __name__ == "__main__":
    main()
