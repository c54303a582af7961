"""DSLO: how far a class lies from the uniform distribution is the segmentation. Li et al., CVPR 2026, arXiv:2604.07723.

Official code: announced at liblacklucy/DSLO, not published when this was written: every [open] point is an option.

Logits, whole image:        L = cosines of any method (``base``); by default CLIP with key-key attention in block 12
Noise suppression (NMS):    L_ic <- -inf where the class's probability at patch i is below theta
Normalisation, Eq. 2:       f^c = softmax over patches i of L_ic;   a class of which nothing is left is rejected
Early rejection:            only classes that are heaviest at some patch are solved for
Graph, Eq. 5:               A = mean over heads and layers of a frozen network's self-attention, N x N
Optimal path, Eqs. 3-8:     D_j = sum_i C_ij pi_ij,  pi = diag(mu) exp(-C / eps) diag(nu) from f^c to 1 / N
Maximum velocity, 10-12:    D_i = 1 / l_i,  l_i >= 1: step at which f^c T^l has converged at patch i, T from A by IPF
Label, Eq. 9:               argmax_c JBU(D^c)

[open] and chosen, with the evidence in docs/methods/dslo.md: confidence = class probability at logit scale
``nms_scale``; ``mass_scale`` of the softmax over patches; ``cost`` = -log A in [0, ``cost_range``] without
``self_attention``, read by the patch that receives (``marginal``), for which the nearest class wins (argmin);
``criterion`` of convergence: share of the largest mass; fusion: mean of both maps, each scaled to [0, 1] over the
patches of all kept classes, so that it alone depends on which are kept; JBU's widths.
Deviations: l_i is interpolated between steps; ``relative_mass`` tests f^c T^(l-1) at step l, so the mass itself at step
1. Classes that tie there at D = 1 are decided by their confidence (``first_step``). Masses belong to queries, whose
synonyms share their class's confidence. An image in which no patch is confident keeps all of them. JBU is guided by
the resized image at the original size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmseg_tfovss.acting import Needs, one_of
from mmseg_tfovss.deferred import refuse_if
from mmseg_tfovss.methods.around import AroundMethod, from_outside_in
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.clearclip import ClearCLIP
from mmseg_tfovss.methods.clip import VanillaCLIP
from mmseg_tfovss.methods.naclip import NACLIP
from mmseg_tfovss.methods.options import check_choice, take_options
from mmseg_tfovss.methods.stages import Refined, Scene, Seen
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.discrepancy import Discrepancy
from mmseg_tfovss.ops.mass import MassSettings
from mmseg_tfovss.ops.upsampling import Upsampling
from mmseg_tfovss.ops.windows import Place
from mmseg_tfovss.registry import MODELS

GRAPH = "graph of DSLO"  # what is seen of an image: A
# CLIP with another attention in its last block: the base where none is named.
_DEFAULT_BASES: dict[str, dict[str, Any]] = {
    "key": {"type": NACLIP, "sigma": None, "pamr_steps": 0, "whole_upsampling": "direct"},
    "query": {"type": ClearCLIP, "pad_to": None},
    "original": {"type": VanillaCLIP},
}

_SOLVES = Needs("{}.mode other than 'logits'", lambda value: value("mode") != "logits")
_PATHS, _VELOCITIES = one_of("mode", "optimal_path", "fusion"), one_of("mode", "max_velocity", "fusion")


@MODELS.register_module()
class DSLO(AroundMethod):
    """Direct segmentation from the discrepancy of any method's logits over any network's graph. Whole images only.

    Options are also those of :class:`MassSettings`, :class:`Discrepancy` and :class:`Upsampling`.

    Args:
        base: config of the method whose logits are used, after its own refinement, e.g. ``dict(type='SCLIP')``;
            ``None``: ``attention`` below.
        attention: of CLIP's last block, without a base: ``key`` or ``query`` with themselves, without residual and
            feed-forward; ``original``: the block as it was trained. ``None``: ``key``.
        graph: config of the network that gives A, e.g. ``dict(type='StableDiffusion')``; any module with
            ``graph(images (B, 3, H, W) in grey levels, grid) -> (B, N, N)``.
        **kwargs: see :class:`OpenVocabSegmentor`; the head's ``prob_threshold`` looks at the base's probabilities.

    Raises:
        ValueError: a setting out of range, settings that exclude each other, or a base that cannot be one.
    """

    modes = ("whole",)
    option_records: ClassVar[dict[str, type]] = {
        "suppression": MassSettings,
        "discrepancy": Discrepancy,
        "upsampling": Upsampling,
    }
    label_options = frozenset(
        field.name for record in option_records.values() for field in fields(record) if field.name != "mode"
    )
    acts_with: ClassVar[Mapping[str, Needs]] = {
        **dict.fromkeys((field.name for field in fields(MassSettings)), _SOLVES),
        **dict.fromkeys(("iterations", "epsilon", "marginal", "cost", "cost_range", "self_attention"), _PATHS),
        **dict.fromkeys(("tau", "criterion", "max_steps", "first_step", "ipf_iterations"), _VELOCITIES),
        "kl_direction": one_of("mode", "kl"),
        **dict.fromkeys(("sigma_space", "sigma_range", "radius"), one_of("upsampling", "jbu")),
    }
    timed_steps = ("encode", "graph_attention", "distribution", "upsample")
    complexity_steps: ClassVar[dict[str, str]] = {
        "logits": "encode",
        "attention": "graph_attention",
        "distribution": "distribution",
        "upsampling": "upsample",
    }

    def __init__(
        self,
        *,
        base: dict[str, Any] | None = None,
        attention: str | None = None,
        graph: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        records = {name: take_options(record, kwargs) for name, record in self.option_records.items()}
        check_choice("attention", attention, (None, *_DEFAULT_BASES))
        if base and attention:
            raise ValueError("model.attention has no effect beside model.base: leave one of them out.")
        if kwargs.get("pamr_steps"):
            raise ValueError(
                "DSLO takes no PAMR of its own: leave model.pamr_steps out, and give it to the base, as in"
                " model.base=dict(type='NACLIP', pamr_steps=10)."
            )
        if _says("pamr_steps", base):
            kwargs.pop("pamr_steps", None)
        test_cfg = test_cfg or {"mode": "whole"}
        plain = {name: value for name, value in _DEFAULT_BASES[attention or "key"].items() if name not in kwargs}
        super().__init__(base=base or plain, test_cfg=test_cfg, **kwargs)
        for name, record in records.items():
            setattr(self, name, record)
        self.logit_factor = 1.0
        self.common["pamr_steps"] = self.pamr_steps = 0
        self._check_base()
        self.companion("graph", graph, gives="graph", optional=True)
        self._check_graph()

    # -- the five stages --------------------------------------------------------------------------------------------

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """What the base sees, and the graph A (B, N, N) of the images' patches."""
        seen = super().look(scenes)
        if self.discrepancy.needs_graph:
            images = [scene.image for scene in scenes]
            # One by one: convolutions round with the batch, and at a tie the last digit decides about a label.
            graphs = [self.graph_attention(image[None], self.backbone.grid(image[None])) for image in images]
            seen = {**seen, GRAPH: torch.cat(graphs)}
        return seen

    def graph_attention(self, inputs: Tensor, grid: Size) -> Tensor:
        """The graph A (B, N, N) of images (B, 3, H, W); rows sum to 1."""
        return self.graph.graph(self.grey_levels(inputs), grid)

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """The base's refinement; then NMS, Eq. 2, early rejection, D over the graph, and D's upsampling."""
        base = super().refine(scene, canvases)
        if base.regions is not None or base.queries is not None:
            raise ValueError(f"{type(self.base).__name__} gives a class to regions, or rejects some, before DSLO can.")
        logits = base.logits.on_grid(self.backbone.grid(scene.image))  # (Q, h, w)
        name, path = type(self.base).__name__, scene.path or "(no path)"
        wrong = f"{name}.refine has made logits of the image {path} that are not numbers (NaN or infinite)."
        refuse_if(~logits.isfinite().all(), partial(ValueError, wrong))
        scores, queries = self.distribution(logits, scene.seen.get(GRAPH))
        return Refined(self.upsample(scores, scene, base.logits), queries, confidence=base.confidence or base.logits)

    label = OpenVocabSegmentor.label

    def patch_logits(
        self, inputs: Tensor, scenes: Sequence[Scene] | None = None, places: Sequence[Place] = ()
    ) -> Tensor:
        """The base's cosines (B, Q, h, w)."""
        return self.base.patch_logits(inputs, scenes, places) / self.base.logit_factor

    # -- steps of refine --------------------------------------------------------------------------------------------

    def masses(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised logits f (N, K), their queries (K,), and confidences (N, K), after NMS and early rejection."""
        head = self.decode_head
        return self.suppression.masses(logits, head.query_class, head.num_classes)

    def distribution(self, logits: Tensor, graph: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the argmax is taken of, (K, h, w), and its queries (K,), from logits (Q, h, w) and A (N, N)."""
        if self.discrepancy.mode == "logits":
            return logits, torch.arange(len(logits), device=logits.device)
        # Contiguous, because the layout decides how sums round: one layout, whatever the base.
        mass, queries, confidence = self.masses(logits.contiguous().flatten(1).T)
        graph = None if graph is None else graph.to(mass.dtype)
        return self.discrepancy.solve(mass, graph, confidence).T.unflatten(1, logits.shape[-2:]), queries

    def upsample(self, scores: Tensor, scene: Scene, base: Canvas) -> Canvas:
        """Scores (K, h, w) on the pixels of the original image."""
        return self.upsampling.canvas(scores, self.grey_levels(scene.image), scene.size, like=base)

    # -- what cannot be composed ------------------------------------------------------------------------------------

    def _check_base(self) -> None:
        for depth, method in enumerate(from_outside_in(self.base), start=1):
            name = type(method).__name__
            if isinstance(method, DSLO):
                raise ValueError("model.base must not be DSLO, because its scores are no longer cosines.")
            if type(method).label not in (OpenVocabSegmentor.label, AroundMethod.label):
                raise ValueError(f"DSLO labels images itself: it cannot keep the labelling step of its base {name}.")
            if method.of_classes:
                raise ValueError(
                    f"DSLO solves for the logits of queries, but its base {name} has merged them to classes."
                )
            if method.votes:
                raise ValueError(
                    f"DSLO solves for logits, but its base {name} lets the pixels of a region vote with their classes:"
                    f" set model.{'base.' * depth}{method.votes_off}, or leave its regions out."
                )

    def _check_graph(self) -> None:
        if self.discrepancy.needs_graph and self.graph is None:
            raise ValueError(
                f"model.mode={self.discrepancy.mode!r} needs a graph: set model.graph=dict(type='StableDiffusion'),"
                " 'DINOv2', 'DINO' or 'CLIPGraph'; or take model.mode='kl'."
            )
        if hasattr(self.graph, "attach"):
            self.graph.attach(self.backbone, self.data_preprocessor.mean, self.data_preprocessor.std)


def _says(option: str, base: Mapping[str, Any] | None) -> bool:
    """Whether a base, or what it is around, has a setting of its own for an option."""
    return isinstance(base, Mapping) and (option in base or _says(option, base.get("base")))
