"""Load, power and energy of every deployed device, and whose work it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed, DraftPool, TargetPool
from dsd_plan.domain.fleet import Device
from dsd_plan.domain.performance import DevicePerformance
from dsd_plan.domain.profile import LatencyProfile
from dsd_plan.domain.shared_steps import shared_ms
from dsd_plan.domain.step_time import AFFINE, StepSurface, prompts_in_knots
from dsd_plan.model.ahead import draft_work
from dsd_plan.model.batches import mean_iteration
from dsd_plan.model.engine_like.limits import check_budget
from dsd_plan.model.saturation import draft_saturation, target_saturation
from dsd_plan.model.solution import PoolSolution, Solution, StreamState
from dsd_plan.model.traffic import Demand, by_draft

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DeviceUse:
    """A device type's row, and the share of its power that each stream is answerable for."""

    performance: DevicePerformance
    stream_w: dict[int, float] | None
    """By the index of each stream that uses it; None where a power is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """A target pool's iterations over all times."""

    busy: float
    """Share of a replica's time that it steps; `drafting` is the share of that spent on fused draft steps."""
    drafting: float
    mean_batch: float


def device_uses(deployed: Deployed, demands: tuple[Demand, ...], solution: Solution) -> tuple[DeviceUse, ...]:
    """Every deployed device type, in the plan's order."""
    rates = np.array([state.rate for state in solution.states])
    targets = {pool.device.name: index for index, pool in enumerate(deployed.targets)}
    drafts = {pool.device.name: index for index, pool in enumerate(deployed.drafts)}
    drafting = by_draft(demands)
    uses = []
    for name, count in deployed.replicas_used().items():
        solved = solution.pools[targets[name]] if name in targets else None
        if solved is not None:
            uses.append(_target(deployed.targets[targets[name]], rates, solved, count))
        elif name in drafts:
            uses.append(_draft(deployed.drafts[drafts[name]], drafting.get(drafts[name], []), solution, count))
        else:
            device = deployed.scenario.device(name)
            power_w = None if device.idle_w is None else device.idle_w * count
            row = DevicePerformance(
                name=name, saturation=0.0, busy=0.0, mean_batch=None, power_w=power_w, deployed=count
            )
            uses.append(DeviceUse(row, {}))
    return tuple(uses)


def load_of(solved: PoolSolution, rates: Array) -> Load:
    """Averages over the number of live sessions; `rates` are the classes' requests per ms."""
    held, law, pool, classes = solved.cycles.held, solved.live.law, solved.pool, solved.classes
    sessions = np.minimum(np.arange(law.size) * solved.table.unit, pool.together * pool.places) / pool.together
    # Beyond the grid, which ends one job short of a full batch, batches are full.
    population = np.append(solved.table.population, solved.table.full)
    grid = np.append(held.jobs, float(pool.cap))
    jobs = np.interp(sessions, population, grid)
    # The chance of an empty queue falls exponentially, so that its logarithm is what may be interpolated.
    empty = np.exp(np.interp(jobs, held.jobs, np.log(np.maximum(held.empty, 1e-300))))
    empty = np.where(jobs > held.jobs[-1], empty * np.maximum(pool.cap - jobs, 0.0), empty)
    # A session by itself is never in a batch with another.
    alone = np.minimum(np.maximum(2.0 - sessions, 0.0), 1.0)
    held_jobs = np.maximum(alone + (1.0 - alone) * (jobs + empty), 1.0)
    rate = law * jobs / np.interp(jobs, grid, np.append(held.iteration, pool.full_ms))
    batch = min(float(rate.sum() / (rate / held_jobs).sum()), float(pool.cap)) if rate.any() else 1.0
    offered = float(rates @ (classes.rounds + 1.0)) / pool.replicas
    decodes = batch * rates * classes.rounds / (offered * pool.replicas)
    prefills = batch * rates / (offered * pool.replicas)
    whole = float(mean_iteration(solved.time, decodes[None, :], prefills[None, :], classes.users)[0])
    drafting = float(solved.time.drafting_ms(decodes[None, :], classes.users, None)[0])
    # Whoever streams is in every iteration, so that one runs; of those who return, the work is surer than the idling.
    absent = max(1.0 - float(classes.sessions @ classes.streamed), 0.0)
    nobody = np.where(sessions < 1.0, 1.0 - sessions * (1.0 - absent), absent ** np.maximum(sessions, 1.0))
    running = 1.0 - nobody * (1.0 - jobs / np.maximum(jobs + empty, 1e-300))
    if pool.together > 1:
        # Sessions join the emptiest replica but leave any: between as evenly as can be and at random.
        anyone = 1.0 - (1.0 - 1.0 / pool.together) ** (sessions * pool.together)
        running -= (1.0 - absent) / 2.0 * np.maximum(running - anyone, 0.0)
    always = float(decodes @ classes.streamed + prefills @ classes.streamed) / batch
    busy = always * float(law @ running) + (1.0 - always) * offered / batch * whole
    return Load(min(busy, 1.0), min(drafting / whole, 1.0), batch)


