"""The options of the command that makes a report."""

import argparse
import math
from pathlib import Path

import torch

from mmseg_tfovss.engine.single import find_device, read_image
from mmseg_tfovss.profiling.gpu_report.bench import LEAVES
from mmseg_tfovss.profiling.gpu_report.pages import MARKDOWN
from mmseg_tfovss.profiling.gpu_report.run import Report
from mmseg_tfovss.whole_file import check_target

_DEFAULT_MINUTES, _DEFAULT_NETWORK = 7.0, "ViT-B-16"


def check_report(folder: Path, minutes: float | None, network: str | None, device: str | None) -> None:
    """Refuse a report that cannot be made.

    Args:
        folder: where it is to be written.
        minutes: that it may take, if given.
        network: its size, if given.
        device: if given.

    Raises:
        ValueError: an option out of range, or no GPU.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"--minutes must be above 0, but got {minutes}.")
    if network not in (None, *LEAVES):
        raise ValueError(f"--report-network must be one of {', '.join(LEAVES)}, but got {network}.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--gpu-report {folder} is a file: name a folder.")
    check_target(folder / MARKDOWN, "--gpu-report")
    if device is None and not torch.cuda.is_available():
        raise ValueError(
            "--gpu-report: PyTorch sees no GPU here. To try the report on the CPU, add --device cpu --report-network"
            " pocket."
        )


def report_of(arguments: argparse.Namespace, image: Path, scratch: Path) -> Report:
    """The report that the options ask for.

    Args:
        arguments: checked, with a device.
        image: that is labelled.
        scratch: folder for what is needed meanwhile.

    Raises:
        ValueError: there is no such device.
        FileNotFoundError: no such image.
    """
    read_image(image)
    return Report(
        folder=arguments.gpu_report.absolute(),
        device=find_device(arguments.device),
        network=arguments.report_network or _DEFAULT_NETWORK,
        minutes=arguments.minutes or _DEFAULT_MINUTES,
        image=image.absolute(),
        scratch=scratch,
    )
