"""Time the steps of a model on the device that runs it, over a grid, and say how far the figures can be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.measure.machine import Blas, Clock, SystemClock, cores, cpu_model, pinned_threads, software
from dsd_plan.measure.steps.contention import (
    Surroundings,
    crowded,
    drifted,
    others_cores,
    refuse,
    starved,
    surroundings,
)
from dsd_plan.measure.steps.cost import affordable, estimate
from dsd_plan.measure.steps.energy import Declared, Energy, active_power_w, idle_power_w, some_of, step_energies_j
from dsd_plan.measure.steps.fit import fit_step_law
from dsd_plan.measure.steps.grid import QUICK_GRID, Grid, GridPoint, that_fit
from dsd_plan.measure.steps.held_out import held_out_errors, held_out_points
from dsd_plan.measure.steps.partial import Identity, Partial, check_runners, check_same
from dsd_plan.measure.steps.runner import Runner
from dsd_plan.measure.steps.sampling import Visited
from dsd_plan.measure.steps.session import OnPartial, Progress, Session, mid_point
from dsd_plan.measure.steps.sustain import Sustained, sustained_run

if TYPE_CHECKING:
    from dsd_plan.measure.power.find import PowerMeter

Method = dict[str, str | float | int | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is measured, and for how long."""

    device: str
    """What the profile calls it."""
    grid: Grid = QUICK_GRID
    budget_s: float = 20.0
    """For each model."""
    threads: int = 1
    seed: int = 0
    allow_contention: bool = False
    hold_out: bool = True
    """Whether points between the grid's nodes are measured to test the interpolation."""
    sustain_s: float | None = None
    meter: PowerMeter | None = None
    energy_of_all: bool = False
    """Whether the energy of every point is measured, not only of a dozen."""
    declared: Declared = field(default_factory=Declared)


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
    """`profile_together` for one model and the usual settings."""
    settings = Settings(
        device=device,
        grid=grid,
        budget_s=budget_s,
        threads=threads,
        seed=seed,
        allow_contention=allow_contention,
    )
    return profile_together((runner,), settings, clock=clock, on_progress=on_progress)[0]


