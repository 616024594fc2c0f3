"""How sure is it that one plan is better than another? The error of a ratio, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt

import numpy as np

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Scenario
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.candidates import AnySpace, WideSpace, plan_of
from dsd_plan.optimize.choices.objective import Judge, Judged, better, tpot_weights
from dsd_plan.optimize.confirmation.backcast_error import error_of
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.evidence import survival_bounds
from dsd_plan.optimize.search.search import search

NOTHING_KNOWN = 1.0
"""Half-width of a ratio of which one replication, or a trace that may saturate the plan, tells nothing."""
LEAST_SLACK, MOST_SLACK = 0.01, 0.5
"""Shares by which budgets are loosened and tightened at least and at most, to see which prices are sure."""
LEAST_ERROR = 0.005
"""No ratio is believed to be known better: profiles and traces are rounded, too."""
# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom; 1.96 beyond.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A number of one plan over the same of another: below 1, the first is better. 95 % interval."""

    point: float
    low: float
    high: float
    errors: Mapping[str, float]
    """Half-widths as shares, by where they come from: "replay", "model", "acceptance", "backcast", "rounding"."""

    @property
    def surely_below(self) -> bool:
        """The whole interval lies below 1."""
        return self.high < 1.0

    @property
    def surely_above(self) -> bool:
        """The whole interval lies above 1."""
        return self.low > 1.0

    @property
    def error(self) -> float:
        """Half-width as a share."""
        return sqrt(sum(error**2 for error in self.errors.values()))


def scaled(ratio: Ratio, factor: float) -> Ratio:
    """The ratio where the first of the two numbers is `factor` times as large."""
    return replace(ratio, point=ratio.point * factor, low=ratio.low * factor, high=ratio.high * factor)


Measure = Callable[[Performance], float | None]


def mean_tpot(scenario: Scenario) -> Measure:
    """Mean TPOT in ms over the workloads, weighted by the tokens they ask for."""
    weights = tpot_weights(scenario)

    def measure(performance: Performance) -> float | None:
        total = weight_sum = 0.0
        for workload in performance.workloads:
            weight = weights[workload.name]
            if weight > 0.0:
                if workload.tpot_ms.mean is None:
                    return None
                total += weight * workload.tpot_ms.mean
                weight_sum += weight
        return total / weight_sum if weight_sum > 0.0 else None

    return measure


def fleet_energy(performance: Performance) -> float | None:
    """Joules a token of the whole fleet."""
    return performance.fleet.energy_j_per_token


def ratio_of(confirmation: Confirmation, measure: Measure, one: Confirmed, other: Confirmed) -> Ratio | None:
    """A quantity of one plan over another's, from replays on the same luck; None where either has none.

    Three errors are added in squares: what replications with common random numbers leave open, by how much model
    and replay disagree about this very ratio, and what the sampling error of the acceptance traces does to it; a fourth
    where the present system was measured: the error with which it was reproduced.
    """
    seen_one, seen_other = measure(one.observed.pooled), measure(other.observed.pooled)
    if not seen_one or not seen_other:
        return None
    point = seen_one / seen_other
    errors = {
        "replay": _replay_error(one, other, measure),
        "model": _model_error(one, other, measure, point),
        "acceptance": _acceptance_error(confirmation, one, other, measure),
    }
    if confirmation.backcast is not None:
        metric = "energy_j_per_token" if measure is fleet_energy else "tpot_ms.mean"
        errors["backcast"] = error_of(confirmation.backcast, metric)
    errors["rounding"] = LEAST_ERROR
    half = sqrt(sum(error**2 for error in errors.values()))
    return Ratio(point, point * exp(-half), point * exp(half), errors)


def _replay_error(one: Confirmed, other: Confirmed, measure: Measure) -> float:
    """Half-width of the mean log ratio over replications on the same luck; from each plan's own intervals without."""
    pairs = [(measure(a), measure(b)) for a, b in zip(one.observed.runs, other.observed.runs, strict=False)]
    logs = [log(a / b) for a, b in pairs if a and b]
    if len(logs) > 1:
        freedom = len(logs) - 1
        t = STUDENT_T[freedom - 1] if freedom <= len(STUDENT_T) else 1.96
        return t * float(np.std(logs, ddof=1)) / sqrt(len(logs))
    own = [_own_error(one.observed.pooled), _own_error(other.observed.pooled)]
    return NOTHING_KNOWN if None in own else sqrt(sum(error**2 for error in own if error is not None))


def _own_error(performance: Performance) -> float | None:
    """Widest relative half-width of any workload's mean TPOT; None where the replay gave no interval."""
    widest: float | None = None
    for workload in performance.workloads:
        bounds = (workload.ci or {}).get("tpot_ms.mean")
        if bounds is not None and workload.tpot_ms.mean:
            widest = max(widest or 0.0, (bounds[1] - bounds[0]) / 2.0 / workload.tpot_ms.mean)
    return widest


