"""Time a config stage by stage on one image (README: "Speed")."""

import argparse
import tempfile
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Seconds per stage, images per second, memory, parameters and FLOPs.")
    parser.add_argument("config")
    parser.add_argument("--image", type=Path, help="default: random noise of --size, as JPEG")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--random-weights", action="store_true", help="no checkpoint, no text tower: timing only")
    parser.add_argument("--precision", nargs="+", default=["fp32"], help="compared with the first: fp32 bf16 fp16")
    parser.add_argument("--device", help="cpu or cuda; default: the GPU if there is one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def main() -> None:
    """Time and print."""
    arguments = parse_arguments()
    from mmseg_tfovss.cli import parse_options, user_errors

    with user_errors(), tempfile.TemporaryDirectory() as scratch:
        from mmengine.device import get_device

        from mmseg_tfovss.analysis.benchmark import benchmark_table, make_noise_image, time_stages, use_random_text
        from mmseg_tfovss.config import load_config
        from mmseg_tfovss.engine.single import build_method, config_resize
        from mmseg_tfovss.evaluation.table import print_table

        config = load_config(arguments.config, parse_options(arguments.cfg_options))
        if arguments.random_weights:
            config.model.backbone.pretrained = None
        if arguments.repeats < 1:
            raise ValueError(f"--repeats must be at least 1, but got {arguments.repeats}.")
        image = arguments.image or make_noise_image(Path(scratch) / "noise.jpg", arguments.size)
        timings = {}
        for precision in arguments.precision:
            config.model.precision = precision
            model = build_method(config, arguments.device or get_device())
            if arguments.random_weights:
                use_random_text(model)
            timings[precision] = time_stages(model, image, config_resize(config), arguments.repeats)
        print_table(benchmark_table(Path(arguments.config).stem, timings))


if __name__ == "__main__":
    main()
