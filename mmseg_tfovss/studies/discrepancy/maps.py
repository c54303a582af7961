"""What DSLO makes of one image: mass, path, velocity and final map of every class. Li et al., CVPR 2026, Figure 4.

A class's map is, at every place, the largest of its queries' that early rejection has left: what the labels look at.
Both solvers are shown whatever the mode; the final map and the labels are those of the mode.
"""

from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_tfovss.methods.dslo import DSLO, GRAPH
from mmseg_tfovss.methods.stages import Assembly, Refined, Scene
from mmseg_tfovss.ops.canvas import Size
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
            f"discrepancy shows paths over a graph, but model.mode={model.discrepancy.mode!r} has none here: set"
            " model.graph=dict(type='StableDiffusion'), 'DINOv2', 'DINO' or 'CLIPGraph'."
        )
    [assembly] = model.inference([image], [{"ori_shape": size, "img_path": name}])
    refined = model.refine(assembly.scene, assembly.canvases)
    labels, query_class = model.label(assembly.scene, refined), model.decode_head.query_class
    grid = model.backbone.grid(image)
    graph = _graph(model, assembly.scene, grid)
    mass, queries, _ = model.masses(base_logits(model, assembly).flatten(1).T)
    own = query_class[queries]
    classes = most_pixels_first(labels, own.unique())[:max_classes]
    capped, violation = capped_patches(model, mass, graph), marginal_violation(model, mass, graph)

    def show(values: Tensor) -> Tensor:
        return _best_of(values, own, classes).T.unflatten(1, grid).cpu()

    return DiscrepancyMaps(
        grid=grid,
        classes=tuple(classes.tolist()),
        survivors=len(own.unique()),
        mass=show(mass),
        optimal_path=show(model.discrepancy.optimal_path(mass, graph)),
        max_velocity=show(model.discrepancy.max_velocity(mass, graph)),
        final=final_maps(model, refined, classes).cpu(),
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
    chain = model.discrepancy
    transition = iterative_proportional_fitting(graph, iterations=chain.ipf_iterations)
    return convergence_steps(mass, transition, tau=chain.tau, criterion=chain.criterion, max_steps=chain.max_steps)[1]


def marginal_violation(model: DSLO, mass: Tensor, graph: Tensor) -> Tensor:
    """By how much the rows or the columns of Sinkhorn's plan miss the mass (N, K) or 1 / N, sums over patches: (K,)."""
    path = model.discrepancy
    cost = path.path_cost(graph)
    potentials = sinkhorn_log_potentials(mass, cost, epsilon=path.epsilon, iterations=path.iterations)
    missed = []
    for f, mu, nu in zip(mass.T, *(potential.T for potential in potentials), strict=True):
        plan = (cost.double() / -path.epsilon + mu[:, None] + nu).exp()
        rows, columns = (plan.sum(dim=1) - f).abs().sum(), (plan.sum(dim=0) - 1 / len(f)).abs().sum()
        missed.append(torch.maximum(rows, columns))
    return torch.stack(missed)


def base_logits(model: DSLO, assembly: Assembly) -> Tensor:
    """The base's refined logits (Q, h, w) on the image's patches."""
    grid = model.backbone.grid(assembly.scene.image)
    return model.base.refine(assembly.scene, assembly.canvases).logits.on_grid(grid)


def final_maps(model: DSLO, refined: Refined, classes: Tensor) -> Tensor:
    """What the labels are the argmax of, at the original size, of some classes (K,): (K, H, W)."""
    assert refined.queries is not None
    own = model.decode_head.query_class[refined.queries]
    shown = torch.isin(own, classes)
    strips = [
        _best_of(block.transpose(1, 2)[..., shown], own[shown], classes).permute(2, 0, 1)
        for _, _, block in refined.logits.blocks()
    ]
    return torch.cat(strips, dim=1)


def _graph(model: DSLO, scene: Scene, grid: Size) -> Tensor:
    """A (N, N) of the image; only the modes that need it have seen it."""
    if GRAPH in scene.seen:
        return scene.seen[GRAPH].float()
    return model.graph_attention(scene.image[None], grid)[0].float()


def _best_of(values: Tensor, own: Tensor, classes: Tensor) -> Tensor:
    """Values (..., Q) of queries that belong to the classes ``own`` -> the largest of each class, (..., K)."""
    return torch.stack([values[..., own == c].amax(dim=-1) for c in classes], dim=-1)
