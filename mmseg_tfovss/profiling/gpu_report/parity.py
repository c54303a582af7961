"""Whether a device gives the logits and labels that the CPU gives in float32, and a batch those of its images."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.profiling.gpu_report.bench import Bench
from mmseg_tfovss.profiling.gpu_report.deadline import Deadline
from mmseg_tfovss.profiling.gpu_report.entries import Found, Row, Section

SECTION = Section(
    title="Parity",
    about=(
        "The same networks and image on the CPU in float32 and on the device. *Difference* is the largest of all"
        " full-size logits, beside the largest logit of the CPU. *Same best word* is the share of pixels with the same"
        " largest logit, *same labels* that after thresholds and votes. The last columns compare a batch of two images"
        " with the same images one by one, on the device. In a clone, `python -m tests.parity --device cuda` compares"
        " the official outputs."
    ),
    columns={
        "method": ("method", ""),
        "precision": ("precision", ""),
        "difference": ("difference", ".2e"),
        "largest": ("largest logit", ".3g"),
        "same_queries": ("same best word", ".3%"),
        "same_labels": ("same labels", ".3%"),
        "classes": ("classes seen", "d"),
        "batch_difference": ("batch: difference", ".2e"),
        "batch_labels": ("batch: same labels", ".3%"),
    },
)
_WITH_CONVOLUTIONS = ("DSLO", "ProxyCLIP")  # beside CLIP, whose only one is computed as a matrix product


@dataclass(frozen=True)
class Answer:
    """What a method makes of an image, on the CPU: logits (Q, H, W), float32, and labels (H, W)."""

    logits: Tensor
    labels: Tensor


def compare_devices(bench: Bench, method: str, deadline: Deadline) -> Found:
    """A row for each precision.

    Args:
        bench: networks, image and device.
        method: one of its methods.
        deadline: half precisions that come after it are left out, with a remark.
    """
    [expected] = answers(bench.build(method, "fp32", torch.device("cpu")), bench.batch(1))
    for number, precision in enumerate(bench.precisions):
        if number and deadline.over():
            yield f"{method} in {' and '.join(bench.precisions[number:])}: left out, for the time was up."
            return
        model = bench.build(method, precision)
        yield _row(bench, method, precision, model, expected)
        if precision == "fp32" and bench.device.type == "cuda" and method in _WITH_CONVOLUTIONS:
            with no_tf32():
                yield _row(bench, method, "fp32, no TF32", model, expected)


@torch.inference_mode()
def answers(model: OpenVocabSegmentor, batch: Mapping[str, Any]) -> list[Answer]:
    """Label a batch, and keep the refined logits too."""
    data = model.data_preprocessor(dict(batch))
    found = []
    for assembly in model.inference_of(data["inputs"], data["data_samples"]):
        refined = model.refined(assembly)
        logits = model.dense_logits(assembly, refined).float().cpu()
        found.append(Answer(logits, model.labels_of(assembly, refined).cpu()))
    return found


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Of logits of one shape, where both are finite; infinite where only one is a number (a class is rejected)."""
    finite = one.isfinite() & other.isfinite()
    if not torch.equal(one.isfinite(), other.isfinite()):
        return float("inf")
    return (one - other)[finite].abs().max().item() if bool(finite.any()) else 0.0


def same_share(one: Tensor, other: Tensor) -> float:
    """Share of pixels with the same label."""
    return (one == other).double().mean().item()


@contextmanager
def no_tf32() -> Iterator[None]:
    """While this lasts, convolutions in float32 are computed in float32 on a GPU; by default, cuDNN rounds to TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _row(bench: Bench, method: str, precision: str, model: OpenVocabSegmentor, expected: Answer) -> Row:
    together, pair = answers(model, bench.batch(2)), bench.batch(2)
    alone = [
        answers(model, {name: [values[number]] for name, values in pair.items()})[0] for number in range(len(together))
    ]
    both = list(zip(alone, together, strict=True))
    return {
        "method": method,
        "precision": precision,
        "difference": largest_difference(alone[0].logits, expected.logits),
        "largest": expected.logits[expected.logits.isfinite()].abs().max().item(),
        "same_queries": same_share(alone[0].logits.argmax(dim=0), expected.logits.argmax(dim=0)),
        "same_labels": same_share(alone[0].labels, expected.labels),
        "classes": len(expected.labels.unique()),
        "batch_difference": max(largest_difference(one.logits, other.logits) for one, other in both),
        "batch_labels": min(same_share(one.labels, other.labels) for one, other in both),
    }
