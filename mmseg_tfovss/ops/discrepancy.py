"""How far a class's mass lies from the uniform distribution, patch by patch, over a graph. DSLO, Eqs. 3-12.

    optimal path       D_j = sum_i C_ij pi_ij,  pi = diag(mu) exp(-C / eps) diag(nu) from f to 1 / N      (Eqs. 3-8)
    maximum velocity   D_i = 1 / l_i,  l_i = step at which f T^l has converged at patch i, T from A by IPF (10-12);
                       where classes tie, at l = 1 or never reached, the more confident one wins
    fusion             mean of both, each scaled to [0, 1] over the patches of all classes
    kl                 terms of the divergence; no graph

f is a class's mass over the N patches, A the graph, C its cost.
"""

from dataclasses import dataclass

from torch import Tensor

from mmseg_tfovss.checks import check_option, check_range
from mmseg_tfovss.ops.graph import COSTS, DISTANCES, transport_cost, without_self_attention
from mmseg_tfovss.ops.mass import rescale
from mmseg_tfovss.solvers import (
    CRITERIA,
    FIRST_STEPS,
    KL_DIRECTIONS,
    MARGINALS,
    iterative_proportional_fitting,
    kl_discrepancy,
    max_velocity,
    optimal_path,
)

MODES = ("max_velocity", "optimal_path", "fusion", "kl", "logits")
WITH_GRAPH = MODES[:3]
# Velocities tie: at 1, where several classes have enough mass at once, and at 1 / max_steps, where none arrives. Of a
# confidence in [0, 1] this share is added, which decides between equals and hardly anything else.
TIE_BREAK = 1e-3


@dataclass(frozen=True)
class Discrepancy:
    """Which discrepancy is solved for, and how.

    Attributes:
        mode: ``max_velocity``, ``optimal_path``, ``fusion``, or, without a graph, ``kl`` and ``logits`` (none at all).
        cost: C from A: ``neg_log``, ``one_minus``, ``attention`` or, to the letter of Eq. 5, ``raw``; see
            :func:`mmseg_tfovss.ops.graph.transport_cost`.
        self_attention: let C see how much a patch attends to itself. Without, that counts as its largest affinity to
            another one, so that staying is never dearer than leaving, nor much cheaper. ``raw`` always sees it.
        cost_range: largest cost; the default is 80 times the default ``epsilon``. Above that ratio the solver takes
            float64 and twice the time, above 600 logarithms and more than a hundred times as long. Not with ``raw``.
        marginal: which patch D belongs to: the ``target`` or the ``source`` of a path.
        epsilon: entropy of the plan.
        iterations: Sinkhorn's.
        tau: threshold of convergence.
        criterion: of convergence, see :func:`mmseg_tfovss.solvers.convergence_steps`.
        max_steps: of the Markov chain.
        first_step: what counts for patches that converge within it, ``capped`` or ``interpolated``, see the same.
        ipf_iterations: rounds that make A doubly stochastic.
        kl_direction: see :func:`mmseg_tfovss.solvers.kl_discrepancy`.
    """

    mode: str = "max_velocity"
    cost: str = "neg_log"
    self_attention: bool = False
    cost_range: float = 8.0
    marginal: str = "target"
    epsilon: float = 0.1
    iterations: int = 50
    tau: float = 0.3
    criterion: str = "relative_mass"
    max_steps: int = 50
    first_step: str = "capped"
    ipf_iterations: int = 15
    kl_direction: str = "mass_to_uniform"

    def __post_init__(self) -> None:
        choices = {
            "mode": MODES,
            "cost": COSTS,
            "marginal": MARGINALS,
            "criterion": CRITERIA,
            "first_step": FIRST_STEPS,
            "kl_direction": KL_DIRECTIONS,
            "self_attention": (True, False),
        }
        for name, valid in choices.items():
            check_option(f"model.{name}", getattr(self, name), valid)
        for name, (low, high) in {"cost_range": (1e-3, 1e6), "epsilon": (1e-6, 1e6), "tau": (1e-9, 1e6)}.items():
            check_range(f"model.{name}", getattr(self, name), low, high)
        for name in ("iterations", "max_steps", "ipf_iterations"):
            check_range(f"model.{name}", getattr(self, name), 1, 1e6, whole=True)
        if self.cost == "raw" and self.cost_range != type(self).cost_range:
            raise ValueError(
                f"model.cost_range={self.cost_range!r} has no effect beside model.cost='raw', which is the attention as"
                " it is: leave one of them out, or take model.cost='attention'."
            )

    @property
    def needs_graph(self) -> bool:
        """Whether the mode solves over a graph."""
        return self.mode in WITH_GRAPH

    def solve(self, mass: Tensor, graph: Tensor | None, confidence: Tensor) -> Tensor:
        """The discrepancy D (N, K), of which the largest wins.

        Args:
            mass: f, (N, K).
            graph: A, (N, N); ``None`` where the mode needs none.
            confidence: (N, K) in [0, 1], for velocities that tie.
        """
        if self.mode == "kl":
            terms = kl_discrepancy(mass, direction=self.kl_direction)
            return terms if self.kl_direction == "mass_to_uniform" else -terms  # u log(u / f) falls as f grows
        assert graph is not None
        if self.mode == "optimal_path":
            return self.optimal_path(mass, graph)
        velocity = self.max_velocity(mass, graph)
        if self.first_step == "capped":
            velocity = velocity + TIE_BREAK * confidence
        if self.mode == "max_velocity":
            return velocity
        return (rescale(self.optimal_path(mass, graph)) + rescale(velocity)) / 2

    def optimal_path(self, mass: Tensor, graph: Tensor) -> Tensor:
        """Length of the path from the mass to every patch; its negative where ``cost`` is a distance."""
        cost = self.path_cost(graph)
        path = optimal_path(mass, cost, epsilon=self.epsilon, iterations=self.iterations, marginal=self.marginal)
        nearest_wins = self.cost in DISTANCES and self.marginal == "target"
        return -path if nearest_wins else path

    def path_cost(self, graph: Tensor) -> Tensor:
        """C (N, N) of a graph (N, N)."""
        if self.cost == "raw":
            return graph
        graph = graph if self.self_attention else without_self_attention(graph)
        return self.cost_range * transport_cost(graph, self.cost)

    def max_velocity(self, mass: Tensor, graph: Tensor) -> Tensor:
        """Velocity at which the mass reaches every patch."""
        transition = iterative_proportional_fitting(graph, iterations=self.ipf_iterations)
        return max_velocity(
            mass,
            transition,
            tau=self.tau,
            criterion=self.criterion,
            max_steps=self.max_steps,
            first_step=self.first_step,
        )
