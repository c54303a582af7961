"""How long DSLO's solvers and joint bilateral upsampling take, and how long POT takes for the same, class by class."""

import time
from collections.abc import Callable
from functools import partial

import torch
from rich.table import Table
from torch import Tensor

from mmseg_tfovss.extras import import_extra
from mmseg_tfovss.ops import joint_bilateral_upsample
from mmseg_tfovss.ops.graph import transport_cost, without_self_attention
from mmseg_tfovss.solvers import iterative_proportional_fitting, max_velocity, optimal_path

SIZES = ((1024, 21), (4096, 20))  # patches, classes
SPREADS = (79, 599)  # epsilon: the largest that float32 and float64 serve
_POT_CLASSES = 2  # of large problems, timed and multiplied


def time_solvers(device: str | torch.device, repeats: int) -> Table:
    """Time random problems: the best of ``repeats`` runs, in milliseconds.

    Args:
        device: where ours run; POT runs on the CPU, in float64, as it comes.
        repeats: runs, >= 1.
    """
    import_extra("ot", "The comparison of solvers")  # before anything is timed
    table = Table(title=f"Solvers, best of {repeats}, milliseconds")
    for name in ("patches x classes", "optimal path", "POT, a class at a time", "ratio", "maximum velocity"):
        table.add_column(name, justify="right")
    for patches, classes in SIZES:
        mass, graph = (tensor.to(device) for tensor in _random_problem(patches, classes))
        cost = transport_cost(without_self_attention(graph), "neg_log")
        ours = _best(partial(optimal_path, mass, cost), repeats, device)
        chain = _best(partial(_velocity, mass, graph), repeats, device)
        timed = classes if patches <= SIZES[0][0] else _POT_CLASSES
        pot = _best(partial(_pot, mass[:, :timed], cost), repeats, "cpu")
        pot *= classes / timed
        table.add_row(f"{patches} x {classes}", f"{ours:.1f}", f"{pot:.0f}", f"{pot / ours:.0f}", f"{chain:.1f}")
    maps, guide = torch.randn(1, 21, 32, 32, device=device), torch.rand(1, 3, 512, 512, device=device)
    upsampling = _best(lambda: joint_bilateral_upsample(maps, guide), repeats, device)
    kernels = " and ".join(f"{time_kernel(device, repeats, spread):.0f} ms up to {spread:g}" for spread in SPREADS)
    table.caption = (
        f"Joint bilateral upsampling of 21 classes from 32 x 32 to 512 x 512: {upsampling:.1f} ms. 50 iterations of the"
        f" optimal path of {SIZES[0][0]} x {SIZES[0][1]}, by the largest cost in epsilon: {kernels}."
    )
    return table


def time_kernel(device: str | torch.device, repeats: int, spread: float, epsilon: float = 0.1) -> float:
    """Milliseconds of 50 iterations of the optimal path, with costs of up to ``spread`` epsilon."""
    mass, graph = (tensor.to(device) for tensor in _random_problem(*SIZES[0]))
    cost = transport_cost(without_self_attention(graph), "neg_log")
    cost = cost * (spread * epsilon / cost.max())
    return _best(partial(optimal_path, mass, cost, epsilon=epsilon, tolerance=0), repeats, device)


def _random_problem(patches: int, classes: int) -> tuple[Tensor, Tensor]:
    """A mass (N, C) and a graph (N, N)."""
    generator = torch.Generator().manual_seed(0)
    mass = torch.randn(patches, classes, generator=generator).mul(3).softmax(dim=0)
    return mass, torch.randn(patches, patches, generator=generator).mul(2).softmax(dim=-1)


def _velocity(mass: Tensor, graph: Tensor) -> Tensor:
    return max_velocity(mass, iterative_proportional_fitting(graph))


def _pot(mass: Tensor, cost: Tensor) -> None:
    ot = import_extra("ot", "The comparison of solvers")
    targets = torch.full((len(cost),), 1 / len(cost), dtype=torch.float64).numpy()
    exact = (mass.double() / mass.double().sum(dim=0)).cpu().numpy()
    costs = cost.double().cpu().numpy()
    for column in exact.T:
        plan = ot.sinkhorn(column, targets, costs, 0.1, numItermax=50, stopThr=0, warn=False)
        (plan * costs).sum(axis=0)


def _best(run: Callable[[], object], repeats: int, device: str | torch.device) -> float:
    """Milliseconds of the fastest run."""
    best = float("inf")
    for _ in range(repeats + 1):  # one to warm up
        start = time.perf_counter()
        run()
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, 1e3 * (time.perf_counter() - start))
    return best
