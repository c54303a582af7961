"""All readings of DSLO's equations: every mode with every value of the options that act in it."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from torch import Tensor

from mmseg_tfovss.ops.discrepancy import WITH_GRAPH, Discrepancy
from mmseg_tfovss.ops.graph import COSTS
from mmseg_tfovss.solvers import CRITERIA, FIRST_STEPS, KL_DIRECTIONS, MARGINALS

LOGITS = "logits"  # the mode that solves nothing
TAUS = (0.1, 0.3, 0.6)
_PATH: dict[str, Sequence[object]] = {"cost": COSTS, "marginal": MARGINALS}
_VELOCITY: dict[str, Sequence[object]] = {"criterion": tuple(CRITERIA), "tau": TAUS, "first_step": FIRST_STEPS}
AXES: dict[str, Mapping[str, Sequence[object]]] = {
    LOGITS: {},
    "kl": {"kl_direction": KL_DIRECTIONS},
    "optimal_path": _PATH,
    "max_velocity": _VELOCITY,
    "fusion": {**_PATH, **_VELOCITY},
}


@dataclass(frozen=True)
class Reading:
    """One reading.

    Attributes:
        mode: of :class:`Discrepancy`.
        values: of the options that act in this mode.
    """

    mode: str
    values: tuple[tuple[str, object], ...] = ()

    @property
    def options(self) -> dict[str, object]:
        """Of :class:`Discrepancy`."""
        return {"mode": self.mode, **dict(self.values)}

    @property
    def is_default(self) -> bool:
        """Whether the mode alone would be read so."""
        return self.discrepancy() == Discrepancy(mode=self.mode)

    def discrepancy(self) -> Discrepancy:
        """What solves it."""
        return Discrepancy(**self.options)  # type: ignore[arg-type]


def all_readings(*, needs_graph: bool) -> list[Reading]:
    """Each reading once, mode by mode, but for that of the logits.

    Args:
        needs_graph: those that are solved on a graph, or those that are not.
    """
    return [
        Reading(mode, tuple(zip(axes, values, strict=True)))
        for mode, axes in AXES.items()
        if mode != LOGITS and (mode in WITH_GRAPH) == needs_graph
        for values in itertools.product(*axes.values())
    ]


def solve_readings(
    readings: Sequence[Reading], mass: Tensor, graph: Tensor | None, confidence: Tensor
) -> Iterator[tuple[Reading, Tensor]]:
    """The discrepancy of every reading; a path or a velocity that several share is solved once.

    Args:
        readings: any but that of the logits.
        mass: f, (N, K).
        graph: A, (N, N); ``None`` for readings that need none.
        confidence: (N, K), see :meth:`Discrepancy.solve`.

    Yields:
        A reading, and what its labels are the argmax of, (N, K).
    """
    memory: dict[object, Tensor] = {}
    for reading in readings:
        remembering = _Remembering(**reading.options, memory=memory)  # type: ignore[arg-type]
        yield reading, remembering.solve(mass, graph, confidence)


@dataclass(frozen=True)
class _Remembering(Discrepancy):
    """A discrepancy whose two maps are looked up where another reading has solved for them, of one mass and graph."""

    memory: dict[object, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def optimal_path(self, mass: Tensor, graph: Tensor) -> Tensor:
        return self._once(super().optimal_path, _VELOCITY, mass, graph)

    def max_velocity(self, mass: Tensor, graph: Tensor) -> Tensor:
        return self._once(super().max_velocity, _PATH, mass, graph)

    def _once(
        self, solve: Callable[[Tensor, Tensor], Tensor], foreign: Mapping[str, object], mass: Tensor, graph: Tensor
    ) -> Tensor:
        own = [one.name for one in fields(Discrepancy) if one.name not in foreign and one.name != "mode"]
        key = (solve.__name__, *(getattr(self, name) for name in own))
        if key not in self.memory:
            self.memory[key] = solve(mass, graph)
        return self.memory[key]
