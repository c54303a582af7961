"""RF-CLIP: refocus attention that strays to distractors. Li et al., AAAI 2026, arXiv:2511.16170.

Official code: liblacklucy/RF-CLIP @ c2b333e, which builds on CASS (MICV-yonsei/CASS @ 228ecdd).

``refocus="code"``, the released code. In every block l of L, on patches x (N, D) of windows and whole images:
    f = x - min x;   token i is a distractor if max_{j in channels} f_i[j] / sum_k f_i[k] > sigma / D
    DENOISE:   x_i <- (1 - a) x_i + a (3x3 box around i) / 9   for distractors, a = ``denoise_alpha``
    K_l = softmax(k k^T / sqrt(d)),   class token included
U = mean over l of the blocks' outputs;   C = cosines of the patches of U, 0 below ``enhance_threshold``
FEAT-ENHANCE:   y <- C y on the patches, for y = x^{L-1} and y = U
Last block:   A = mean over l of K_l without the class token (K_L of LN1(y));   x = out_proj(mean over both y of A v)
and no residual, no feed-forward. CLS of block L as it was trained -> v;   then the steps of CASS (ops/presence.py):
    g = cos(v, T);   T' = T, but in each cluster of texts the one with the largest g moved by alpha to its two patches
    logits = (1 - gamma) F T'^T + gamma g
with v of the whole resized image, or of the window (``prior_from``).

``refocus="paper"``, the text: in every block, attention and channels are taken from distractors (refocusing.py).
Last block:   A = mean over l of K_l;   x = out_proj(A v).
Assumed: K_l and A keep the class token, the last block has neither residual nor feed-forward, and prior and adjusted
texts are those of the code.

Deviations: ``refocus="code"`` keeps all of the released code's differences from the paper: attention is never
redistributed (a branch for it is there, without a graph cut, and nothing switches it on), all channels are blended, and
A's rows sum to less than 1. The code has the channels of ViT-B/16 for every network; the configs of ViT-L/14 have those
that it names for that one. It is evaluated with the masks SegmentationClassAug on VOC, we with the official ones.
Distractors and C have hard thresholds: a token or pair within rounding of one may change sides.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.acting import Needs
from mmseg_tfovss.checks import check_positive, check_range, is_number
from mmseg_tfovss.deferred import is_known
from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.encoders.stream import Keep, Stream
from mmseg_tfovss.methods.options import read_own
from mmseg_tfovss.methods.presence import CLASS_TOKEN, Presence
from mmseg_tfovss.methods.refocusing import refocused_block
from mmseg_tfovss.ops.attention import Scores, attention_sum, self_correlation
from mmseg_tfovss.ops.distractors import blend_with_box, find_distractors
from mmseg_tfovss.registry import MODELS

CHANNELS = (4, 162, 189, 326, 429, 474, 633, 713)  # of OpenAI's ViT-B/16
_OF_ONE_REFOCUS = {"code": {"denoise_alpha": 0.4, "enhance_threshold": 0.4}, "paper": {"beta": 0.7}}
_DISTRACTORS = Needs(
    "{}.denoise_alpha above 0, or {}.refocus='paper'",
    lambda value: value("denoise_alpha") != 0 or value("refocus") == "paper",
)
_OUTPUTS = "outputs"  # of blocks, added up


def enhance(tokens: Tensor, similarity: Tensor) -> Tensor:
    """FEAT-ENHANCE: patches of (B, 1 + N, D) times C (B, N, N), rows as they are; the class token stays."""
    return torch.cat([tokens[:, :1], similarity.to(tokens.dtype) @ tokens[:, 1:]], dim=1)


def similarity_above(guide: Tensor, threshold: float) -> Tensor:
    """Cosines of the patches of U (B, 1 + N, D), 0 below the threshold: C (B, N, N)."""
    unit = F.normalize(guide[:, 1:], dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    return cosines.masked_fill_(cosines < threshold, 0)


@MODELS.register_module()
class RFCLIP(Presence):
    """Denoise distractors in every block, attend by the blocks' mean key-key attention, and heed the classes present.

    Args:
        refocus: ``code``, what was released, or ``paper``, what the text says.
        channels: distraction channels, which every CLIP has of its own; default: those of OpenAI's ViT-B/16.
        sigma: a distractor's channel has more than so many times the mean of all channels, > 0.
        denoise_alpha: share of DENOISE's box, in [0, 1]; of ``code`` only, where ``None`` is 0.4.
        enhance_threshold: smallest cosine for which FEAT-ENHANCE mixes tokens, in [-1, 1]; likewise.
        beta: share of attention that distractors lose, in [0, 1]; of ``paper`` only, where ``None`` is 0.7.
        gamma: share of the presence prior in the logits, in [0, 1]; 0 leaves it out.
        alpha: share of patches in adjusted texts, in [0, 1]; 0 leaves texts as they are.
        t: cosine distance at which the tree of texts is cut into clusters, >= 0.
        linkage: of that tree: ``complete``, or ``ward`` as in CASS.
        prior_from: the prior is of the whole ``image`` (one more pass), or of each ``window`` (Cityscapes). With whole
            images the two are the same.
        whole_upsampling: as in the official code, over the resized image.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: a setting out of range, one of the other ``refocus``, or a channel that the network does not have.
    """

    fitted = frozenset({"gamma", "alpha", "t", "prior_from", "channels"})
    acts_with: ClassVar[Mapping[str, Needs]] = dict.fromkeys(("channels", "sigma"), _DISTRACTORS)

    def __init__(
        self,
        *,
        refocus: str = "code",
        channels: Sequence[int] = CHANNELS,
        sigma: float = 5.0,
        denoise_alpha: float | None = None,
        enhance_threshold: float | None = None,
        beta: float | None = None,
        gamma: float = 0.25,
        alpha: float = 0.03,
        t: float = 0.1,
        linkage: str = "complete",
        prior_from: str = "image",
        whole_upsampling: str = "two_step",
        **kwargs: object,
    ) -> None:
        own = {"denoise_alpha": denoise_alpha, "enhance_threshold": enhance_threshold, "beta": beta}
        settings = read_own("refocus", refocus, _OF_ONE_REFOCUS, own)
        for name, value in settings.items():
            check_range(f"model.{name}", value, -1 if name == "enhance_threshold" else 0, 1)
        check_positive(**{"model.sigma": sigma})
        super().__init__(
            gamma=gamma,
            alpha=alpha,
            t=t,
            linkage=linkage,
            prior_from=prior_from,
            whole_upsampling=whole_upsampling,
            **kwargs,
        )
        self.refocus, self.sigma = refocus, sigma
        self.channels = _read_channels(channels, self.backbone.proj.shape[0])
        self.denoise_alpha, self.enhance_threshold, self.beta = (settings.get(name, 0.0) for name in own)
        self.keep = Keep(keys=range(1, len(self.backbone.blocks)))

    # -- the blocks -------------------------------------------------------------------------------------------------

    def early_block(self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None) -> Tensor:
        """A block and DENOISE, or the paper's block; its output is added up."""
        if self.refocus == "code":
            tokens = self.denoise(super().early_block(number, block, stream, projections), stream)
        else:
            if any(plugin.run_block(number, block, stream, projections) is not None for plugin in self.plugins):
                raise ValueError(
                    "model.refocus='paper' redistributes the attention of every block, and a plug-in runs block"
                    f" {number} in its own way: set model.refocus='code', or leave the plug-in out."
                )
            tokens = self.refocus_block(block, stream)
        stream.add(_OUTPUTS, tokens)
        return tokens

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The class token of the block as it was trained, and patches by the blocks' mean attention."""
        if self.refocus == "paper":
            trained = self.refocus_block(block, stream)
            return torch.cat([trained[:, :1], self.attend_by_keys(block, [tokens], stream)], dim=1)
        if CLASS_TOKEN in stream.given:
            return block.class_token(tokens)
        trained = self.denoise(block(tokens), stream)
        guide = (stream.totals[_OUTPUTS] + trained) / len(self.backbone.blocks)  # U
        similarity = similarity_above(guide, self.enhance_threshold)  # C (B, N, N)
        enhanced = [enhance(tokens, similarity), enhance(guide, similarity)]
        return torch.cat([trained[:, :1], self.attend_by_keys(block, enhanced, stream)], dim=1)

    def denoise(self, tokens: Tensor, stream: Stream) -> Tensor:
        """DENOISE of the code, (B, 1 + N, D) -> same."""
        patches = tokens[:, 1:]
        which = find_distractors(patches, self.channels, self.sigma, shifted=True)
        if is_known(~which.any()):
            return tokens
        patches = blend_with_box(patches, which, stream.grid, self.denoise_alpha)
        return torch.cat([tokens[:, :1], patches], dim=1)

    def attend_by_keys(self, block: CLIPBlock, inputs: Sequence[Tensor], stream: Stream) -> Tensor:
        """out_proj(mean over inputs y (B, 1 + N, D) of A v), the patches (B, N, D).

        A is not made: A v = (sum over l < L of K_l v + K_L v) / L, and the first sum is linear in v.
        """
        projections = [block.keys_values(tokens) for tokens in inputs]  # each (B, heads, 1 + N, d)
        if self.refocus == "code":  # A has no column of the class token
            for _, value in projections:
                value[:, :, 0] = 0
        total = torch.stack([value for _, value in projections]).sum(dim=0)
        heads = attention_sum([Scores(key, key) for key in stream.keys.values()], total)
        heads = heads + sum(self_correlation(key, value) for key, value in projections)
        mean = heads[:, :, 1:] / (len(self.backbone.blocks) * len(inputs))
        return block.merge_heads(mean).to(inputs[0].dtype)

    def refocus_block(self, block: CLIPBlock, stream: Stream) -> Tensor:
        """The paper's block on ``stream.tokens``."""
        return refocused_block(
            block, stream.tokens, block.qkv(stream.tokens), stream.grid, self.channels, self.sigma, self.beta
        )


def _read_channels(channels: Sequence[int], width: int) -> list[int]:
    found = list(channels) if isinstance(channels, Sequence) and not isinstance(channels, str) else []
    numbers = bool(found) and all(is_number(channel, whole=True) for channel in found)
    if not numbers or len(set(found)) < len(found) or not 0 <= min(found) <= max(found) < width:
        raise ValueError(
            f"model.channels must be different numbers from 0 to {width - 1}, the channels of this image tower, but got"
            f" {channels!r}."
        )
    return found
