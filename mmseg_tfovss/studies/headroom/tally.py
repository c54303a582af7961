"""What is known after some images: how good the planted things are, and what every reading has labelled right."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.evaluation.scores import compute_scores, confusion_counts
from mmseg_tfovss.studies.headroom.readings import LOGITS, Reading

NO_GRAPH = ""  # where a graph's name would stand
_LOGITS, _UPPER = (NO_GRAPH, Reading(LOGITS)), (NO_GRAPH, None)


class Tally:
    """Counts of patches by true and found class, for each reading on each graph; its size does not depend on images.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.patches = self.confident = self.right = 0
        self._auc: defaultdict[str, list[float]] = defaultdict(list)
        self._confusion: dict[tuple[str, Reading | None], Tensor] = {}

    def add_labels(self, reading: Reading | None, graph: str, labels: Tensor, truth: Tensor) -> None:
        """Compare one image's labels with the truth.

        Args:
            reading: what gave them; ``None``: the upper line, which knows the true regions.
            graph: name of what it was solved on, or :data:`NO_GRAPH`.
            labels: found classes of the patches (N,).
            truth: true ones (N,).
        """
        counts = confusion_counts(labels, truth, self.classes, None)
        key = (graph, reading)
        self._confusion[key] = self._confusion[key] + counts if key in self._confusion else counts

    def add_confidence(self, confidence: Tensor, right: Tensor, theta: float) -> None:
        """Count the patches that are confident enough to have mass.

        Args:
            confidence: of the likeliest class at each patch (N,).
            right: (N,) bool, whether that is the true one.
            theta: how much is enough.
        """
        counted = confidence >= theta
        self.patches += len(counted)
        self.confident += int(counted.sum())
        self.right += int((right & counted).sum())

    def add_graph(self, name: str, auc: float) -> None:
        """Take in the quality of one image's graph."""
        self._auc[name].append(auc)

    def summary(self) -> dict[str, Any]:
        """Of all images: the quality of what was planted, and a row of scores per reading and graph."""
        scores = {key: compute_scores(counts).summary for key, counts in self._confusion.items()}
        start = scores[_LOGITS]["mIoU"]
        rows = [
            {
                "graph": graph,
                **reading.options,
                "is_default": reading.is_default,
                "mIoU": found["mIoU"],
                "pAcc": found["pAcc"],
                "gain": found["mIoU"] - start,
            }
            for (graph, reading), found in scores.items()
            if reading is not None
        ]
        return {
            "patches": self.patches,
            "confident_share": self.confident / self.patches,
            "confident_and_right_share": self.right / self.patches,
            "logits_mIoU": start,
            "upper_mIoU": scores[_UPPER]["mIoU"],
            "graph_auc": {name: torch.tensor(aucs).mean().item() for name, aucs in self._auc.items()},
            "readings": rows,
        }
