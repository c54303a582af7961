"""One block of CLIP as RF-CLIP's text has it: attention and channels taken from distractors (arXiv:2511.16170).

On patches x (N, D) and per image, with W = mean over heads of softmax(k k^T / sqrt(d)):
    token i is a distractor if max_{j in channels} x_i[j] / sum_k x_i[k] > sigma / D
    y_1 = Fiedler vector of the patches of W;   token i is defocused if y_1[i] > mean(y_1)
    attention:   columns of distractors are multiplied by 1 - beta; what they lose goes to the columns of defocused
    tokens, in proportion to their weights
    embedding:   in ``channels``, a distractor gets its 8 neighbours' mean, after the feed-forward

Assumed, where the text as known here leaves it open: distractors are found in a block's input and serve for both steps;
W is symmetrised; the sign of y_1 is such that its largest entry is positive; distractors are not defocused, and without
defocused tokens nothing moves; neighbours count where they are in the image, distractors or not.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid, Projections
from mmseg_tfovss.ops.distractors import find_distractors, redistribute_attention, replace_channels
from mmseg_tfovss.ops.graph import fiedler_vector


def refocused_block(
    block: CLIPBlock,
    tokens: Tensor,
    projections: Projections,
    grid: Grid,
    channels: Sequence[int],
    sigma: float,
    beta: float,
) -> Tensor:
    """A block with both redistributions.

    Args:
        block: the block.
        tokens: its input, (B, 1 + N, D), class token first.
        projections: query, key and value of the tokens, each (B, heads, 1 + N, d).
        grid: rows and columns of the N patches.
        channels: the distraction channels.
        sigma: a distractor's channel has more than so many times the mean of all channels.
        beta: share of attention that distractors lose.

    Returns:
        Its output, (B, 1 + N, D).
    """
    query, key, value = projections
    distractors = find_distractors(tokens[:, 1:], channels, sigma, shifted=False)  # (B, N)
    attention = block.attention_weights(query, key)  # (B, heads, 1 + N, 1 + N)
    if distractors.shape[1] > 1:
        cut = fiedler_vector(block.attention_weights(key, key)[..., 1:, 1:].mean(dim=1))  # y_1, (B, N)
        defocused = (cut > cut.mean(dim=1, keepdim=True)) & ~distractors
        sources, targets = (F.pad(which, (1, 0)) for which in (distractors, defocused))  # not the class token
        attention = redistribute_attention(attention, sources, targets, beta)
    tokens = tokens + block.merge_heads(attention.to(value.dtype) @ value)
    tokens = tokens + block.feed_forward(tokens)
    return torch.cat([tokens[:, :1], replace_channels(tokens[:, 1:], distractors, grid, channels)], dim=1)
