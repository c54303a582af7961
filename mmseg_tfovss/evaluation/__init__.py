"""What a run is worth: confusion counts, scores, the result file and the leaderboard."""

from mmseg_tfovss.evaluation.metric import SegmentationMetric

__all__ = ["SegmentationMetric"]
