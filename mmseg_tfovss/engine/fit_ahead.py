"""Let the processes that load images also bring them to the size at which the network sees them."""

from typing import Any

from torch.utils.data import DataLoader

from mmseg_tfovss.encoders.fitting import Fitting, FittingCollate
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor


def fit_while_loading(loader: DataLoader[Any], model: Any) -> None:  # noqa: ANN401
    """Have a loader's batches fitted for a model, unless its preprocessor has ways of its own, or nothing to do.

    Args:
        loader: before it is iterated.
        model: a method.
    """
    preprocessor = getattr(model, "data_preprocessor", None)
    if type(preprocessor) is CLIPPreprocessor and preprocessor.fitting != Fitting():
        loader.collate_fn = FittingCollate(loader.collate_fn, preprocessor.fitting)
