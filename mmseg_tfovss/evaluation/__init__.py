"""What a run is worth: confusion counts, scores and the result file."""

from mmseg_tfovss.evaluation.cliptrase_metric import CLIPtraseMetric
from mmseg_tfovss.evaluation.metric import SegmentationMetric

__all__ = ["CLIPtraseMetric", "SegmentationMetric"]
