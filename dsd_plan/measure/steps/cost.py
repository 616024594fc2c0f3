"""What a grid costs in time, told from a few cheap steps: what the time cannot hold three times is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dsd_plan.measure.machine import Clock
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.runner import Runner
from dsd_plan.measure.steps.sampling import FEWEST_SAMPLES

OVERRUN = 1.5
"""How far beyond its budget a measurement may go, so that every point has its three samples."""
LEAST_S = 60.0
"""A measurement may take so long, however short its budget."""
REPEATED_S = 5.0
"""Probes shorter than this are run a second time, warm: the first on an accelerator also prepares it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Rough step times: linear in tokens and in cache, as single sequences show them."""

    step_s: float
    per_token_s: float
    per_kv_token_s: float
    per_prompt_token_s: float

    def seconds(self, point: GridPoint) -> float:
        """About how long a step takes."""
        if point.phase == "prefill":
            return self.step_s + self.per_prompt_token_s * point.batch * point.new_tokens
        tokens, cached = point.batch * point.new_tokens, point.batch * point.context_tokens
        return self.step_s + self.per_token_s * tokens + self.per_kv_token_s * cached


def estimate(runner: Runner, points: Sequence[GridPoint], clock: Clock) -> Estimate:
    """From the smallest steps of a grid along each axis."""
    decode = [point for point in points if point.phase == "decode"]
    prefill = [point for point in points if point.phase == "prefill" and point.context_tokens == 0]
    first = min(decode)
    most_new = max(p for p in decode if (p.batch, p.context_tokens) == (first.batch, first.context_tokens))
    alone = [p for p in decode if (p.batch, p.new_tokens) == (first.batch, first.new_tokens)]
    longest = max(alone, key=lambda point: point.context_tokens)
    first_s = _timed_s(runner.prepared(first), clock)

    def slope(point: GridPoint, size: Callable[[GridPoint], int]) -> float:
        more = size(point) - size(first)
        return max(0.0, _timed_s(runner.prepared(point), clock) - first_s) / more if more > 0 else 0.0

    per_token_s = slope(most_new, lambda point: point.batch * point.new_tokens)
    per_kv_token_s = slope(longest, lambda point: point.batch * point.context_tokens)
    per_prompt_token_s = per_token_s
    if prefill:
        least = min(prefill)
        per_prompt_token_s = _timed_s(runner.prepared(least), clock) / (least.batch * least.new_tokens)
    return Estimate(first_s, per_token_s, per_kv_token_s, per_prompt_token_s)


def affordable(points: Sequence[GridPoint], cost: Estimate, budget_s: float) -> tuple[GridPoint, ...]:
    """The points without the dearest, so many that three samples of each fit the time; the cheapest eight stay."""
    allowed_s = max(OVERRUN * budget_s, LEAST_S)
    by_cost = sorted(points, key=lambda point: (cost.seconds(point), point))
    kept, spent_s = set(by_cost[:8]), FEWEST_SAMPLES * sum(cost.seconds(point) for point in by_cost[:8])
    for point in by_cost[8:]:
        spent_s += FEWEST_SAMPLES * cost.seconds(point)
        if spent_s > allowed_s:
            break
        kept.add(point)
    return tuple(point for point in points if point in kept)


def _timed_s(step: Callable[[], None], clock: Clock) -> float:
    began_s = clock.wall_s()
    step()
    first_s = clock.wall_s() - began_s
    if first_s > REPEATED_S:
        return first_s
    began_s = clock.wall_s()
    step()
    return clock.wall_s() - began_s
