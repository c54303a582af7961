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

The ranking is made once per CLIP, with the labels of training images: ``tools/analyze.py discriminability``, then
``rank-heads``.

[open] and chosen: sigma = 1; where all of the 3x3 patches are abnormal, the window grows until one is normal; A of the
head outputs is that of x^{L-1} (``abnormal_set``); beta = 0.4; Norm makes the rows of S sum to 1, so that a refined
token is a convex combination (``normalisation``: the text says column-wise); ``layers`` for other depths than 12 and
24. CLIPtrase is not in the paper: its recovery block keeps residual and feed-forward (``remove_residual``), and its
correlation, from the projections of block L-1, sees what SSR does, but not ATR and SHE, which come after that block.
Deviations: none known. The class token takes part in SSR only. With all three off, the base is what it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import new_class
from typing import Any, Self

import torch
from torch import Tensor, nn

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder, Grid, Projections
from mmseg_tfovss.encoders.head_ranking import load_ranking
from mmseg_tfovss.methods.base import OpenVocabSegmentor, check_choice
from mmseg_tfovss.ops.tokens import NORMALISATIONS, hoyer, refine, replace_abnormal
from mmseg_tfovss.registry import MODELS

ABNORMAL_SETS = ("stream", "per_head")


@dataclass
class TokenPlugins:
    """SSR, ATR and SHE as hooks of an image tower; for the options see :class:`LHTCLIP`.

    Attributes:
        layers: numbers of SSR's blocks, from 1.
        heads: SHE's heads, from 0, by number of their block.
    """

    tau: float
    layers: range
    alpha: float
    heads: dict[int, list[int]]
    beta: float
    normalisation: str
    abnormal_set: str
    sigma: float
    _outputs: dict[int, list[Tensor]] = field(default_factory=dict)  # by block, of the pass that is under way

    def install(self, backbone: CLIPImageEncoder) -> bool:
        """Act on this tower from now on; False if there is nothing to do."""
        self._last_early = len(backbone.blocks) - 1
        if self.alpha or self.heads:
            backbone.block_hooks.append(self.run_block)
        if self.tau < 1 or self.heads:
            backbone.residual_hooks.append(self.after_block)
        return bool(self.alpha or self.heads or self.tau < 1)

    def run_block(
        self, number: int, block: CLIPBlock, tokens: Tensor, projections: Projections | None
    ) -> Tensor | None:
        """SSR, and a note of what the selected heads add: (B, 1 + N, D) -> same."""
        alpha = self.alpha if number in self.layers else 0.0
        selected = self.heads.get(number, [])
        if not alpha and not selected:
            return None
        outputs = block.head_outputs(*(projections or block.qkv(tokens)))  # (B, heads, 1 + N, d)
        if selected:
            added = [block.head_contribution(outputs[:, head, 1:], head).to(tokens.dtype) for head in selected]
            self._outputs[number] = added if self.abnormal_set == "per_head" else [_total(added)]
        tokens = (1 + alpha) * tokens + (1 - alpha) * block.merge_heads(outputs).to(tokens.dtype)
        return (1 + alpha) * tokens + (1 - alpha) * block.feed_forward(tokens).to(tokens.dtype)

    def after_block(self, number: int, tokens: Tensor, grid: Grid) -> Tensor:
        """ATR and SHE on the input of the last block: (B, 1 + N, D) -> same."""
        if number != self._last_early:
            return tokens
        patches = tokens[:, 1:]
        abnormal = self.abnormal(patches)
        refined = self.replace(patches, abnormal, grid)
        if self.heads:
            refined = refine(refined, self.top_heads(abnormal, grid), self.beta, self.normalisation)
        return torch.cat([tokens[:, :1], refined], dim=1)

    def abnormal(self, patches: Tensor) -> Tensor:
        """Which of the tokens (B, N, D) are abnormal, (B, N)."""
        return hoyer(patches) > self.tau  # never for tau = 1

    def replace(self, patches: Tensor, abnormal: Tensor, grid: Grid) -> Tensor:
        """ATR of tokens (B, N, D)."""
        return replace_abnormal(patches, abnormal, grid, self.sigma) if self.tau < 1 else patches

    def top_heads(self, abnormal: Tensor, grid: Grid) -> Tensor:
        """Sum of the selected heads' outputs after ATR, (B, N, D): its cosines are those of the mean."""
        missing = sorted(set(self.heads) - set(self._outputs))
        if missing:
            raise ValueError(f"SHE takes heads of the blocks {missing}, in place of which the base runs others.")
        outputs = [output for number in self.heads for output in self._outputs.pop(number)]
        if self.abnormal_set == "stream":  # ATR is linear where A is given
            return self.replace(_total(outputs), abnormal, grid)
        return _total([self.replace(output, self.abnormal(output), grid) for output in outputs])


