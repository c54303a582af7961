"""CLIPtrase's semantic correlation of patches, and its denoising. Shao et al., ECCV 2024, arXiv:2407.08268."""

import torch
import torch.nn.functional as F
from torch import Tensor

SIMILARITIES = ("cosine", "inner")
DENOISINGS = ("cls_subtraction", "self_weight", "none")


def semantic_correlation(
    projections: tuple[Tensor, ...], similarity: str = "cosine", *, per_head: bool = True
) -> Tensor:
    """Mean of the self-similarities of queries, keys and values (Eq. 3; Eq. 14 with ``per_head=False``).

    A mean of similarities over heads and projections is the similarity of all their vectors side by side, so this is
    one matrix product: nothing of heads x L x L is made.

    Args:
        projections: query, key, value, each (B, heads, L, d).
        similarity: ``cosine``, or ``inner`` (products divided by sqrt(d)).
        per_head: compare the vectors of each head; otherwise the heads' concatenated vectors.

    Returns:
        (B, L, L), at least float32.
    """
    vectors = torch.stack(projections, dim=1)  # (B, 3, heads, L, d)
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    if not per_head:
        vectors = vectors.transpose(2, 3).flatten(3).unsqueeze(2)  # (B, 3, 1, L, heads * d)
    parts = vectors.shape[1] * vectors.shape[2]
    scale = 1.0
    if similarity == "cosine":
        vectors = F.normalize(vectors, dim=-1, eps=1e-8)
    else:
        scale = vectors.shape[-1] ** -0.5
    side_by_side = vectors.flatten(1, 2).transpose(1, 2).flatten(2)  # (B, L, 3 * heads * d)
    return side_by_side @ side_by_side.transpose(1, 2) * (scale / parts)


def denoise(correlation: Tensor, rule: str) -> tuple[Tensor, Tensor]:
    """Take the influence of "global" patches out of a correlation matrix with the class token first.

    ``cls_subtraction`` (official code): B_ij = max(w_ij - w_0j, 0), what a patch has in common with every image.
    ``self_weight`` (Eq. 7): patch i is global, and left out of the clustering, if its mean correlation with all patches
    exceeds that with itself. With cosines it never does: w_ii = 1 is the largest value there is.

    Args:
        correlation: (B, 1 + N, 1 + N).
        rule: one of :data:`DENOISINGS`.

    Returns:
        The patches' rows (B, N, N), and which of them (B, N) are local, that is, to be clustered.
    """
    patches = correlation[:, 1:, 1:]
    local = torch.ones(patches.shape[:2], dtype=torch.bool, device=patches.device)
    if rule == "cls_subtraction":
        return (patches - correlation[:, :1, 1:]).clamp_min(0), local
    if rule == "self_weight":
        local = patches.mean(dim=2) <= patches.diagonal(dim1=1, dim2=2)
    return patches, local
