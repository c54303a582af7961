"""MMSegmentation's datasets, without the line about an optional package that they print on their first import."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    import mmseg.datasets  # noqa: F401

from mmseg.datasets import BaseSegDataset

__all__ = ["BaseSegDataset"]