@MODELS.register_module()
class LHTCLIP(OpenVocabSegmentor):
    """Another method, with the plug-ins on its image tower: an instance is one of the base's class as well.

    Args:
        base: config of the method, without backbone and head, e.g. ``dict(type='SCLIP')``.
        tau: Hoyer score above which a token is abnormal, in [0, 1]; 1 switches ATR off.
        layers: first and last block of SSR, from 1; ``None``: the sixth of all blocks that comes before the last one
            (10 and 11 of 12, 20 to 23 of 24).
        alpha: of SSR, in [0, 1]; 0 switches it off.
        k: heads of SHE; 0 switches it off.
        ranking: file with the ranked heads; ``None``: the one that comes with this package for these weights.
        beta: smallest cosine for which tokens are mixed, in [0, 1].
        normalisation: of the mixture's weights: ``row`` or ``column``, see :func:`mmseg_tfovss.ops.tokens.refine`.
        abnormal_set: tokens that are replaced in the heads' outputs: those of the ``stream``, or of every head its own
            (``per_head``).
        sigma: of ATR's Gaussian, in patches, > 0.
        remove_residual: leave residual and feed-forward out of the last block; ``None``: if any plug-in is on, and the
            base is a last-block method (has a ``last_block`` of its own), which CLIPtrase is not.
        **kwargs: see :class:`OpenVocabSegmentor`; they come before those in ``base``.

    Raises:
        ValueError: a setting out of range, or a base that is no other method.
        FileNotFoundError: there is no ranking for these weights.
    """

    def __new__(cls, *, base: dict[str, Any] | None = None, **_: object) -> Self:
        """An object of a class that inherits from this one, then from the base's."""
        return super().__new__(_around(base) if cls is LHTCLIP else cls)

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
        normalisation: str = "row",
        abnormal_set: str = "stream",
        sigma: float = 1.0,
        remove_residual: bool | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        for name, value in (("tau", tau), ("alpha", alpha), ("beta", beta)):
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"model.{name} must lie in [0, 1], but got {value!r}.")
        if not isinstance(sigma, int | float) or sigma <= 0:
            raise ValueError(f"model.sigma must be positive, but got {sigma!r}.")
        check_choice("normalisation", normalisation, NORMALISATIONS)
        check_choice("abnormal_set", abnormal_set, ABNORMAL_SETS)
        check_choice("remove_residual", remove_residual, (None, True, False))
        # From here on the base's constructor, of whatever class that is.
        super().__init__(**{**{key: value for key, value in base.items() if key != "type"}, **kwargs})
        count = len(self.backbone.blocks)
        self.input_files, heads = _best_heads(k, ranking, self.backbone.weights_hash)
        self.plugins = TokenPlugins(
            tau=tau,
            layers=_read_layers(layers, count),
            alpha=alpha,
            heads=heads,
            beta=beta,
            normalisation=normalisation,
            abnormal_set=abnormal_set,
            sigma=sigma,
        )
        acts = self.plugins.install(self.backbone)
        changes_last_block = type(self).last_block is not OpenVocabSegmentor.last_block
        if (acts and changes_last_block) if remove_residual is None else remove_residual:
            _keep_attention_only(self.backbone)


def _around(base: object) -> type[LHTCLIP]:
    name = base.get("type") if isinstance(base, Mapping) else None
    kind = MODELS.get(name) if isinstance(name, str) else name
    if not isinstance(kind, type) or not issubclass(kind, OpenVocabSegmentor) or issubclass(kind, LHTCLIP):
        raise ValueError(f"model.base must be the config of another method, e.g. dict(type='SCLIP'), but got {base!r}.")
    return new_class("LHTCLIP", (LHTCLIP, kind), exec_body=lambda names: names.update(__module__=__name__))


def _read_layers(layers: Sequence[int] | None, count: int) -> range:
    """The blocks of SSR in a tower of ``count`` blocks."""
    if layers is None:
        return range(count - max(1, round(count / 6)), count)
    chosen = tuple(layers) if isinstance(layers, Sequence) else ()
    numbers = len(chosen) == 2 and all(isinstance(number, int) for number in chosen)
    if not numbers or not 1 <= chosen[0] <= chosen[1] < count:
        raise ValueError(
            f"model.layers must be None or (first, last) with 1 <= first <= last < {count}, but got {layers!r}."
        )
    return range(chosen[0], chosen[1] + 1)


def _best_heads(k: int, ranking: str | None, weights_hash: str) -> tuple[tuple[Path, ...], dict[int, list[int]]]:
    """The files that were read, and the best k heads, by number of their block."""
    if not isinstance(k, int) or k < 0:
        raise ValueError(f"model.k must be a number of heads, at least 0, but got {k!r}.")
    if k == 0:
        return (), {}
    path, ranked = load_ranking(ranking, weights_hash)
    if k > len(ranked):
        raise ValueError(f"model.k must be at most {len(ranked)}, the number of ranked heads, but got {k}.")
    best = sorted(ranked[:k])
    return (path,), {number: [head for block, head in best if block == number] for number, _ in best}


def _keep_attention_only(backbone: CLIPImageEncoder) -> None:
    """Have ln_post take what the last block's attention gives, whatever the base has added to it."""
    last: CLIPBlock = backbone.blocks[-1]  # type: ignore[assignment]
    given: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: tuple[Tensor], attended: Tensor) -> None:
        given[:] = [attended]

    def hand_over(_layer: nn.Module, inputs: tuple[Tensor]) -> Tensor | None:
        [tokens] = inputs  # (B, 1 + N, D), or without the class token
        return given.pop()[:, -tokens.shape[1] :].to(tokens.dtype) if given else None

    last.out_proj.register_forward_hook(keep)
    backbone.ln_post.register_forward_pre_hook(hand_over)
    last.feed_forward = torch.zeros_like  # type: ignore[assignment] # nobody would see it


def _total(maps: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(maps)).sum(dim=0)