def _model_error(one: Confirmed, other: Confirmed, measure: Measure, seen: float) -> float:
    expected_one, expected_other = measure(one.predicted), measure(other.predicted)
    if not expected_one or not expected_other:
        return 0.0
    return abs(log(expected_one / expected_other / seen))


def _acceptance_error(confirmation: Confirmation, one: Confirmed, other: Confirmed, measure: Measure) -> float:
    """Half of what the ratio moves between both ends of every trace's survival; 0 for declared laws."""
    evaluator = confirmation.evaluator
    ends = []
    for end in (0, 1):
        values = []
        for plan in (one, other):
            deployed = _with_acceptance_at(deploy(evaluator.scenario, plan_of(evaluator.scenario, plan.choice)), end)
            if deployed is None:
                values.append(measure(plan.predicted))
                continue
            try:
                values.append(measure(evaluator.predict(deployed)))
            except UnstableError:
                return NOTHING_KNOWN  # within the trace's error the plan saturates
        if not values[0] or not values[1]:
            return 0.0
        ends.append(log(values[0] / values[1]))
    return abs(ends[1] - ends[0]) / 2.0


def _with_acceptance_at(deployed: Deployed, end: int) -> Deployed | None:
    """Every recorded trace at one end of its interval (0 low, 1 high); None where nothing was recorded."""
    streams, recorded = [], False
    for stream in deployed.streams:
        # What goes on ahead guesses a token more than it proposes.
        positions = stream.window + (stream.mode == "pipelined")
        bounds = None if stream.acceptance is None else survival_bounds(stream.acceptance, positions)
        if bounds is None:
            streams.append(stream)
            continue
        recorded = True
        survival = np.minimum.accumulate(bounds[end])
        streams.append(replace(stream, acceptance=AcceptanceLaw(survival=tuple(float(s) for s in survival))))
    return replace(deployed, streams=tuple(streams)) if recorded else None


def price_ratio(
    confirmation: Confirmation, spaces: Iterable[AnySpace], others: Sequence[AnySpace], error: float
) -> Ratio | None:
    """Cost (or devices) of the best plan of `spaces` over that of `others`; None where either keeps no budgets.

    Prices are exact; what is not is which plans keep their latency budgets. So both are searched again with these
    budgets loosened and tightened by `error`: a price that survives this is sure. Every replayed plan is a price that
    is known, whether the search comes by it again or not.
    """

    error = min(error, MOST_SLACK)
    if isinstance(others[0], WideSpace):
        return _wide_price_ratio(confirmation, spaces, others[0])

    def prices(space: AnySpace) -> tuple[float, float, float]:
        found = []
        for slack in (error, 0.0, -error):
            best = best_known(confirmation, space, slack)
            found.append(inf if best is None else best.objective)
        loose, point, tight = found
        return min(loose, point), point, max(point, tight)

    low, point, high = map(min, zip(*(prices(space) for space in spaces), strict=True))
    other_low, other_point, other_high = map(min, zip(*(prices(space) for space in others), strict=True))
    if inf in (point, other_point):
        return None
    return Ratio(_over(point, other_point), _over(low, other_high), _over(high, other_low), {})


def best_known(confirmation: Confirmation, space: AnySpace, slack: float) -> Judged | None:
    """The best of what a search of `space` finds with budgets loosened by `slack`, and of its replayed plans."""
    judge = Judge(confirmation.evaluator, replace(confirmation.lens, slack=slack))
    known = [choice for choice in confirmation.observed if space.holds(choice.candidates)]
    best = search(judge, space, known).best
    # Searches around a plan take no seeds.
    for choice in known:
        best = better(best, judge.judge(choice))
    return best


def _wide_price_ratio(confirmation: Confirmation, spaces: Iterable[AnySpace], other: AnySpace) -> Ratio | None:
    """Of large fleets: either price may really be as low as its bound; which budgets are sure is not searched again."""
    judge = Judge(confirmation.evaluator, confirmation.lens)
    mine = min((search(judge, space) for space in spaces), key=lambda f: inf if f.best is None else f.best.objective)
    theirs = search(judge, other)
    if mine.best is None or theirs.best is None:
        return None
    one, two = mine.best.objective, theirs.best.objective
    low, other_low = (mine.bound or one), (theirs.bound or two)
    return Ratio(_over(one, two), _over(min(low, one), two), _over(one, min(other_low, two)), {})


def _over(one: float, other: float) -> float:
    if one == other:
        return 1.0
    return one / other if other > 0.0 else inf
