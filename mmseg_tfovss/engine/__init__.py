"""Running a test: preparation, the resumable loop, several processes, progress, provenance."""

from mmseg_tfovss.engine.distributed import FrozenModel
from mmseg_tfovss.engine.loop import ResumableTestLoop
from mmseg_tfovss.engine.progress import ProgressHook

__all__ = ["FrozenModel", "ProgressHook", "ResumableTestLoop"]
