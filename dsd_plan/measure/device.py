"""Time the steps of a model on the device that runs it, over a grid, and say how far the figures can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dsd_plan.domain.profile import LatencyProfile, LatencyStats, ProfilePoint
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.fit import fit_step_law
from dsd_plan.measure.grid import QUICK_GRID, Grid, GridPoint
from dsd_plan.measure.machine import Blas, Clock, SystemClock, cores, cpu_model, pinned_threads, software
from dsd_plan.measure.runner import Runner

Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""

VISIT_S = 0.025
"""How long one visit to a grid point lasts, at least one step."""
MOST_STEPS_A_VISIT = 16
FEWEST_SAMPLES = 3
SETTLED_SAMPLES = 12
SETTLED_VISITS = 4
SETTLED_ERROR = 0.005
"""A point is settled when the standard error of its median is below this share of it, after so many samples and
visits: the samples of one visit share one spell of the machine."""
ANCHOR_S = 0.3
"""How long the anchor is warmed up, and then timed, before and after everything else."""
LEAST_CPU_SHARE = 0.9
"""Processor seconds per wall second of a busy thread, below which something else was running instead."""
MOST_DRIFT = 0.25


def profile_device(
    runner: Runner,
    *,
    device: str,
    grid: Grid = QUICK_GRID,
    budget_s: float = 20.0,
    threads: int = 1,
    seed: int = 0,
    allow_contention: bool = False,
    clock: Clock | None = None,
    on_progress: Progress | None = None,
) -> LatencyProfile:
    """Measure decode, verify and prefill steps of ``runner`` over ``grid``.

    Points are visited in rounds, each in its own random order, so that a slow spell of the machine falls on
    all of them alike; a visit warms up and then times a few steps. Visits go to the points that are not
    settled yet until ``budget_s`` is spent, or all are settled; every point has at least three samples,
    whatever that takes. The cheapest step is timed before and after everything: their ratio is the drift.

    Raises ``MeasurementError`` where the machine was not free (more runnable processes than cores, steps
    that waited for a core, or drift beyond 25 %), unless ``allow_contention``; then the profile says so.
    """
    clock = SystemClock() if clock is None else clock
    load_before = clock.load()
    _refuse(_crowded(load_before), runner, allow_contention)
    with pinned_threads(threads) as blas:
        began_s = clock.wall_s()
        session = _Session(runner, clock, grid.points(runner.max_context), seed)
        started_ms = session.anchor_ms()
        _refuse(_starved(session.cpu_share()), runner, allow_contention)
        session.run(budget_s, on_progress)
        drift = session.anchor_ms() / started_ms - 1.0
        seconds = clock.wall_s() - began_s
    troubles = [_crowded(load_before), _starved(session.cpu_share()), _drifted(drift)]
    contended = next((trouble for trouble in troubles if trouble is not None), None)
    _refuse(contended, runner, allow_contention)
    points = tuple(visited.measured() for visited in session.visited)
    return LatencyProfile(
        device=device,
        model=runner.model,
        origin="measured",
        fit=fit_step_law(points, seed=seed),
        points=points,
        backend=runner.backend,
        precision=runner.precision,
        software=software(blas),
        measured_at=clock.now(),
        method=_method(session, blas, grid, seed)
        | {
            "load_before": load_before,
            "load_after": clock.load(),
            "drift": round(drift, 4),
            "contention": contended,
            "seconds": round(seconds, 2),
        },
        weights_gib=runner.weight_bytes / 2**30,
        kv_mib_per_token=runner.kv_bytes_per_token / 2**20,
    )


def latency_stats(samples_ms: list[float]) -> LatencyStats:
    """Spread of one point's samples, in ms."""
    values = np.array(samples_ms)
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return LatencyStats(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        p50=float(p50),
        p95=float(p95),
        p99=float(p99),
        min=float(values.min()),
        mad=float(np.median(np.abs(values - p50))),
    )


@dataclass(slots=True)
class _Visited:
    """A grid point and what was timed there."""

    point: GridPoint
    samples_ms: list[float] = field(default_factory=list)
    visits: int = 0

    def settled(self) -> bool:
        count = len(self.samples_ms)
        if count < SETTLED_SAMPLES or self.visits < SETTLED_VISITS:
            return False
        stats = latency_stats(self.samples_ms)
        # Standard error of a median, 1.2533 σ/√n, with σ from the median absolute deviation, as for a normal law.
        error_ms: float = 1.2533 * 1.4826 * (stats.mad or 0.0) / count**0.5
        return error_ms < SETTLED_ERROR * stats.p50

    def measured(self) -> ProfilePoint:
        return ProfilePoint(
            phase=self.point.phase,
            batch=self.point.batch,
            new_tokens=self.point.new_tokens,
            context_tokens=self.point.context_tokens,
            samples=len(self.samples_ms),
            latency_ms=latency_stats(self.samples_ms),
        )


