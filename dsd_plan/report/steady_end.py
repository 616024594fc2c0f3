"""Where the steady state of a load curve ends: at the knee, or before it, where another limit than steps is reached."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from dsd_plan.domain.study import LoadCurve
from dsd_plan.report.numbers import multiple
from dsd_plan.report.reading import knee_of

NEAR_KNEE = 0.97
"""Saturation from which a load without a steady state counts as the knee: points lie some per cent apart."""


@dataclass(frozen=True, slots=True)
class SteadyEnd:
    """The load at which nothing settles any more."""

    load: float
    is_knee: bool
    """Whether saturation reaches 1 there; if not, another limit comes first, such as the room in KV memory."""

    @property
    def words(self) -> str:
        """What stands beside its line."""
        return f"{'knee' if self.is_knee else 'unsettled from'} {multiple(self.load)}×"

    @property
    def sentence(self) -> str:
        """What a sentence says of it."""
        if self.is_knee:
            return f"waiting grows without bound at {multiple(self.load)} ×"
        return f"from {multiple(self.load)} × nothing settles (not for want of steps: KV memory or another limit)"


def end_of(curve: LoadCurve) -> SteadyEnd | None:
    """Where the steady state of the drawn points ends; None where they all have one.

    Saturation grows with load in proportion. Where that leaves it well below 1 at the first load without a steady
    state, that load is no knee.
    """
    knee = knee_of(curve)
    if knee is None:
        return None
    points = sorted(curve.points, key=lambda p: p.load)
    before, after = next((a, b) for a, b in pairwise(points) if a.saturation < 1 <= b.saturation)
    if before.load > 0 and before.saturation * after.load / before.load < NEAR_KNEE:
        return SteadyEnd(after.load, False)
    return SteadyEnd(knee, True)
