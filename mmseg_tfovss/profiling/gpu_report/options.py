"""The options of the command that makes a report."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.engine.single import find_device, read_image
from mmseg_tfovss.profiling.gpu_report.bench import LEAVES
from mmseg_tfovss.profiling.gpu_report.pages import MARKDOWN
from mmseg_tfovss.profiling.gpu_report.run import Report
from mmseg_tfovss.whole_file import check_target

_WITH_REPORT = ("minutes", "report_network")
_SHARED = ("gpu_report", "device", "image", "size")
_DEFAULT_MINUTES, _DEFAULT_NETWORK = 7.0, "ViT-B-16"


def check_options(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse options that would not act.

    Args:
        given: of the command line.
        defaults: of a command line without options.

    Raises:
        ValueError: an option of the report without ``--gpu-report``, another one with it, or one out of range.
    """
    folder = given["gpu_report"]
    if folder is None:
        for name in _WITH_REPORT:
            if given[name] is not None:
                raise ValueError(f"{_flag(name)} is about the report of --gpu-report: give both.")
        return
    for name in given.keys() - {*_WITH_REPORT, *_SHARED}:
        if given[name] != defaults[name]:
            shown = "the configs" if name == "configs" else _flag(name)
            raise ValueError(f"--gpu-report chooses what it measures: leave out {shown}.")
    _check_values(folder, given["minutes"], given["report_network"])
    if given["device"] is None and not torch.cuda.is_available():
        raise ValueError(
            "--gpu-report: PyTorch sees no GPU here. To try the report on the CPU, add --device cpu --report-network"
            " pocket."
        )


def _check_values(folder: Path, minutes: float | None, network: str | None) -> None:
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f"--minutes must be above 0, but got {minutes}.")
    if network not in (None, *LEAVES):
        raise ValueError(f"--report-network must be one of {', '.join(LEAVES)}, but got {network}.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--gpu-report {folder} is a file: name a folder.")
    check_target(folder / MARKDOWN, "--gpu-report")


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


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
