"""Discrepancy solvers: pure functions on masses (..., N, C) and matrices (..., N, N); they have never heard of CLIP."""

from mmseg_tfovss.solvers.kl import KL_DIRECTIONS, kl_discrepancy
from mmseg_tfovss.solvers.markov import (
    CRITERIA,
    FIRST_STEPS,
    convergence_steps,
    iterative_proportional_fitting,
    max_velocity,
)
from mmseg_tfovss.solvers.sinkhorn import MARGINALS, optimal_path, sinkhorn_log_potentials, sinkhorn_plan_potentials

__all__ = [
    "CRITERIA",
    "FIRST_STEPS",
    "KL_DIRECTIONS",
    "MARGINALS",
    "convergence_steps",
    "iterative_proportional_fitting",
    "kl_discrepancy",
    "max_velocity",
    "optimal_path",
    "sinkhorn_log_potentials",
    "sinkhorn_plan_potentials",
]
