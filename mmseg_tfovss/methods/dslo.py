"""DSLO: how far a class lies from the uniform distribution is the segmentation. Li et al., CVPR 2026, arXiv:2604.07723.

Official code: announced at liblacklucy/DSLO, not published when this was written: every [open] point is an option.

Logits, whole image:        L = cosines of any method (``base``); by default CLIP with key-key attention in block 12
Noise suppression (NMS):    L_ic <- -inf where the class's probability at patch i is below theta
Normalisation, Eq. 2:       f^c = softmax over patches i of L_ic;   a class of which nothing is left is rejected
Early rejection:            only classes that are heaviest at some patch are solved for
Graph, Eq. 5:               A = mean over heads and layers of a frozen network's self-attention, N x N
Optimal path, Eqs. 3-8:     D_j = sum_i C_ij pi_ij,  pi = diag(mu) exp(-C / eps) diag(nu) from f^c to 1 / N
Maximum velocity, 10-12:    D_i = 1 / l_i,  l_i = step at which f^c T^l has converged at patch i,  T from A by IPF
Label, Eq. 9:               argmax_c JBU(D^c)

[open] and chosen, with the evidence in docs/dslo.md: confidence = class probability at logit scale ``nms_scale``;
``mass_scale`` of the softmax over patches; ``cost`` = -log A in [0, ``cost_range``] without ``self_attention``, read by
the patch that receives (``marginal``), for which the nearest class wins (argmin); ``criterion`` of convergence: share
of the largest mass; fusion: mean of both maps, each scaled to [0, 1] over the patches of all kept classes, so that it
alone depends on which are kept; JBU's widths.
Deviations: l_i is interpolated between steps, and ``relative_mass`` tests f^c T^(l-1) at step l, so the mass itself at
step 1: velocities go up to 1 / tau instead of 1. Masses belong to queries, whose synonyms share their class's
confidence. An image in which no patch is confident keeps all of them. JBU is guided by the resized image at the
original size.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.methods.base import OpenVocabSegmentor, check_choice
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.ops.graph import COSTS, transport_cost, without_self_attention
from mmseg_tfovss.ops.jbu import check_jbu, upsampled_strips
from mmseg_tfovss.ops.labels import Block, label_pixels, row_blocks
from mmseg_tfovss.ops.mass import NORMALISATIONS, confidences, normalise, rescale, winners
from mmseg_tfovss.ops.windows import DenseLogits
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.solvers import (
    CRITERIA,
    KL_DIRECTIONS,
    MARGINALS,
    iterative_proportional_fitting,
    kl_discrepancy,
    max_velocity,
    optimal_path,
)
from mmseg_tfovss.solvers.checks import check_range

MODES = ("max_velocity", "optimal_path", "fusion", "kl", "logits")
WITH_GRAPH = MODES[:3]
_CHOICES: dict[str, Collection[str]] = {
    "attention": ("key", "query", "original"),
    "normalisation": NORMALISATIONS,
    "cost": COSTS,
    "marginal": MARGINALS,
    "criterion": CRITERIA,
    "kl_direction": KL_DIRECTIONS,
    "upsampling": ("jbu", "bilinear"),
}
_RANGES = {
    "theta": (0, 1),
    "nms_scale": (1e-3, 1e6),
    "mass_scale": (1e-3, 1e6),
    "cost_range": (1e-3, 1e6),
    "epsilon": (1e-6, 1e6),
    "tau": (1e-9, 1e6),
}
_COUNTS = {"top_k": (0, math.inf), "iterations": (1, 1e6), "max_steps": (1, 1e6), "ipf_iterations": (1, 1e6)}


@MODELS.register_module()
class DSLO(OpenVocabSegmentor):
    """Direct segmentation from the discrepancy of any method's logits over any network's graph.

    Args:
        backbone: see :class:`OpenVocabSegmentor`.
        decode_head: likewise; its ``prob_threshold`` looks at the base's probabilities.
        test_cfg: whole images only.
        base: config of the method whose logits are used, without backbone and head, e.g. ``dict(type='SCLIP')``;
            ``None``: ``attention`` below.
        attention: of CLIP's last block, without a base: ``key`` or ``query`` with themselves, without residual and
            feed-forward; ``original``: the block as it was trained.
        graph: config of the network that gives A, e.g. ``dict(type='StableDiffusionGraph')``; any module with
            ``graph(images (B, 3, H, W) in grey levels, grid) -> (B, N, N)``.
        mode: ``max_velocity``, ``optimal_path``, ``fusion`` (mean of both, each scaled to [0, 1]), or, without a graph,
            ``kl`` and ``logits`` (Table 2's rows I and II).
        theta: smallest class probability of a patch that counts; 0 switches NMS off. In [0, 1].
        nms_scale: logit scale of that probability.
        mass_scale: logit scale of the softmax over patches.
        normalisation: ``softmax`` over patches of the logits, or ``probabilities`` divided by their sum.
        top_k: a query is solved for if it is among this many heaviest ones at some patch; 0: all are.
        cost: C from A: ``neg_log``, ``one_minus`` or ``attention``, see :func:`mmseg_tfovss.ops.graph.transport_cost`.
        self_attention: let C see how much a patch attends to itself. Without, that counts as its largest affinity to
            another one, so that staying is never dearer than leaving, nor much cheaper.
        cost_range: largest cost; the default is 80 times the default ``epsilon``. Above that ratio the solver takes
            float64 and twice the time, above 600 logarithms and more than a hundred times as long.
        marginal: which patch D belongs to: the ``target`` or the ``source`` of a path.
        epsilon: entropy of the plan.
        iterations: Sinkhorn's.
        tau: threshold of convergence.
        criterion: of convergence, see :func:`mmseg_tfovss.solvers.convergence_steps`.
        max_steps: of the Markov chain.
        ipf_iterations: rounds that make A doubly stochastic.
        kl_direction: see :func:`mmseg_tfovss.solvers.kl_discrepancy`.
        upsampling: ``jbu`` or ``bilinear``.
        sigma_space: JBU's, in patches.
        sigma_range: JBU's, for colours in [0, 1].
        radius: JBU's, in patches.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: a setting out of range, or settings that exclude each other.
    """

    extra_networks = ("graph",)
    timed_steps = ("base_logits", "graph_attention", "distribution", "upsample")
    label_options = frozenset(
        {*_CHOICES, *_RANGES, *_COUNTS, "self_attention", "sigma_space", "sigma_range", "radius"}
        - {"attention"}  # all but mode and the networks'
    )
    complexity_steps: ClassVar[dict[str, str]] = {
        "logits": "base_logits",
        "attention": "graph_attention",
        "distribution": "distribution",
        "upsampling": "upsample",
    }

    def __init__(
        self,
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        test_cfg: dict[str, Any] | None = None,
        *,
        base: dict[str, Any] | None = None,
        attention: str = "key",
        graph: dict[str, Any] | None = None,
        mode: str = "max_velocity",
        theta: float = 0.5,
        nms_scale: float = 100.0,
        mass_scale: float = 20.0,
        normalisation: str = "softmax",
        top_k: int = 1,
        cost: str = "neg_log",
        self_attention: bool = False,
        cost_range: float = 8.0,
        marginal: str = "target",
        epsilon: float = 0.1,
        iterations: int = 50,
        tau: float = 0.3,
        criterion: str = "relative_mass",
        max_steps: int = 50,
        ipf_iterations: int = 15,
        kl_direction: str = "mass_to_uniform",
        upsampling: str = "jbu",
        sigma_space: float = 1.0,
        sigma_range: float = 0.1,
        radius: int = 2,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        _check_part("base", base)
        _check_part("graph", graph)
        test_cfg = test_cfg or {"mode": "whole"}
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            method = None
            if base:
                own = {"backbone": backbone, "decode_head": decode_head, "test_cfg": test_cfg}
                method = MODELS.build({**base, **kwargs, **own})
                backbone, decode_head = _share(method.backbone), _share(method.decode_head)
                kwargs["data_preprocessor"] = method.data_preprocessor
            super().__init__(backbone=backbone, decode_head=decode_head, test_cfg=test_cfg, **kwargs)
            self.base = method
            self.graph = MODELS.build(graph) if graph else None
        if self.graph is not None and hasattr(self.graph, "attach"):
            self.graph.attach(self.backbone, self.data_preprocessor.mean, self.data_preprocessor.std)
        self.attention, self.discrepancy = attention, mode
        self.theta, self.nms_scale, self.mass_scale = theta, nms_scale, mass_scale
        self.normalisation, self.top_k = normalisation, top_k
        self.cost, self.self_attention, self.cost_range = cost, self_attention, cost_range
        self.marginal, self.epsilon, self.iterations = marginal, epsilon, iterations
        self.tau, self.criterion, self.max_steps, self.ipf_iterations = tau, criterion, max_steps, ipf_iterations
        self.kl_direction, self.upsampling = kl_direction, upsampling
        self.sigma_space, self.sigma_range, self.radius = sigma_space, sigma_range, radius
        self._check()

    # -- network ----------------------------------------------------------------------------------------------------

    def last_block(self, block: CLIPBlock, tokens: Tensor, grid: Grid) -> Tensor:
        """The default base: x <- out_proj(softmax(k k^T / sqrt(d)) v)."""
        if self.attention == "original":
            return block(tokens)
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + N, d)
        return block.merge_heads(self_correlation(key if self.attention == "key" else query, value))

    def patch_logits(self, inputs: Tensor) -> Tensor:
        """The base's cosines (B, Q, h, w)."""
        if self.base is None:
            return super().patch_logits(inputs)
        return self.base.patch_logits(inputs) / self.base.logit_factor

    base_logits = patch_logits

    def graph_attention(self, inputs: Tensor, grid: Grid) -> Tensor:
        """The graph A (B, N, N) of images (B, 3, H, W); rows sum to 1."""
        assert self.graph is not None
        images = inputs * self.data_preprocessor.std + self.data_preprocessor.mean
        return self.graph(images, grid)

    def window_maps(self, inputs: Tensor) -> Tensor:
        """Cosines, and behind them, as maps, the N rows of A: (B, Q + N, h, w)."""
        logits = self.base_logits(inputs)
        if self.discrepancy not in WITH_GRAPH:
            return logits
        grid = (logits.shape[-2], logits.shape[-1])
        graph = self.graph_attention(inputs, grid).unflatten(2, grid)
        return torch.cat([logits.to(graph.dtype), graph], dim=1)

    # -- discrepancy ------------------------------------------------------------------------------------------------

    def masses(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised logits f (N, K), and which queries (K,) they belong to, after NMS and early rejection."""
        confident = confidences(logits, self.decode_head.query_class, self.nms_scale)
        kept = confident >= self.theta
        if not bool(kept.any()):
            kept = torch.ones_like(kept)
        mass = normalise(logits, kept, self.mass_scale, self.normalisation, confident)
        queries = winners(mass, self.top_k or mass.shape[1])
        return mass[:, queries], queries

    def solve(self, mass: Tensor, graph: Tensor) -> Tensor:
        """The discrepancy D (N, K) of masses (N, K), of which the largest wins, over a graph (N, N)."""
        if self.discrepancy == "kl":
            terms = kl_discrepancy(mass, direction=self.kl_direction)
            return terms if self.kl_direction == "mass_to_uniform" else -terms  # u log(u / f) falls as f grows
        if self.discrepancy == "optimal_path":
            return self.optimal_path(mass, graph)
        if self.discrepancy == "max_velocity":
            return self.max_velocity(mass, graph)
        return (rescale(self.optimal_path(mass, graph)) + rescale(self.max_velocity(mass, graph))) / 2

    def optimal_path(self, mass: Tensor, graph: Tensor) -> Tensor:
        """Length of the path from the mass to every patch; its negative where ``cost`` is a distance."""
        cost = self.path_cost(graph)
        path = optimal_path(mass, cost, epsilon=self.epsilon, iterations=self.iterations, marginal=self.marginal)
        nearest_wins = self.cost != "attention" and self.marginal == "target"
        return -path if nearest_wins else path

    def path_cost(self, graph: Tensor) -> Tensor:
        """C (N, N) of a graph (N, N)."""
        graph = graph if self.self_attention else without_self_attention(graph)
        return self.cost_range * transport_cost(graph, self.cost)

    def max_velocity(self, mass: Tensor, graph: Tensor) -> Tensor:
        """Velocity at which the mass reaches every patch."""
        transition = iterative_proportional_fitting(graph, iterations=self.ipf_iterations)
        return max_velocity(mass, transition, tau=self.tau, criterion=self.criterion, max_steps=self.max_steps)

    def distribution(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What the argmax is taken of, (K, h, w), and its queries (K,), from the maps of :meth:`window_maps`."""
        count = self.decode_head.out_channels
        logits = patches[:count]
        if self.discrepancy == "logits":
            return logits, torch.arange(count, device=patches.device)
        mass, queries = self.masses(logits.flatten(1).T)
        return self.solve(mass, patches[count:].flatten(1)).T.unflatten(1, logits.shape[-2:]), queries

    # -- labels -----------------------------------------------------------------------------------------------------

    def upsample(self, scores: Tensor, logits: DenseLogits) -> Iterable[Block]:
        """Maps (K, h, w) at the original size, in strips: rows, queries, and their values (r, K, W)."""
        if self.upsampling == "bilinear":
            return row_blocks(replace(logits, patches=scores))
        image = logits.image * self.data_preprocessor.std + self.data_preprocessor.mean
        guide = F.interpolate(image[None] / 255, size=logits.size, mode="bilinear", align_corners=False)[0]
        strips = upsampled_strips(
            scores, guide, sigma_space=self.sigma_space, sigma_range=self.sigma_range, radius=self.radius
        )
        queries = slice(0, len(scores))
        return ((rows, queries, strip) for rows, strip in strips)

    @torch.inference_mode()
    def label(self, logits: DenseLogits) -> Tensor:
        """Class ids (H, W) of one image."""
        head = self.decode_head
        scores, queries = self.distribution(logits.patches)
        found = label_pixels(
            replace(logits, patches=scores),
            head.query_class[queries],
            logit_scale=1.0,
            area_threshold=head.area_threshold,
            blocks=lambda: self.upsample(scores, logits),
        )
        if head.prob_threshold:
            cosines = replace(logits, patches=logits.patches[: head.out_channels])
            sure = label_pixels(
                cosines,
                torch.ones_like(head.query_class),
                logit_scale=head.logit_scale,
                prob_threshold=head.prob_threshold,
            )  # 1, or 0 below the threshold
            found *= sure
        return found

    def dense_logits(self, logits: DenseLogits) -> Tensor:
        """What the argmax is taken of, (Q, H, W) at the original size; -inf for rejected queries."""
        scores, queries = self.distribution(logits.patches)
        upsampled = torch.cat([strip for _, _, strip in self.upsample(scores, logits)]).transpose(0, 1)
        dense = upsampled.new_full((self.decode_head.out_channels, *logits.size), -torch.inf)
        dense[queries] = upsampled
        return dense

    def _check(self) -> None:
        check_choice("mode", self.discrepancy, MODES)
        for name, valid in _CHOICES.items():
            check_choice(name, getattr(self, name), valid)
        for name, (low, high) in {**_RANGES, **_COUNTS}.items():
            check_range(f"model.{name}", getattr(self, name), low, high, whole=name in _COUNTS)
        if self.mode != "whole" or self.pamr_steps:
            raise ValueError("DSLO takes whole images (model.test_cfg.mode='whole') and no PAMR (model.pamr_steps=0).")
        if self.discrepancy in WITH_GRAPH and self.graph is None:
            raise ValueError(
                f"model.mode={self.discrepancy!r} needs a graph: set model.graph=dict(type='StableDiffusionGraph'),"
                " 'DINOv2Graph', 'DINOGraph' or 'CLIPGraph'; or take model.mode='kl'."
            )
        check_jbu(self.sigma_space, self.sigma_range, self.radius)


def _check_part(name: str, settings: object) -> None:
    if settings and not (isinstance(settings, Mapping) and "type" in settings):
        raise ValueError(
            f"model.{name} must be settings with a type, as in \"model.{name}=dict(type='...')\", or None, but got"
            f" {settings!r}."
        )


def _share(module: nn.Module) -> dict[str, Any]:
    """A config that gives a module that exists already."""
    return {"type": _given, "module": module}


def _given(module: nn.Module) -> nn.Module:
    return module