class _Session:
    """One measurement under way."""

    def __init__(self, runner: Runner, clock: Clock, points: tuple[GridPoint, ...], seed: int) -> None:
        self.visited = [_Visited(point) for point in points]
        self.rounds = 0
        self.anchor = min(points)
        self._runner = runner
        self._clock = clock
        self._rng = np.random.default_rng(seed)
        self._timed_s = 0.0
        self._timed_cpu_s = 0.0

    def anchor_ms(self) -> float:
        """Median of the cheapest decode step."""
        step = self._runner.prepared(self.anchor)
        warm_s = self._clock.wall_s() + ANCHOR_S
        while self._clock.wall_s() < warm_s:
            step()
        samples_ms: list[float] = []
        while sum(samples_ms) < 1000.0 * ANCHOR_S:
            samples_ms += self._timed_ms(step, MOST_STEPS_A_VISIT)
        return float(np.median(samples_ms))

    def run(self, budget_s: float, on_progress: Progress | None) -> None:
        """Round after round, until the budget is spent or every point is settled."""
        began_s = self._clock.wall_s()
        spent_s = 0.0
        while any(self._wanted(visited, spent_s >= budget_s) for visited in self.visited):
            self.rounds += 1
            for index in self._rng.permutation(len(self.visited)):
                visited = self.visited[index]
                if not self._wanted(visited, spent_s >= budget_s):
                    continue
                self._visit(visited)
                spent_s = self._clock.wall_s() - began_s
                if on_progress is not None:
                    ready = sum(len(other.samples_ms) >= FEWEST_SAMPLES for other in self.visited)
                    text = f"{self._runner.model}: {ready} of {len(self.visited)} points"
                    on_progress(min(100, int(100 * spent_s / budget_s)), 100, text)

    def _wanted(self, visited: _Visited, late: bool) -> bool:
        if late:
            return len(visited.samples_ms) < FEWEST_SAMPLES
        return not visited.settled()

    def fewest_samples(self) -> int:
        """Samples of the point with the fewest."""
        return min(len(visited.samples_ms) for visited in self.visited)

    def cpu_share(self) -> float:
        """Processor seconds per wall second while steps were timed."""
        return self._timed_cpu_s / self._timed_s

    def _visit(self, visited: _Visited) -> None:
        step = self._runner.prepared(visited.point)
        if not visited.samples_ms or visited.samples_ms[-1] < 1000.0 * VISIT_S:
            step()
        first_ms = self._timed_ms(step, 1)[0]
        more = min(MOST_STEPS_A_VISIT, int(1000.0 * VISIT_S / first_ms)) - 1
        visited.visits += 1
        visited.samples_ms += [first_ms, *self._timed_ms(step, more)]

    def _timed_ms(self, step: Callable[[], None], count: int) -> list[float]:
        clock = self._clock
        cpu_s = clock.cpu_s()
        samples = []
        for _ in range(count):
            began_s = clock.wall_s()
            step()
            samples.append(clock.wall_s() - began_s)
        self._timed_cpu_s += clock.cpu_s() - cpu_s
        self._timed_s += sum(samples)
        return [1000.0 * sample for sample in samples]


def _crowded(load: float | None) -> str | None:
    if load is None or load <= cores():
        return None
    return f"load average {load:.1f} on {cores()} cores"


def _starved(cpu_share: float) -> str | None:
    if cpu_share >= LEAST_CPU_SHARE:
        return None
    return f"timed steps had a core for only {cpu_share:.0%} of their time"


def _drifted(drift: float) -> str | None:
    if abs(drift) <= MOST_DRIFT:
        return None
    return f"the same step took {drift:+.0%} at the end of the measurement"


def _refuse(trouble: str | None, runner: Runner, allow_contention: bool) -> None:
    if trouble is not None and not allow_contention:
        raise MeasurementError(
            f"{runner.model}: the machine is not free: {trouble}; stop what else runs and measure again, "
            "or allow contention and have the profile say so"
        )


def _method(session: _Session, blas: Blas, grid: Grid, seed: int) -> dict[str, str | float | int | bool | None]:
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": blas.threads,
        "grid": grid.name,
        "seed": seed,
        "rounds": session.rounds,
        "fewest_samples": session.fewest_samples(),
        "order": "every round its own random order; each visit warmed up",
        "cpu_share": round(session.cpu_share(), 4),
    }
