"""NACLIP: key-key attention with a Gaussian prior on the neighbourhood. Hajimiri et al., WACV 2025, arXiv:2404.08181.

Official code: sinahmr/NACLIP @ 0cac3a6 (arch='reduced', attn_strategy='naclip').

Last block on x (1 + N tokens, per head), distances in patches:
    Omega(i, j) = exp(-|i - j|^2 / (2 sigma^2)) between patches, 0 for the class token
    x <- out_proj(softmax(k k^T / sqrt(d) + Omega) v)            (no residual, no feed-forward)
followed by 10 steps of PAMR on the cosine logits at original size.

Deviations: PAMR is tiled over queries, so it always runs; the official code leaves it out of images for which the GPU
has no memory. sigma = None switches the prior off (the paper's 'kk').
"""

from functools import lru_cache

import torch
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.encoders.clip import Grid, Projections
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.attention import Scores, gaussian_neighbourhood
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class NACLIP(OpenVocabSegmentor):
    """Attend to similar keys, and more to near ones.

    Args:
        sigma: standard deviation of the prior in patches (paper: 5), > 0; ``None`` leaves the prior out.
        pamr_steps: as in the official code, PAMR is on by default.
        whole_upsampling: as in the official code, over the resized image.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: ``sigma`` is not positive.
    """

    keeps_residual = False
    keeps_feed_forward = False

    def __init__(
        self,
        *,
        sigma: float | None = 5.0,
        pamr_steps: int = 10,
        whole_upsampling: str = "two_step",
        **kwargs: object,
    ) -> None:
        if sigma is not None and not (is_number(sigma) and sigma > 0):
            raise ValueError(f"model.sigma must be positive or None, but got {sigma!r}.")
        super().__init__(pamr_steps=pamr_steps, whole_upsampling=whole_upsampling, **kwargs)  # type: ignore[arg-type]
        self.sigma = sigma

    def scores(self, projections: Projections, stream: Stream) -> list[Scores]:
        """Key-key attention with the prior."""
        _, key, _ = projections  # each (B, heads, 1 + hw, d)
        prior = None if self.sigma is None else _prior(stream.grid, self.sigma, key.dtype, key.device)
        return [Scores(key, key, prior)]


@lru_cache(maxsize=8)
def _prior(grid: Grid, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return gaussian_neighbourhood(grid, sigma).to(device, dtype)
