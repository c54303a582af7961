"""LHT-CLIP: layers, heads and tokens of CLIP that tell patches apart. Zhou, Jiang, Zhu, TMLR 2026, arXiv:2510.23894.

Official code: announced at jinxinzhou/LTH-CLIP, which holds only a README: every [open] point is an option.

Three plug-ins before the last of L blocks, each usable alone, around any method (``base``); x = tokens (1 + N, D):

SSR, spatial-semantic reweighting, in blocks l of ``layers``:
    y = (1 + alpha) x^{l-1} + (1 - alpha) MSA(LN1(x^{l-1}));   x^l = (1 + alpha) y + (1 - alpha) FFN(LN2(y))
ATR, abnormal token replacement, on the patches of x^{L-1}:
    H(x) = (sqrt(D) - |x|_1 / |x|_2) / (sqrt(D) - 1),   A = {i : H(x_i) > tau}
    x_i <- mean of the normal tokens of the 3x3 patches around i in A, weighted by exp(-distance^2 / (2 sigma^2))
SHE, selective head enhancement, on the same patches after ATR, with the k best heads (l, h) of a ranking:
    X^{l,h} = A_h V_h W_o,h;   S = cosines of the rows of mean over k of ATR(X^{l,h});   X <- Norm(S where S >= beta) X
Last block: the base's attention, without residual connection and feed-forward, also where the base has them.

The ranking is made once per CLIP, with the labels of training images: ``tfovss analyze discriminability``, then
``rank-heads``.

Norm makes the columns of S sum to 1, and every head's output has an A of its own, as the text says; ``normalisation``
and ``abnormal_set`` have the other readings.
[open] and chosen: sigma = 1; where all of the 3x3 patches are abnormal, the window grows until one is normal; beta =
0.4; ``layers`` for other depths than 12 and 24. CLIPtrase is not in the paper: its recovery block keeps residual and
feed-forward (``remove_residual``), and its correlation, from the projections of block L-1, sees what SSR does, but not
ATR and SHE, which come after that block. The second paths of GEM and CLIP Surgery are sums over the last blocks: ATR
and SHE change what the last one adds.
Deviations: none known. The class token takes part in SSR only. With all three off, the base is what it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmseg_tfovss.acting import Needs, above_zero
from mmseg_tfovss.checks import check_positive, check_range
from mmseg_tfovss.encoders.clip import CLIPBlock, Grid, Projections
from mmseg_tfovss.encoders.head_ranking import best_heads
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.around import AroundMethod, check_runs_blocks
from mmseg_tfovss.methods.options import check_choice, read_layers
from mmseg_tfovss.ops.tokens import NORMALISATIONS, hoyer, refine, replace_abnormal
from mmseg_tfovss.registry import MODELS

_ATR = Needs("{}.tau below 1", lambda value: value("tau") != 1)
ABNORMAL_SETS = ("per_head", "stream")
_HEADS = "LHT-CLIP: outputs of the selected heads"  # notes of a stream


@dataclass(frozen=True)
class TokenPlugins:
    """SSR, ATR and SHE as a plug-in of the blocks; for the options see :class:`LHTCLIP`.

    Attributes:
        last_early: number of the last block but one, behind which ATR and SHE act.
        layers: numbers of SSR's blocks, from 1.
        heads: SHE's heads, from 0, by number of their block.
    """

    tau: float
    alpha: float
    beta: float
    normalisation: str
    abnormal_set: str
    sigma: float
    last_early: int
    layers: range
    heads: dict[int, list[int]]

    @property
    def acts(self) -> bool:
        """Whether any of the three is on."""
        return bool(self.alpha or self.heads or self.tau < 1)

    def run_block(
        self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None
    ) -> Tensor | None:
        """SSR, and a note of what the selected heads add: (B, 1 + N, D) -> same."""
        tokens, alpha, selected = stream.tokens, self.alpha * (number in self.layers), self.heads.get(number, [])
        if not alpha and not selected:
            return None
        outputs = block.head_outputs(*(projections or block.qkv(tokens)))  # (B, heads, 1 + N, d)
        if selected:
            added = [block.head_contribution(outputs[:, head, 1:], head).to(tokens.dtype) for head in selected]
            stream.notes.setdefault(_HEADS, {})[number] = added if self.abnormal_set == "per_head" else [_total(added)]
        tokens = (1 + alpha) * tokens + (1 - alpha) * block.merge_heads(outputs).to(tokens.dtype)
        return (1 + alpha) * tokens + (1 - alpha) * block.feed_forward(tokens).to(tokens.dtype)

    def after_block(self, number: int, stream: Stream) -> Tensor:
        """ATR and SHE on the input of the last block: (B, 1 + N, D) -> same."""
        if number != self.last_early or not (self.heads or self.tau < 1):
            return stream.tokens
        patches = stream.tokens[:, 1:]
        abnormal = self.abnormal(patches)
        refined = self.replace(patches, abnormal, stream.grid)
        if self.heads:
            source = self.top_heads(stream, abnormal)
            refined = refine(refined, source, self.beta, self.normalisation)
        return torch.cat([stream.tokens[:, :1], refined], dim=1)

    def abnormal(self, patches: Tensor) -> Tensor:
        """Which of the tokens (B, N, D) are abnormal, (B, N)."""
        return hoyer(patches) > self.tau  # never for tau = 1

    def replace(self, patches: Tensor, abnormal: Tensor, grid: Grid) -> Tensor:
        """ATR of tokens (B, N, D)."""
        return replace_abnormal(patches, abnormal, grid, self.sigma) if self.tau < 1 else patches

    def top_heads(self, stream: Stream, abnormal: Tensor) -> Tensor:
        """Sum of the selected heads' outputs after ATR, (B, N, D): its cosines are those of the mean."""
        noted = stream.notes.pop(_HEADS, {})
        missing = sorted(set(self.heads) - set(noted))
        if missing:
            raise ValueError(f"SHE takes heads of the blocks {missing}, in place of which the base runs others.")
        outputs = [output for number in self.heads for output in noted[number]]
        if self.abnormal_set == "stream":  # ATR is linear where A is given
            return self.replace(_total(outputs), abnormal, stream.grid)
        return _total([self.replace(output, self.abnormal(output), stream.grid) for output in outputs])


