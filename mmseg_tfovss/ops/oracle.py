"""Ground truth as an oracle's guide: not for methods but for upper bounds, in ablations."""

import torch
import torch.nn.functional as F
from torch import Tensor


def label_map(labels: Tensor, image: Tensor) -> Tensor:
    """Labels + 1 of an image, resized (to the nearest) to what the network sees; 0 is what windows are padded with.

    Args:
        labels: (1, H', W').
        image: (3, H, W).

    Returns:
        (H, W) in the image's dtype.
    """
    counted = labels[None].to(image) + 1  # (1, 1, H', W')
    return F.interpolate(counted, size=image.shape[-2:], mode="nearest-exact")[0, 0]


def patch_labels(truth: Tensor | None, patch_size: int) -> Tensor:
    """The label that most pixels of each whole patch have.

    Args:
        truth: (B, H, W), of :func:`label_map`.
        patch_size: pixels of a patch's side.

    Returns:
        (B, h w); label + 1.

    Raises:
        ValueError: there is no truth.
    """
    if truth is None:
        raise ValueError(
            "model.recovery='within_ground_truth' is an oracle, for an ablation only: it looks at the labels of every"
            " image that it is to label, and here are none. Use tfovss test on a dataset, or another recovery."
        )
    rows, columns = (pixels // patch_size * patch_size for pixels in truth.shape[1:])
    patches = truth[:, :rows, :columns].unfold(1, patch_size, patch_size).unfold(2, patch_size, patch_size)
    return patches.flatten(3).mode(dim=-1).values.flatten(1)  # (B, h, w, p p) -> (B, h w)


def keep_within_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """Let every patch attend to the patches of its own label only; the class token attends to all tokens.

    Args:
        scores: (B, 1 + N, 1 + N), before the softmax, the class token first.
        labels: (B, N) of the patches.

    Returns:
        The scores, -inf where there is to be no attention.
    """
    elsewhere = labels[:, :, None] != labels[:, None]  # (B, N, N)
    elsewhere = F.pad(elsewhere, (1, 0), value=True)  # no patch attends to the class token
    return scores.masked_fill(F.pad(elsewhere, (0, 0, 1, 0), value=False), -torch.inf)
