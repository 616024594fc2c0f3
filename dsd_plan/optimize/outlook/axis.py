"""One input on its way from where it is to an end of its range: what was asked there, and where a plan's limit lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite, log

from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.outlook.inputs import Input, Moved

RESOLUTION = 1.0 / 512.0
"""Of the way to an end: how close together the two values are that a change lies between."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Two places on the way, as shares of it: before a change and behind it."""

    before: float
    behind: float

    @property
    def narrow(self) -> bool:
        """Whether this is as close as is looked."""
        return self.behind - self.before <= RESOLUTION * (1.0 + 1e-9)

    @property
    def middle(self) -> float:
        """Half-way between."""
        return (self.before + self.behind) / 2.0


class Axis:
    """An input's way to one `end`. Nothing is asked twice at one place."""

    def __init__(self, given: Input, end: float, judge_at: Callable[[Moved], Judge]) -> None:
        self._given = given
        self._end = end
        self._judge_at = judge_at
        self._judges: dict[float, Judge] = {}

    def value(self, share: float) -> float:
        """The input at a share of the way: by ratio, or evenly."""
        now, end = self._given.now, self._end
        if self._given.by_ratio and now > 0.0 and end > 0.0:
            return now * exp(log(end / now) * share)
        return now + (end - now) * share

    def judge(self, share: float) -> Judge:
        """A judge of plans there."""
        if share not in self._judges:
            self._judges[share] = self._judge_at(self._given.at(self.value(share)))
        return self._judges[share]

    def excess(self, choice: Choice, share: float) -> float:
        """By what share a plan as it is breaks its worst budget there; 0 or less: it keeps every one."""
        return self.judge(share).judge(choice).excess

    def lead(self, choice: Choice, other: Choice, share: float, *, by_tpot: bool) -> float:
        """log of what `choice` takes over what `other` does there: the objective, or TPOT; infinite where one has none.

        Above 0: `other` is the better one.
        """
        one, two = (self.judge(share).judge(plan) for plan in (choice, other))
        times = (one.tpot_ms, two.tpot_ms) if by_tpot else (one.objective, two.objective)
        return log(times[0] / times[1]) if all(0.0 < value < inf for value in times) else inf


def crossing(of: Callable[[float], float], within: Bracket) -> Bracket | None:
    """Where `of` passes 0 upwards, as narrow as is looked; None where it does not between these two.

    By a straight line between the ends where both are finite, by halving where that gains little.
    """
    before, behind = within.before, within.behind
    low, high = of(before), of(behind)
    if low > 0.0 or high <= 0.0:
        return None
    halve = False
    while not Bracket(before, behind).narrow:
        width = behind - before
        share = 0.5
        if not halve and isfinite(low) and isfinite(high):
            # A little to the far side of the crossing: the two ends then close in together.
            step = 0.4 * RESOLUTION / width
            share = -low / (high - low)
            share += step if share < 0.5 else -step
            share = min(max(share, step), 1.0 - step)
        at = before + share * width
        value = of(at)
        if value > 0.0:
            behind, high = at, value
        else:
            before, low = at, value
        halve = not halve and behind - before > width / 2.0
    return Bracket(before, behind)