@MODELS.register_module()
class LHTCLIP(AroundMethod):
    """Another method, with the plug-ins on the blocks that it runs.

    Args:
        base: config of the method, without backbone and head, e.g. ``dict(type='SCLIP')``.
        tau: Hoyer score above which a token is abnormal, in [0, 1]; 1 switches ATR off.
        layers: first and last block of SSR, from 1; ``None``: the sixth of all blocks that comes before the last one
            (10 and 11 of 12, 20 to 23 of 24).
        alpha: of SSR, in [0, 1]; 0 switches it off.
        k: heads of SHE; 0 switches it off.
        ranking: file with the ranked heads; ``None``: the one that comes with this package for these weights.
        beta: smallest cosine for which tokens are mixed, in [0, 1].
        normalisation: of the mixture's weights: ``column``, as the text says, or ``row``, which makes a refined token a
            convex combination; see :func:`mmseg_tfovss.ops.tokens.refine`.
        abnormal_set: tokens that are replaced in the heads' outputs: of every head its own (``per_head``), as the text
            says, or those of the ``stream``.
        sigma: of ATR's Gaussian, in patches, > 0.
        remove_residual: leave residual and feed-forward out of the last block; ``None``: if any plug-in is on, unless
            they are the base's idea (CLIPtrase), or it runs its last block in its own way.
        **kwargs: see :class:`OpenVocabSegmentor`; they are the base's too.

    Raises:
        ValueError: a setting out of range, or a base that is no other method.
        FileNotFoundError: there is no ranking for these weights.
    """

    timed_steps = ("token_plugins.after_block",)
    acts_with: ClassVar[Mapping[str, Needs]] = {
        "layers": above_zero("alpha"),
        "sigma": _ATR,
        **dict.fromkeys(("ranking", "beta", "normalisation"), above_zero("k")),
        "abnormal_set": Needs("{}.k above 0 and {}.tau below 1", lambda value: value("k") != 0 and value("tau") != 1),
    }

    def __init__(
        self,
        *,
        base: dict[str, Any],
        tau: float = 0.5,
        layers: tuple[int, int] | None = None,
        alpha: float = 0.1,
        k: int = 10,
        ranking: str | None = None,
        beta: float = 0.4,
        normalisation: str = "column",
        abnormal_set: str = "per_head",
        sigma: float = 1.0,
        remove_residual: bool | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        for name, value in (("tau", tau), ("alpha", alpha), ("beta", beta)):
            check_range(f"model.{name}", value, 0, 1)
        check_positive(**{"model.sigma": sigma})
        check_choice("normalisation", normalisation, NORMALISATIONS)
        check_choice("abnormal_set", abnormal_set, ABNORMAL_SETS)
        check_choice("remove_residual", remove_residual, (None, True, False))
        check_runs_blocks("LHTCLIP", base)
        super().__init__(base=base, **kwargs)
        count = len(self.backbone.blocks)
        files, heads = best_heads(k, ranking, self.backbone.weights_hash)
        self.input_files = (*self.input_files, *files)
        self.token_plugins = TokenPlugins(
            tau=tau,
            alpha=alpha,
            beta=beta,
            normalisation=normalisation,
            abnormal_set=abnormal_set,
            sigma=sigma,
            last_early=count - 1,
            layers=_read_layers(layers, count),
            heads=heads,
        )
        if self.token_plugins.acts:
            self.base.plugins.append(self.token_plugins)
        gives_up = self.base.gives_up_residual and not self.base.has_own_last_block()
        removed = self.token_plugins.acts and gives_up
        if removed if remove_residual is None else remove_residual:
            self.base.remove_residual()


def _read_layers(layers: Sequence[int] | None, count: int) -> range:
    """The blocks of SSR in a tower of ``count`` blocks."""
    return read_layers("layers", layers, count, default=(count - max(1, round(count / 6)), count - 1))


def _total(maps: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(maps)).sum(dim=0)