def _target(pool: TargetPool, rates: Array, solved: PoolSolution, count: int) -> DeviceUse:
    mine = [demand.index for demand in solved.demands]
    load = load_of(solved, rates[mine])
    used = load.busy * pool.replicas
    drafting = used * load.drafting
    steps, drafts = _times(pool, solved.demands, rates[mine], load, used - drafting, drafting)
    work = [(pool.profile, steps)]
    if pool.fused_profile is not None:
        work.append((pool.fused_profile, drafts))
    saturation = target_saturation(pool, solved.demands, rates[mine])
    check_budget(pool, saturation)
    return _use(pool.device, pool.profile, work, count, mine, saturation, load.mean_batch)


def _draft(pool: DraftPool, mine: Sequence[Demand], solution: Solution, count: int) -> DeviceUse:
    states = [solution.states[demand.index] for demand in mine]
    rates = np.array([state.rate for state in states])
    drafting = [draft_work(demand, state.wait, state.turn) for demand, state in zip(mine, states, strict=True)]
    work = rates * [job.total + demand.tied * demand.draft_prefill for job, demand in zip(drafting, mine, strict=True)]
    busy = min(float(work.sum()) / pool.count, 1.0)
    use = _use(
        pool.device,
        pool.profile,
        [(pool.profile, shared_ms(busy * pool.count, work, rates, 0.0))],
        count,
        [demand.index for demand in mine],
        draft_saturation(pool, mine, rates),
        _jobs_a_batch(states),
    )
    wasted = float(rates @ [job.wasted for job in drafting])
    return replace(use, performance=replace(use.performance, wasted=wasted / float(work.sum()))) if wasted > 0 else use


def _jobs_a_batch(states: Sequence[StreamState]) -> float:
    """Of the windows on a draft device; they share batches with one another, whatever their stream."""
    waits = [state.wait for state in states if state.wait is not None]
    return waits[0].batch if waits else 1.0


def _times(
    pool: TargetPool, demands: tuple[Demand, ...], rates: Array, load: Load, devices: float, drafting: float
) -> tuple[Array, Array]:
    """How many replicas' steps, and fused draft steps, are each stream's: `devices` and `drafting` of them in all.

    As of a replay (`domain.shared_steps`); jobs of all streams meet in iterations of the mean batch.
    """
    rounds = np.array([demand.rounds.count.mean for demand in demands])
    jobs = rates * (rounds + 1.0)
    verified = np.array([demand.verified for demand in demands])
    added = _added(pool.surface, demands, rates, rounds * verified, rounds)
    iterations = float(jobs.sum()) / load.mean_batch
    steps = shared_ms(devices, added, jobs, iterations * float(pool.surface.law[0]))
    fused = np.array([demand.stream.mode == "fused" for demand in demands])
    if pool.fused_surface is None or not fused.any():
        return steps, np.zeros_like(steps)
    drafted = rounds * np.array([demand.window * demand.paths for demand in demands])
    added = np.where(fused, _added(pool.fused_surface, demands, rates, drafted, drafted), 0.0)
    constant = max(drafting - float(added.sum()), 0.0)
    return steps, shared_ms(drafting, added, np.where(fused, jobs, 0.0), constant)


def _added(
    surface: StepSurface, demands: tuple[Demand, ...], rates: Array, new_tokens: Array, contexts: Array
) -> Array:
    """What each stream's jobs add to steps by the fitted law, ms a ms; a request has so many tokens and contexts."""
    _, per_token, per_prompt, per_kv, per_square, _ = surface.law[:AFFINE]
    lengths = [demand.lengths for demand in demands]
    prompt = np.array([one.prefill for one in lengths]) * (per_token if prompts_in_knots(surface.law) else per_prompt)
    squares = np.array([one.prompt_square for one in lengths]) * per_square
    context = np.array([one.context for one in lengths])
    added: Array = rates * (new_tokens * per_token + contexts * context * per_kv + prompt + squares)
    return added


def _use(
    device: Device,
    profile: LatencyProfile,
    work: list[tuple[LatencyProfile, Array]],
    count: int,
    streams: Sequence[int],
    saturation: float,
    mean_batch: float | None,
) -> DeviceUse:
    """`work` is (who steps, on how many devices at once on average for each of the `streams`).

    `count` are all devices deployed. Idle time is shared in proportion to busy time.
    """
    by_stream: Array = np.sum([devices for _, devices in work], axis=0)
    busy = float(by_stream.sum())
    watts = [who.active_w for who, devices in work if devices.any()]
    idle_w = device.idle_w if device.idle_w is not None else profile.idle_w
    power_w, stream_w = None, None
    if idle_w is not None and all(active_w is not None for active_w in watts):
        idle = (count - busy) * idle_w
        drawn: Array = np.sum([devices * (who.active_w or 0.0) for who, devices in work], axis=0)
        power_w = idle + float(drawn.sum())
        shares = drawn + idle * by_stream / busy if busy > 0.0 else np.zeros_like(drawn)
        stream_w = dict(zip(streams, shares.tolist(), strict=True))
    row = DevicePerformance(
        name=device.name,
        saturation=saturation,
        busy=busy / count,
        mean_batch=mean_batch,
        power_w=power_w,
        deployed=count,
    )
    return DeviceUse(row, stream_w)
