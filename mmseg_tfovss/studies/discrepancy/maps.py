"""What DSLO makes of one image: mass, path, velocity and final map of every class. Li et al., CVPR 2026, Figure 4.

A class's map is, at every place, the largest of its queries' that early rejection has left: what the labels look at.
Both solvers are shown whatever the mode; the final map and the labels are those of the mode.
"""

from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.methods.dslo import DSLO, WITH_GRAPH
from mmseg_tfovss.ops.windows import DenseLogits, Size
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.solvers import convergence_steps, iterative_proportional_fitting, sinkhorn_log_potentials


@dataclass(frozen=True)
class DiscrepancyMaps:
    """Maps of the K classes that are shown, on the CPU; the larger a value, the more it speaks for the class.

    Attributes:
        grid: h and w of the patches, N = h w.
        classes: ids of the K classes, those with most pixels in the labels first.
        survivors: how many classes early rejection has left.
        mass: normalised logits f, (K, h, w).
        optimal_path: O.P., (K, h, w); of a distance the negative.
        max_velocity: M.V., (K, h, w).
        final: what the labels are the argmax of, (K, H, W).
        labels: class ids (H, W).
        capped: (K,) patches that have not converged within ``max_steps``.
        violation: (K,) sum over patches of |what Sinkhorn's plan gives or takes - what it should|.
    """

    grid: Size
    classes: tuple[int, ...]
    survivors: int
    mass: Tensor
    optimal_path: Tensor
    max_velocity: Tensor
    final: Tensor
    labels: Tensor
    capped: Tensor
    violation: Tensor


def require_dslo(config: Config, command: str) -> None:
    """Raise ValueError unless a config's method is of DSLO's kind; an unknown name is left to those who build it."""
    kind = MODELS.get(config.model.type) if isinstance(config.model.get("type"), str) else None
    if kind is not None and not issubclass(kind, DSLO):
        raise ValueError(
            f"{command} looks into DSLO's discrepancies, but the config's method is {config.model.type}: use a config"
            " below configs/dslo."
        )


@torch.inference_mode()
def find_discrepancy_maps(
    model: DSLO, image: Tensor, size: Size, max_classes: int = 6, name: str = ""
) -> DiscrepancyMaps:
    """Run the method on one image.

    Args:
        model: any DSLO with a graph.
        image: normalised, (3, H', W').
        size: H and W of the original image.
        max_classes: show so many classes.
        name: of the image, for messages.

    Raises:
        ValueError: no graph, no class to show, or an image that cannot be used.
    """
    if max_classes < 1:
        raise ValueError(f"--max-classes must be at least 1, but got {max_classes}.")
    if model.graph is None:
        raise ValueError(
            f"discrepancy shows paths over a graph, but model.mode={model.discrepancy!r} has none here: set"
            " model.graph=dict(type='StableDiffusionGraph'), 'DINOv2Graph', 'DINOGraph' or 'CLIPGraph'."
        )
    logits = model.inference([image], [{"ori_shape": size, "img_path": name}])[0]
    labels, graph = model.label(logits), _graph(model, image, logits)
    count, query_class = model.decode_head.out_channels, model.decode_head.query_class
    mass, queries = model.masses(logits.patches[:count].flatten(1).T)
    own = query_class[queries]
    classes = most_pixels_first(labels, own.unique())[:max_classes]
    capped, violation = capped_patches(model, mass, graph), marginal_violation(model, mass, graph)
    grid = (logits.patches.shape[-2], logits.patches.shape[-1])

    def show(values: Tensor) -> Tensor:
        return _best_of(values, own, classes).T.unflatten(1, grid).cpu()

    return DiscrepancyMaps(
        grid=grid,
        classes=tuple(classes.tolist()),
        survivors=len(own.unique()),
        mass=show(mass),
        optimal_path=show(model.optimal_path(mass, graph)),
        max_velocity=show(model.max_velocity(mass, graph)),
        final=final_maps(model, logits, classes).cpu(),
        labels=labels.cpu(),
        capped=torch.stack([capped[:, own == c].all(dim=1).sum() for c in classes]).cpu(),
        violation=torch.stack([violation[own == c].amax() for c in classes]).cpu(),
    )


def most_pixels_first(labels: Tensor, classes: Tensor) -> Tensor:
    """Class ids (K,), ascending, ordered by their pixels in labels (H, W)."""
    areas = labels.flatten().bincount(minlength=int(classes.max()) + 1)
    return classes[areas[classes].argsort(descending=True, stable=True)]


def capped_patches(model: DSLO, mass: Tensor, graph: Tensor) -> Tensor:
    """Which patches of masses (N, K) hit the cap of the Markov chain's steps, (N, K) bool."""
    transition = iterative_proportional_fitting(graph, iterations=model.ipf_iterations)
    return convergence_steps(mass, transition, tau=model.tau, criterion=model.criterion, max_steps=model.max_steps)[1]


def marginal_violation(model: DSLO, mass: Tensor, graph: Tensor) -> Tensor:
    """By how much the rows or the columns of Sinkhorn's plan miss the mass (N, K) or 1 / N, sums over patches: (K,)."""
    cost = model.path_cost(graph)
    potentials = sinkhorn_log_potentials(mass, cost, epsilon=model.epsilon, iterations=model.iterations)
    missed = []
    for f, mu, nu in zip(mass.T, *(potential.T for potential in potentials), strict=True):
        plan = (cost.double() / -model.epsilon + mu[:, None] + nu).exp()
        rows, columns = (plan.sum(dim=1) - f).abs().sum(), (plan.sum(dim=0) - 1 / len(f)).abs().sum()
        missed.append(torch.maximum(rows, columns))
    return torch.stack(missed)


def final_maps(model: DSLO, logits: DenseLogits, classes: Tensor) -> Tensor:
    """What the labels are the argmax of, at the original size, of some classes (K,): (K, H, W)."""
    scores, queries = model.distribution(logits.patches)
    own = model.decode_head.query_class[queries]
    shown = torch.isin(own, classes)
    strips = [
        _best_of(strip.transpose(1, 2), own[shown], classes).permute(2, 0, 1)
        for _, _, strip in model.upsample(scores[shown], logits)
    ]
    return torch.cat(strips, dim=1)


def _graph(model: DSLO, image: Tensor, logits: DenseLogits) -> Tensor:
    """A (N, N) of the image; the modes that need it have it behind the logits."""
    if model.discrepancy in WITH_GRAPH:
        return logits.patches[model.decode_head.out_channels :].flatten(1)
    return model.graph_attention(image[None], (logits.patches.shape[-2], logits.patches.shape[-1]))[0].float()


def _best_of(values: Tensor, own: Tensor, classes: Tensor) -> Tensor:
    """Values (..., Q) of queries that belong to the classes ``own`` -> the largest of each class, (..., K)."""
    return torch.stack([values[..., own == c].amax(dim=-1) for c in classes], dim=-1)