def profile_together(
    runners: Sequence[Runner],
    settings: Settings,
    *,
    clock: Clock | None = None,
    on_progress: Progress | None = None,
    on_partial: OnPartial | None = None,
    resume: Partial | None = None,
) -> tuple[LatencyProfile, ...]:
    """Measure decode, verify and prefill steps of ``runners`` over one grid, in the same rounds.

    Points are visited in rounds, each in its own random order, so that a slow spell of the machine falls on
    all of them alike; a visit warms up and then times a few steps. Visits go to the points whose median is
    not known to 3 % yet (95 % interval, over visits) until the budget is spent, or all are; every point has
    at least three samples, whatever that takes. Random points between the grid's nodes are measured in the
    same rounds, and tell the error of interpolation. The cheapest step is timed before and after everything:
    their ratio is the drift. Where three samples of every point do not fit the time by far, as a few small steps
    tell beforehand, the dearest points are left out and counted.

    Raises ``MeasurementError`` where no step fits context or memory, where ``resume`` is of another
    measurement, and where the machine was not free (others kept cores busy, steps that waited for a core, or
    drift beyond 25 %), unless contention is allowed; then the profile says so.
    """
    clock = SystemClock() if clock is None else clock
    grids = [_grid_points(runner, settings) for runner in runners]
    name = "+".join(dict.fromkeys(runner.model for runner in runners))
    before = surroundings(clock)
    refuse(crowded(before, cores()), name, settings.allow_contention)
    with pinned_threads(settings.threads) as blas:
        began_s, others_before_s = clock.wall_s(), clock.others_cpu_s()
        frequency_mhz = clock.frequency_mhz()
        identity = _identity(runners, settings, grids, blas)
        if resume is None:
            found = tuple(_found(index, runner, grids[index], settings, clock) for index, runner in enumerate(runners))
        else:
            check_same(resume, identity)
            check_runners(resume, len(runners))
            found = tuple(_taken_up(index, runner, resume, grids[index]) for index, runner in enumerate(runners))
        session = Session(
            runners, clock, [v for one in found for v in one.visited], settings.seed, identity, on_partial
        )
        if resume is not None:
            session.resume(resume)
        cpu_bound = all(runner.cpu_bound for runner in runners)
        idle_w = None if settings.meter is None else idle_power_w(settings.meter, clock)
        session.start()
        refuse(starved(session.cpu_share(), cpu_bound), name, settings.allow_contention)
        first_ms = [_cold_ms(session, one) if settings.sustain_s is not None else 0.0 for one in found]
        session.run(settings.budget_s * len(runners), on_progress)
        drift = session.drift()
        during = Surroundings(others_cores(clock, others_before_s, began_s), None)
        troubles = [
            crowded(before, cores()),
            crowded(during, cores(), "while it was measured"),
            starved(session.cpu_share(), cpu_bound),
            drifted(drift),
        ]
        contended = next((trouble for trouble in troubles if trouble is not None), None)
        refuse(contended, name, settings.allow_contention)
        energies = [_energy(one, settings, clock, idle_w, on_progress) for one in found]
        sustained = [_sustained(one, ms, settings, clock, on_progress) for one, ms in zip(found, first_ms, strict=True)]
        seconds = clock.wall_s() - began_s
    shared: Method = _method(session, blas, settings) | {
        "load_before": before.load,
        "load_after": clock.load(),
        "others_cores_before": _rounded(before.others_cores),
        "others_cores_during": _rounded(during.others_cores),
        "contention_by": before.judged_by,
        "contention": contended,
        "drift": round(drift, 4),
        "clock_mhz": frequency_mhz,
        "clock_mhz_after": clock.frequency_mhz(),
        "seconds": round(seconds, 2),
        "resumed": session.resumed,
    }
    return tuple(
        _profile(one, settings, shared, software(blas), clock.now(), energy, lasting)
        for one, energy, lasting in zip(found, energies, sustained, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What is measured of one runner."""

    runner: Runner
    visited: tuple[Visited, ...]
    grid: _GridPoints

    @property
    def nodes(self) -> tuple[Visited, ...]:
        """The points of the grid."""
        return tuple(visited for visited in self.visited if not visited.held_out)


@dataclass(frozen=True, slots=True)
class _GridPoints:
    """The points of a grid within a model's context, and those of them that fit its memory."""

    all: tuple[GridPoint, ...]
    fitting: tuple[GridPoint, ...]


def _grid_points(runner: Runner, settings: Settings) -> _GridPoints:
    points = settings.grid.points(runner.max_context)
    return _GridPoints(points, that_fit(runner.model, points, runner.memory_bytes, runner.memory_limit_bytes))


def _found(index: int, runner: Runner, grid: _GridPoints, settings: Settings, clock: Clock) -> _Found:
    limit = runner.memory_limit_bytes
    points = affordable(grid.fitting, estimate(runner, grid.fitting, clock), settings.budget_s)

    def fits(point: GridPoint) -> bool:
        return limit is None or runner.memory_bytes(point) <= limit

    between = held_out_points(points, fits, settings.seed) if settings.hold_out else ()
    visited = [Visited(point, index) for point in points] + [Visited(p, index, held_out=True) for p in between]
    return _Found(runner, tuple(visited), grid)


def _taken_up(index: int, runner: Runner, partial: Partial, grid: _GridPoints) -> _Found:
    """The points of an unfinished measurement, whatever memory is free and steps take now."""
    visited = [Visited(point, index, held_out) for of, held_out, point in partial.points if of == index]
    return _Found(runner, tuple(visited), grid)


def _identity(runners: Sequence[Runner], settings: Settings, grids: Sequence[_GridPoints], blas: Blas) -> Identity:
    points = [str(point) for grid in grids for point in grid.all]
    digest = hashlib.sha256("\n".join(points).encode()).hexdigest()[:12]
    return {
        "device": settings.device,
        "model": ", ".join(runner.model for runner in runners),
        "backend": ", ".join(dict.fromkeys(runner.backend for runner in runners)),
        "precision": ", ".join(dict.fromkeys(runner.precision for runner in runners)),
        "weights": ", ".join(str(runner.weight_bytes) for runner in runners),
        "details": "; ".join(f"{key} {value}" for runner in runners for key, value in runner.details.items()),
        "threads": settings.threads,
        "seed": settings.seed,
        "grid": settings.grid.name,
        "points": f"{len(points)} points {digest}",
        "cpu": cpu_model(),
        "blas": blas.name,
    }


def _cold_ms(session: Session, one: _Found) -> float:
    """The sustained step before anything has warmed the device."""
    return session.step_ms(one.runner.prepared(mid_point([visited.point for visited in one.nodes])))


def _energy(
    one: _Found, settings: Settings, clock: Clock, idle_w: float | None, on_progress: Progress | None
) -> Energy:
    meter = settings.meter
    if meter is None:
        return Energy()
    points = [visited.point for visited in one.nodes]
    wanted = some_of(points, settings.energy_of_all)
    return Energy(
        idle_w=idle_w,
        active_w=active_power_w(meter, clock, one.runner.prepared(mid_point(points))),
        by_point_j=dict(step_energies_j(meter, clock, one.runner, wanted, on_progress)),
    )


def _sustained(
    one: _Found, first_ms: float, settings: Settings, clock: Clock, on_progress: Progress | None
) -> Sustained | None:
    if settings.sustain_s is None:
        return None
    step = one.runner.prepared(mid_point([visited.point for visited in one.nodes]))
    return sustained_run(step, first_ms, settings.sustain_s, clock, on_progress)


def _profile(
    one: _Found,
    settings: Settings,
    shared: Method,
    versions: dict[str, str],
    measured_at: str,
    energy: Energy,
    sustained: Sustained | None,
) -> LatencyProfile:
    runner = one.runner
    points = tuple(visited.measured(energy.by_point_j.get(visited.point)) for visited in one.nodes)
    declared = settings.declared
    source: Literal["nvml", "rapl", "declared", "none"] = "none"
    if settings.meter is not None and (energy.idle_w is not None or energy.active_w is not None):
        source = settings.meter.source
    elif declared.any:
        source = "declared"
    profile = LatencyProfile(
        device=settings.device,
        model=runner.model,
        origin="measured",
        fit=fit_step_law(points, seed=settings.seed),
        points=points,
        backend=runner.backend,
        precision=runner.precision,
        software=versions | runner.software,
        measured_at=measured_at,
        method=None,
        weights_gib=runner.weight_bytes / 2**30,
        kv_mib_per_token=runner.kv_bytes_per_token / 2**20,
        idle_w=declared.idle_w if source == "declared" else energy.idle_w,
        active_w=declared.active_w if source == "declared" else energy.active_w,
        power_source=source,
        sustained=None if sustained is None else sustained.rows,
    )
    errors = held_out_errors(profile, [visited.measured() for visited in one.visited if visited.held_out])
    method = shared | runner.details | _known(one)
    for phase, error in (("decode", errors.decode), ("prefill", errors.prefill)):
        if error is not None:
            method |= {
                f"held_out_{phase}_points": error.points,
                f"held_out_{phase}_mean": round(error.mean_error, 4),
                f"held_out_{phase}_max": round(error.max_error, 4),
            }
    if settings.meter is not None:
        method |= {"power": settings.meter.details, "energy_points": len(energy.by_point_j)}
    if sustained is not None:
        point = mid_point([visited.point for visited in one.nodes])
        method |= {"sustained_step": str(point), "sustained_lowest_share": sustained.lowest_share}
    return replace(profile, held_out=errors.all, method=method)


def _known(one: _Found) -> Method:
    """How well the medians of one runner are known."""
    return {
        "fewest_samples": min(visited.samples for visited in one.visited),
        "fewest_visits": min(len(visited.visits_ms) for visited in one.visited),
        "points_over_3_percent": sum(not visited.settled() for visited in one.nodes),
        "points_left_out_for_memory": len(one.grid.all) - len(one.grid.fitting),
        "points_left_out_for_time": max(0, len(one.grid.fitting) - len(one.nodes)),
    }


def _method(session: Session, blas: Blas, settings: Settings) -> Method:
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": blas.threads,
        "grid": settings.grid.name,
        "seed": settings.seed,
        "rounds": session.rounds,
        "order": "every round its own random order; each visit warmed up",
        "median": "of the visits' medians, with its 95 % binomial interval over visits",
        "cpu_share": round(session.cpu_share(), 4),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
