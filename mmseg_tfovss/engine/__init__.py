"""Running a test: preparation, progress, provenance."""

from mmseg_tfovss.engine.distributed import FrozenModel
from mmseg_tfovss.engine.progress import ProgressHook

__all__ = ["FrozenModel", "ProgressHook"]
