"""ResCLIP: middle layers and a first segmentation guide the last block. Yang et al., CVPR 2025, arXiv:2411.15851.

Official code: yvhangyang/ResCLIP @ 0e085f7 (arch='wo_resi', attn_strategy='resclip', gaussian_std=5).

Around a method (``base``) whose last block attends by a sum of softmaxes of scores Z + Omega: k k^T / sqrt(d) and a
Gaussian for NACLIP, q q^T / sqrt(d) for ClearCLIP, two terms for SCLIP. Per head, on x (1 + N tokens):

RCS     A_c = mean over blocks 6 .. 9 of their softmax(q k^T / sqrt(d)),
        A   = tau_r [(1 - lambda_r) sum of softmax(Z + Omega) + lambda_r A_c]
Labels  of pass 1, x through the last block with A: cosines of all Q queries on the pixels of the window, PAMR,
        y = argmax of their softmax, query 0 where that is below ``label_threshold``; a patch has its most frequent y
SFR     S_ij = [y_i = y_j], times exp(-s_ij / s_max) where the line from i to j leaves the label (s: Chebyshev),
        rows smoothed by a Gaussian and scaled to sum 1, divided by the largest entry; 0 for the class token
Pass 2  Z <- tau_s [(1 - lambda_s) Z + lambda_s S], and A of these scores; the rest of the block is the base's

``feedback=False`` leaves out SFR and its pass, ``rcs_weights=None`` RCS; without both, it is the base. The official
code always runs both: its switches are tuples by mistake, which are never false.

Quirks, reproduced by ``official_quirks``: the line from i to j is looked at in steps of 1 / s_max but s_ij times only,
which is its first part; the Gaussian runs over the patches in reading order, from one row into the next. False: what is
evidently meant, the whole line, and a Gaussian over rows and columns. As in the official code, labels are queries:
synonyms are different labels, and unsure pixels get query 0 where that is no background, too.
[open] ViT-L/14: the official code names the blocks 6 .. 9 whatever the depth, and so does ``rcs_layers`` here.
Deviations: PAMR always runs (the official code leaves it out when memory is short); S is not rounded to float16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.acting import Needs, above_zero
from mmseg_tfovss.checks import check_positive, check_range
from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.around import AroundMethod, check_scores_only
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice, check_pamr, read_layers, take_options
from mmseg_tfovss.ops.attention import attention_sum
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.ops.feedback import label_affinity
from mmseg_tfovss.ops.labels import label_pixels, patch_majority
from mmseg_tfovss.ops.pamr import pamr_canvas
from mmseg_tfovss.ops.windows import WindowPlan
from mmseg_tfovss.registry import MODELS


def _mixes(weights: object) -> bool:
    """Whether lambda of (tau, lambda) leaves anything to be mixed in."""
    return weights is not None and not (isinstance(weights, Sequence) and list(weights[1:]) == [0])


def _share_in(weights: str) -> Needs:
    """An option of (tau, lambda) whose lambda is above 0."""
    return Needs(f"a lambda of {{}}.{weights} above 0", lambda value: _mixes(value(weights)))


@dataclass(frozen=True)
class Feedback:
    """How the labels of the first pass are made, and what becomes of them.

    Attributes:
        sfr_weights: (tau_s, lambda_s).
        sfr_sigma: of the Gaussian over patches, > 0.
        sfr_decay: weaken pairs of patches that are not connected.
        official_quirks: see the top of this file.
        label_threshold: smallest probability of a label, in [0, 1].
        label_pamr_steps: PAMR's iterations on the window's pixels.
        label_pamr_dilations: distances of its neighbours, in pixels.
    """

    sfr_weights: tuple[float, float] = (1.8, 0.7)
    sfr_sigma: float = 5.0
    sfr_decay: bool = True
    official_quirks: bool = True
    label_threshold: float = 0.25
    label_pamr_steps: int = 10
    label_pamr_dilations: Sequence[int] = (8, 16)

    def __post_init__(self) -> None:
        _check_weights("sfr_weights", self.sfr_weights)
        check_positive(**{"model.sfr_sigma": self.sfr_sigma})
        check_choice("sfr_decay", self.sfr_decay, (True, False))
        check_choice("official_quirks", self.official_quirks, (True, False))
        check_range("model.label_threshold", self.label_threshold, 0, 1)
        check_pamr("label_pamr", self.label_pamr_steps, self.label_pamr_dilations)


@MODELS.register_module()
class ResCLIP(AroundMethod):
    """Another method's last block, run twice, with attention of middle layers mixed in.

    Options are also those of :class:`Feedback`.

    Args:
        base: config of the method, e.g. ``dict(type='NACLIP')``; its scores, residual and feed-forward are kept.
        rcs_weights: (tau_r, lambda_r); ``None`` leaves RCS out.
        rcs_layers: first and last block of A_c, from 1; ``None``: 6 and 9, or as far down in a tower of less than 10.
        feedback: whether there is a second pass; without it, options of :class:`Feedback` must be None, which is no
            setting.
        pamr_steps: of the base's PAMR on the final logits: none, as in the official code.
        whole_upsampling: as in the official code, over the resized image.
        pad_to: as in the official code, no window is padded.
        **kwargs: see :class:`OpenVocabSegmentor`; they are the base's too.

    Raises:
        ValueError: a setting out of range or without effect, or a base that has no such last block.
    """

    option_records: ClassVar[dict[str, type]] = {"sfr": Feedback}
    fitted = frozenset({"rcs_weights", "sfr_weights", "label_threshold"})
    acts_with: ClassVar[Mapping[str, Needs]] = {
        "rcs_layers": _share_in("rcs_weights"),
        **dict.fromkeys(
            (field.name for field in fields(Feedback) if field.name != "sfr_weights"), _share_in("sfr_weights")
        ),
        "label_pamr_dilations": above_zero("label_pamr_steps"),
    }
    timed_steps = ("first_labels", "feedback_prior")

    def __init__(
        self,
        *,
        base: dict[str, Any],
        rcs_weights: tuple[float, float] | None = (2.0, 0.4),
        rcs_layers: tuple[int, int] | None = None,
        feedback: bool = True,
        pamr_steps: int = 0,
        whole_upsampling: str = "two_step",
        pad_to: int | str | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_choice("feedback", feedback, (True, False))
        given = [field.name for field in fields(Feedback) if kwargs.get(field.name) is not None]
        if given and not feedback:
            raise ValueError(
                f"model.{given[0]} has no effect with model.feedback=False: set"
                f" {' '.join(f'model.{name}=None' for name in given)}."
            )
        sfr = take_options(Feedback, kwargs)
        if rcs_weights is not None:
            _check_weights("rcs_weights", rcs_weights)
        if rcs_layers is not None and not _mixes(rcs_weights):
            raise ValueError(
                f"model.rcs_layers has no effect with model.rcs_weights={rcs_weights!r}: set model.rcs_layers=None."
            )
        check_scores_only("ResCLIP", base)
        own: dict[str, Any] = {"pamr_steps": pamr_steps, "whole_upsampling": whole_upsampling, "pad_to": pad_to}
        super().__init__(base=base, **own, **kwargs)
        self.sfr, self.rcs_weights, self.feedback = sfr, rcs_weights, feedback
        self.residual, self.feed_forward = self.base.residual, self.base.feed_forward
        self.rcs_layers = _read_layers(rcs_layers, len(self.backbone.blocks)) if rcs_weights else range(0)
        self.keep = replace(self.base.keep, attention={*self.base.keep.attention, *self.rcs_layers})

    # It runs CLIP's blocks itself; from the base are the scores in the last one, and all that comes before and after.
    run_blocks = OpenVocabSegmentor.run_blocks
    extract_feat = OpenVocabSegmentor.extract_feat
    encode = OpenVocabSegmentor.encode
    patch_logits = OpenVocabSegmentor.patch_logits

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """RCS, and once more with SFR: (B, 1 + N, C) -> (B, 1 + N, C)."""
        projections = block.qkv(tokens)
        terms, value = self.base.scores(projections, stream), projections[2]  # each (B, heads, 1 + N, d)
        residual = self.middle_attention(stream, value)
        attended = block.merge_heads(self.mix(attention_sum(terms, value), residual))
        if not self.feedback:
            return attended
        labels = self.first_labels(self.after_attention(block, tokens, attended), stream)
        tau, share = self.sfr.sfr_weights
        prior = tau * share * self.feedback_prior(labels)
        # tau (1 - lambda) Z is Z with another scale of its products; Omega has none.
        heads = attention_sum(terms, value, factor=tau * (1 - share), prior=prior)
        return block.merge_heads(self.mix(heads, residual))

    def middle_attention(self, stream: Stream, value: Tensor) -> Tensor | None:
        """A_c v, (B, heads, 1 + N, d); the same in both passes."""
        if not self.rcs_layers:
            return None
        first, *rest = self.rcs_layers
        total = stream.attention[first].clone()  # (B, heads, 1 + N, 1 + N)
        for number in rest:
            total += stream.attention[number]
        return total.div_(len(self.rcs_layers)).to(value.dtype) @ value

    def mix(self, heads: Tensor, residual: Tensor | None) -> Tensor:
        """A v of the softmaxes' outputs and of A_c v, all (B, heads, 1 + N, d)."""
        if residual is None or self.rcs_weights is None:
            return heads
        tau, share = self.rcs_weights
        return tau * ((1 - share) * heads + share * residual)

    def first_labels(self, tokens: Tensor, stream: Stream) -> Tensor:
        """Queries (B, h, w) of the patches, from what comes out of the last block in pass 1, (B, 1 + N, C)."""
        self.prepare()
        logits = self.decode_head(self.backbone.to_text_space(tokens, stream.grid))  # (B, Q, h, w)
        queries = torch.arange(logits.shape[1], device=logits.device)
        size = (stream.images.shape[-2], stream.images.shape[-1])
        plan, labels = WindowPlan.whole(size), []
        for image, maps in zip(stream.images, logits, strict=True):
            # What is no number stays one in pass 2, where it is found.
            canvas: Canvas = plan.stitch(maps[None].nan_to_num(), size, direct=True)
            if self.sfr.label_pamr_steps:
                canvas = pamr_canvas(canvas, image, self.sfr.label_pamr_dilations, self.sfr.label_pamr_steps)
            scale, threshold = self.decode_head.logit_scale, self.sfr.label_threshold
            pixels = label_pixels(canvas, queries, logit_scale=scale, prob_threshold=threshold)  # (H, W)
            labels.append(patch_majority(pixels, self.backbone.patch_size, len(queries)))
        return torch.stack(labels)

    def feedback_prior(self, labels: Tensor) -> Tensor:
        """S (B, 1, 1 + N, 1 + N) of the patches' labels (B, h, w)."""
        sfr = self.sfr
        quirks = {"first_part_only": sfr.official_quirks, "along_raster": sfr.official_quirks}
        affinity = label_affinity(labels, sfr.sfr_sigma, decay=sfr.sfr_decay, **quirks)  # (B, N, N)
        return F.pad(affinity / affinity.amax(dim=(1, 2), keepdim=True), (1, 0, 1, 0))[:, None]


def _check_weights(name: str, weights: object) -> None:
    """Raise ValueError unless these are (tau, lambda)."""
    if not isinstance(weights, Sequence) or len(weights) != 2:
        raise ValueError(f"model.{name} must be (tau, lambda), as in (2.0, 0.4), but got {weights!r}.")
    check_positive(**{f"tau of model.{name}": weights[0]})
    check_range(f"lambda of model.{name}", weights[1], 0, 1)


def _read_layers(layers: tuple[int, int] | None, count: int) -> range:
    """The blocks of A_c in a tower of ``count`` blocks."""
    first, last = (6, 9) if count > 9 else (5 * count // 12 + 1, 9 * count // 12)
    return read_layers("rcs_layers", layers, count, default=(first, max(first, last)))
