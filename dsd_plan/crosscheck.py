"""Model against an observation, with a verdict for every metric.

The relative error is predicted / observed − 1, and its interval comes from the observation's: [predicted / high − 1,
predicted / low − 1]. A metric *agrees* when that interval lies within ± tolerance, *disagrees* when all of it lies
outside, and is *undecided* when it straddles an edge, or when one replication left no interval to judge by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from dsd_plan.domain.performance import Interval, Performance, WorkloadPerformance
from dsd_plan.domain.study import Agreement, VerdictKind

MEAN_TOLERANCE = 0.05
"""Of means, medians, throughput, tokens a round and energy."""
TAIL_TOLERANCE = 0.10
"""Of p95 and p99."""

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")
TAILS = ("p95", "p99")
SCALARS = ("tokens_per_s", "tokens_per_round")
FLEET = "fleet"
NO_INTERVAL = 0.0
"""Level of an interval that is only its point, because there was one replication."""


@dataclass(frozen=True, slots=True, eq=False)
class Crosscheck:
    """A plan predicted and replayed, and where the two agree."""

    predicted: Performance
    replayed: Performance
    agreements: tuple[Agreement, ...]

    @property
    def disagrees(self) -> bool:
        """Whether any metric disagrees."""
        return any(agreement.verdict == "disagrees" for agreement in self.agreements)

    @property
    def undecided(self) -> bool:
        """Whether any metric is undecided."""
        return any(agreement.verdict == "undecided" for agreement in self.agreements)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: both performances, and the agreements as a study holds them."""
        return {
            "predicted": self.predicted.to_dict(),
            "replayed": self.replayed.to_dict(),
            "agreements": _AGREEMENTS.dump_python(self.agreements, mode="json"),
        }


_AGREEMENTS = TypeAdapter(tuple[Agreement, ...])


def agreements(predicted: Performance, observed: Performance, tolerance: float | None = None) -> tuple[Agreement, ...]:
    """A verdict for every metric that both know. `tolerance`: one for all metrics, instead of 5 % and 10 %."""
    found = [
        Agreement(
            workload=scope,
            metric=metric,
            predicted=expected,
            observed=seen,
            relative_error=_error(expected, seen.point),
            tolerance=tolerance if tolerance is not None else tolerance_of(metric),
            verdict="undecided",
        )
        for scope, metric, expected, seen in _pairs(predicted, observed)
    ]
    judged = [_judged(agreement) for agreement in found]
    return tuple(judged) if observed.steady else (_unsteady(observed), *judged)


def tolerance_of(metric: str) -> float:
    """10 % for p95 and p99, 5 % for everything else."""
    return TAIL_TOLERANCE if metric.rpartition(".")[2] in TAILS else MEAN_TOLERANCE


def verdict_of(predicted: float, observed: Interval, tolerance: float) -> VerdictKind:
    """The verdict on one metric whose observation has an interval."""
    low, high = _error(predicted, observed.high), _error(predicted, observed.low)
    if -tolerance <= low and high <= tolerance:
        return "agrees"
    return "disagrees" if low > tolerance or high < -tolerance else "undecided"


def _judged(agreement: Agreement) -> Agreement:
    if agreement.observed.level == NO_INTERVAL:
        return agreement  # nothing tells error from luck
    return replace(agreement, verdict=verdict_of(agreement.predicted, agreement.observed, agreement.tolerance))


def _error(predicted: float, observed: float) -> float:
    if observed == predicted:
        return 0.0
    # Nothing is so many per cent of nothing: a prediction where nothing was observed is wrong by all of itself.
    return predicted / observed - 1.0 if observed > 0.0 else 1.0


def _pairs(predicted: Performance, observed: Performance) -> Iterator[tuple[str, str, float, Interval]]:
    names = {workload.name for workload in observed.workloads}
    for expected in predicted.workloads:
        if expected.name in names:
            for metric, value, seen in _metrics(expected, observed.workload(expected.name)):
                yield expected.name, metric, value, seen
    energy, used = predicted.fleet.energy_j_per_token, observed.fleet.energy_j_per_token
    if energy is not None and used is not None:
        yield FLEET, "energy_j_per_token", energy, _fleet_energy(observed, used)


def _metrics(expected: WorkloadPerformance, seen: WorkloadPerformance) -> Iterator[tuple[str, float, Interval]]:
    for latency in LATENCIES:
        for statistic in STATISTICS:
            value = getattr(getattr(expected, latency), statistic)
            point = getattr(getattr(seen, latency), statistic)
            if value is not None and point is not None:
                yield f"{latency}.{statistic}", value, _interval(seen, f"{latency}.{statistic}", point)
    for scalar in SCALARS:
        value, point = getattr(expected, scalar), getattr(seen, scalar)
        if value is not None and point is not None:
            yield scalar, value, _interval(seen, scalar, point)


def _interval(seen: WorkloadPerformance, metric: str, point: float) -> Interval:
    bounds = (seen.ci or {}).get(metric)
    if bounds is None:
        return Interval(point=point, low=point, high=point, level=NO_INTERVAL)
    return Interval(point=point, low=bounds[0], high=bounds[1])


def _fleet_energy(observed: Performance, point: float) -> Interval:
    """Power is a sum over the whole run and hardly varies; tokens a second do, so their widest interval is taken."""
    below, above, level = 0.0, 0.0, NO_INTERVAL
    for workload in observed.workloads:
        bounds = (workload.ci or {}).get("tokens_per_s")
        if bounds is not None and workload.tokens_per_s:
            below = max(below, 1.0 - bounds[0] / workload.tokens_per_s)
            above = max(above, bounds[1] / workload.tokens_per_s - 1.0)
            level = 0.95
    return Interval(point=point, low=point * (1.0 - below), high=point * (1.0 + above), level=level)


def _unsteady(observed: Performance) -> Agreement:
    """The model promised a steady state; the observation found none, saturated or merely not settled yet."""
    saturated = any(device.saturation is not None and device.saturation >= 1.0 for device in observed.devices)
    return Agreement(
        workload=FLEET,
        metric="steady",
        predicted=1.0,
        observed=Interval(point=0.0, low=0.0, high=0.0),
        relative_error=1.0,
        tolerance=0.0,
        verdict="disagrees" if saturated else "undecided",
    )
