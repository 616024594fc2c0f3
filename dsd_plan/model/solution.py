"""The fixed point: target pools and draft devices wait for each other, and closed users for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed, TargetPool
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model.ahead import Turn, ahead_jobs, lengthening
from dsd_plan.model.away import away_of, delay_of, mean_delay, turn_of, unloaded_turn
from dsd_plan.model.batched_drafts import batch_times
from dsd_plan.model.batches import Classes, mean_iteration
from dsd_plan.model.bursts import path_of
from dsd_plan.model.cycles import Away, Cycles, cycles
from dsd_plan.model.draft_queue import Crowd, Drafting, DraftWait, Peers, apart, draft_wait
from dsd_plan.model.engine_like.limits import check_preemptions, roomy
from dsd_plan.model.iteration_time import IterationTime, iteration_time, prefill_added_ms
from dsd_plan.model.moments import Time
from dsd_plan.model.routing import EVENLY, UNEVEN
from dsd_plan.model.saturation import check_memory, places_of
from dsd_plan.model.sessions import MOST_STATES, ByOthers, Live, Pool, by_others, live_along, live_sessions
from dsd_plan.model.traffic import MS_PER_S, Demand, by_draft, by_target, in_groups
from dsd_plan.queueing.distributions import normal_at

Array = NDArray[np.float64]

MOST_PASSES = 14
UNDAMPED_PASSES = 3
CLOSE = 1e-2
"""Relative change of rates and rounds at which the fixed point is taken as found."""
GRID = (0.0, 0.4, 1.0, 1.8, 3.0, 4.5, 7.0, 11.0, 17.0, 26.0, 39.0, 58.0, 85.0, 125.0, 185.0, 270.0, 400.0, 600.0)
"""Others' jobs an iteration at which cycles are worked out; between, they are interpolated."""


@dataclass(slots=True, eq=False)
class StreamState:
    """What is known of a stream at this point of the iteration. Times in ms, rates per ms, over the whole pool."""

    rate: float
    round: float
    request: float
    first: Time
    """From the prompt's arrival at the target to the first token: its mean and about its variance."""
    start: float = 0.0
    """Extra time before the first round, where the draft's prefill outlasts the target's."""
    wait: DraftWait | None = None
    turn: Turn | None = None
    """Pipelined: from sending a window to its verdict at the target."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolSolution:
    """A target pool at the fixed point."""

    demands: tuple[Demand, ...]
    pool: Pool
    time: IterationTime
    classes: Classes
    cycles: Cycles
    table: ByOthers
    live: Live
    delays: tuple[Time, ...]
    """Time away between rounds, without draft queues, by class; `away` has them with the queues."""
    away: Away


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """The whole plan at the fixed point."""

    states: tuple[StreamState, ...]
    pools: tuple[PoolSolution | None, ...]
    """None: no stream uses it."""
    settled: bool


def solve(deployed: Deployed, demands: tuple[Demand, ...]) -> Solution:
    """Find the fixed point. Raises UnstableError where sessions' memory cannot hold the offered load."""
    states = [_unloaded(deployed, demand) for demand in demands]
    pools: list[PoolSolution | None] = [None] * len(deployed.targets)
    settled = [_settle(deployed, mine, states, pools) for mine in in_groups(demands)]
    return Solution(tuple(states), tuple(pools), all(settled))


def _settle(
    deployed: Deployed, demands: tuple[Demand, ...], states: list[StreamState], pools: list[PoolSolution | None]
) -> bool:
    """Iterate until rates and rounds stand, in `states` and `pools`; whether they do."""
    # Without draft queues, open streams do not wait for each other's rates; nor does one alone on its pool.
    at_targets, at_drafts = by_target(demands), by_draft(demands)
    alone = len(demands) == len(at_targets) or all(demand.users == 0 for demand in demands)
    independent = alone and not at_drafts
    mine = [states[demand.index] for demand in demands]
    _wait_for_drafts(deployed, at_drafts, states, damped=False)
    for step in range(MOST_PASSES):
        before = [(state.rate, state.round) for state in mine]
        for index, there in at_targets.items():
            pools[index] = _solve_pool(deployed, index, tuple(there), states, pools[index])
        _wait_for_drafts(deployed, at_drafts, states, damped=step >= UNDAMPED_PASSES)
        if independent or all(
            abs(state.rate - rate) <= CLOSE * state.rate and abs(state.round - round_ms) <= CLOSE * state.round
            for state, (rate, round_ms) in zip(mine, before, strict=True)
        ):
            return True
    return False


def _unloaded(deployed: Deployed, demand: Demand) -> StreamState:
    """One request alone."""
    pool = deployed.targets[demand.stream.target]
    round_ms = decode_ms(pool.surface, 1.0, demand.verified, demand.lengths.context) + delay_of(demand).mean
    if demand.stream.mode == "fused" and pool.fused_surface is not None:
        round_ms += demand.window * decode_ms(pool.fused_surface, float(demand.paths), 1.0, demand.lengths.context)
    turn = None
    if demand.stream.mode == "pipelined":
        turn, round_ms = unloaded_turn(demand, round_ms)
    prefill = float(pool.surface.law[0]) + prefill_added_ms(pool, demand)
    request = demand.rounds.count.mean * round_ms + prefill
    rate = demand.rate if demand.users == 0 else demand.users / (demand.away + 1.2 * request)
    return StreamState(rate, round_ms, request, Time(prefill), turn=turn)


def _solve_pool(
    deployed: Deployed,
    index: int,
    mine: tuple[Demand, ...],
    states: list[StreamState],
    before: PoolSolution | None,
) -> PoolSolution | None:
    if not mine:
        return None
    known = [states[demand.index] for demand in mine]
    rates = np.array([state.rate for state in known])
    target = deployed.targets[index]
    # As at first, for everything is tabulated by jobs up to the cap.
    target = roomy(target, mine, rates) if before is None else replace(target, batch_cap=before.pool.cap)
    rounds = np.array([demand.rounds.count.mean for demand in mine])
    sessions = rates * np.array([state.request for state in known])
    users = np.array([demand.users for demand in mine])
    classes = Classes(
        rates=rates / target.replicas,
        rounds=rounds,
        users=users / target.replicas,
        streamed=np.array([demand.stream.draft is None or demand.rounds.count.mean <= 0.0 for demand in mine]),
        sessions=sessions / sessions.sum(),
        away=np.array([mean_delay(demand, state.turn).mean for demand, state in zip(mine, known, strict=True)]),
        think=np.array([demand.think for demand in mine]),
        between=np.array([demand.away - demand.think for demand in mine]),
        between_variance=np.array([demand.prompt_up.variance + demand.round_down.variance for demand in mine]),
        company=None if before is None else _company(before),
    )
    if before is not None and np.array_equal(before.classes.rates, classes.rates):
        time = before.time
    else:
        time = iteration_time(target, mine, rates * np.maximum(rounds, 1e-9))
    away = away_of(mine, [state.wait for state in known], [state.turn for state in known])
    delays = tuple(mean_delay(demand, state.turn) for demand, state in zip(mine, known, strict=True))
    grid = _grid(target.batch_cap, bool(classes.streamed.all()))
    gathered = 1.0 if before is None else before.cycles.gathered
    cycle = cycles(time, classes, away, target.batch_cap, grid, gathered)
    pool = _pool(target, mine, time, classes)
    start = np.array([state.start for state in known])
    open_rates = np.array([demand.rate for demand in mine])
    outside = np.array([demand.away for demand in mine])
    known_states = 0 if before is None else before.live.law.size - 1
    table, live = _live(target, cycle, classes, pool, start, users, open_rates, outside, known_states)
    if not users.any() and any(isinstance(demand.stream.requests, RequestTrace) for demand in mine):
        table, live = _along_arrivals(mine, cycle, classes, pool, start, table)
    for k, (demand, state) in enumerate(zip(mine, known, strict=True)):
        state.round = live.round[k].mean
        state.first = _first_token(table, live, cycle, k)
        if state.turn is not None:
            state.turn = turn_of(demand, cycle, away, table, live, k)
        state.request = rounds[k] * state.round + state.first.mean + float(live.transient[k]) + state.start
        if demand.users > 0:
            state.rate = demand.users / (demand.away + state.request)
    return PoolSolution(mine, pool, time, classes, cycle, table, live, delays, away)


def _company(before: PoolSolution) -> Array | None:
    """Who is beside whom at each of the grid's jobs, as the last pass found it."""
    if not before.live.company:
        return None
    others = np.maximum(before.table.population * before.pool.together, 1.0)
    n = np.arange(before.table.request.shape[0])
    return np.stack(
        [np.stack([np.interp(others, n, column) for column in beside.T], axis=-1) for beside in before.live.company],
        axis=1,
    )


def _first_token(table: ByOthers, live: Live, cycle: Cycles, k: int) -> Time:
    """Queueing, prefill and memory; the wait for an iteration's end is about uniform up to twice its mean."""
    seen, (chance, memory) = live.seen[k], live.memory[k]
    jobs = float(seen @ table.jobs[: seen.size])
    residual = float(np.interp(jobs, cycle.held.jobs, cycle.held.residual))
    return Time(live.prefill[k].mean + chance * memory.mean, live.prefill[k].variance + residual**2 / 3.0)


def _grid(cap: int, streamed: bool) -> Array:
    """Others' jobs 0 … cap − 1; every whole number where rounds are cheap to work out."""
    if streamed and cap <= 64:
        return np.arange(float(cap))
    inner = [jobs for jobs in GRID if jobs < 0.9 * (cap - 1)]
    return np.array([*(inner or [0.0]), *([cap - 1.0] if cap > 1 else [])])


def _pool(target: TargetPool, demands: tuple[Demand, ...], time: IterationTime, classes: Classes) -> Pool:
    decodes = (target.batch_cap * classes.rates * classes.rounds / classes.jobs)[None, :]
    prefills = (target.batch_cap * classes.rates / classes.jobs)[None, :]
    weights = classes.rates / classes.rates.sum()
    uneven = np.array([UNEVEN[demand.stream.assignment.routing] for demand in demands])
    return Pool(
        replicas=target.replicas,
        cap=target.batch_cap,
        full_ms=float(mean_iteration(time, decodes, prefills, classes.users)[0]),
        places=places_of(target, demands, classes.sessions),
        together=target.replicas if float(weights @ uneven) <= 0.5 else 1,
        unevenness=float(weights @ uneven),
        irregular=_irregular(demands, classes),
    )


def _irregular(demands: tuple[Demand, ...], classes: Classes) -> float:
    """(1 + cv²) / 2 of a request's time at the target, in proportion to its jobs."""
    weights = classes.rates / classes.rates.sum()
    counts = [demand.rounds.count for demand in demands]
    means = np.array([count.mean + 1.0 for count in counts])
    squares = np.array([count.variance for count in counts]) + means**2
    return float(weights @ squares / (weights @ means) ** 2) / 2.0


def _live(
    target: TargetPool,
    cycle: Cycles,
    classes: Classes,
    pool: Pool,
    start: Array,
    users: NDArray[np.int64],
    open_rates: Array,
    outside: Array,
    least: int,
) -> tuple[ByOthers, Live]:
    """Tabulate as many sessions as have any probability, and at least as many as an earlier pass had to."""
    all_closed = bool((users > 0).all())
    most = int(users.sum()) + 1 if all_closed else 0
    full = pool.together * min(_population_of(cycle), pool.places) * 1.3 + 60
    states = min(most, MOST_STATES) if all_closed else int(min(max(full, least), MOST_STATES))
    while True:
        table = by_others(cycle, classes, pool, start, states)
        live = live_sessions(table, classes, users, open_rates, outside, pool.together / pool.replicas)
        if all_closed or live.law[-1] < 1e-6 * live.law.max() or states >= MOST_STATES:
            break
        states = min(2 * states, MOST_STATES)
    check_memory(target, pool, table, open_rates)
    sessions = np.arange(live.law.size) * table.unit
    full = float(live.law[sessions >= pool.together * pool.places].sum())
    check_preemptions(target, pool.places, full, float(live.law @ sessions) / pool.together)
    return table, live


def _along_arrivals(
    demands: tuple[Demand, ...], cycle: Cycles, classes: Classes, pool: Pool, start: Array, table: ByOthers
) -> tuple[ByOthers, Live]:
    """Sessions as the recorded arrivals bring them, with as many states as the worst burst needs."""
    recorded = [demand.stream.requests for demand in demands]
    traces = [requests.arrival_s * MS_PER_S for requests in recorded if isinstance(requests, RequestTrace)]
    rows: list[int | None] = []
    for requests in recorded:
        rows.append(sum(row is not None for row in rows) if isinstance(requests, RequestTrace) else None)
    others = sum(demand.rate for demand, row in zip(demands, rows, strict=True) if row is None)
    mix = classes.rates / classes.rates.sum()
    while True:
        path = path_of(traces, others, pool.together / pool.replicas, table.request @ mix, table.unit)
        most = float((path.mean + 2.0 * np.sqrt(path.variance)).max()) / table.unit
        if most < table.request.shape[0] - 1 or table.request.shape[0] >= MOST_STATES:
            break
        table = by_others(cycle, classes, pool, start, min(int(1.3 * most) + 60, MOST_STATES))
    return table, live_along(table, classes, path, rows)


def _population_of(cycle: Cycles) -> float:
    held = cycle.held
    return float(held.jobs[-1] * np.max(cycle.round[-1]) / held.iteration[-1]) + 1.0


def _wait_for_drafts(
    deployed: Deployed, at_drafts: dict[int, list[Demand]], states: list[StreamState], damped: bool
) -> None:
    for index, mine in at_drafts.items():
        draft = deployed.drafts[index]
        rates = np.array([states[demand.index].rate for demand in mine])
        rounds = np.array([demand.rounds.count.mean for demand in mine])
        jobs = rates * rounds
        if not jobs.sum() > 0:
            continue
        tied = np.array([demand.tied for demand in mine])
        job = _weighted([demand.draft_work / demand.tied for demand in mine], jobs * tied)
        prefill = _weighted([demand.draft_prefill for demand in mine], rates * tied)
        given = float(rates @ tied)
        batches = None if draft.batch_cap == 1 else batch_times(draft, mine, jobs / jobs.sum())
        waited = {d.index: lengthening(d, states[d.index].wait, states[d.index].turn) for d in mine}
        alone = [max(states[d.index].round - waited[d.index], d.draft + 1e-6) for d in mine]
        ahead = ahead_jobs(mine, [states[demand.index].turn for demand in mine], alone, jobs)
        # Poisson sessions of all streams together are Poisson, and nobody's own is missing among them.
        coming = [_peers(d, states[d.index], False, draft.count, waited[d.index]) for d in mine if d.users == 0]
        open_peers = Peers(0, sum(peers.live / peers.devices for peers in coming), 1.0)
        closed = [demand for demand in mine if demand.users > 0]
        for demand, cycle in zip(mine, alone, strict=True):
            state = states[demand.index]
            peers = (
                open_peers,
                *(_peers(d, states[d.index], d is demand, draft.count, waited[d.index]) for d in closed),
            )
            new = draft_wait(
                Drafting(
                    job=job,
                    prefill=prefill,
                    rate=(given - (_own_rate(demand, state) * demand.tied)) / draft.count,
                    rounds=demand.rounds.count.mean,
                    cycle=cycle,
                    rest=state.request - demand.rounds.count.mean * state.round,
                    peers=peers,
                    even=demand.stream.assignment.draft_routing in EVENLY,
                    crowd=_crowd(mine, demand, draft.count),
                    ahead=ahead,
                    among=apart(demand.tied, draft.count),
                    batches=batches,
                )
            )
            state.wait = _between(state.wait, new) if damped and state.wait is not None else new
            state.start = _late_start(demand, state)


def _weighted(values: list[float], weights: Array) -> float:
    return float(weights @ values) / float(weights.sum())


def _crowd(mine: list[Demand], own: Demand, devices: int) -> Crowd | None:
    """The recorded streams of a pool of draft devices, if there are any and nobody is a closed user."""
    recorded = [demand for demand in mine if isinstance(demand.stream.requests, RequestTrace)]
    if not recorded or any(demand.users > 0 for demand in mine):
        return None
    traces = [demand.stream.requests for demand in recorded]
    return Crowd(
        arrivals=tuple(trace.arrival_s * MS_PER_S for trace in traces if isinstance(trace, RequestTrace)),
        others=sum(demand.rate for demand in mine if demand not in recorded),
        row=recorded.index(own) if own in recorded else None,
        devices=devices,
    )


def _own_rate(demand: Demand, state: StreamState) -> float:
    """Requests of a closed user; of an open stream's sender none is to come."""
    return state.rate / demand.users if demand.users > 0 else 0.0


def _peers(demand: Demand, state: StreamState, own: bool, devices: int, waited: float) -> Peers:
    """The sessions of a stream that a session of it (`own`) or of another stream may find on its device.

    `waited` is by how much waiting there lengthens its rounds.
    """
    waiting = demand.rounds.count.mean * waited
    alone = max(state.request - waiting, 0.0)
    if demand.users == 0:
        return Peers(0, state.rate * alone, devices / demand.tied)
    # Users would be live more of the time than their slowed rate says, for they would come back sooner.
    users = demand.users - 1 if own else demand.users
    return Peers(users, users * alone / max(demand.away + alone, 1e-9), devices / demand.tied)


def _between(old: DraftWait, new: DraftWait) -> DraftWait:
    """Halfway, to keep the fixed point from swinging."""
    return DraftWait(
        behind=(old.behind + new.behind) / 2.0,
        behind_chance=(old.behind_chance + new.behind_chance) / 2.0,
        prefill=(old.prefill + new.prefill) / 2.0,
        prefill_chance=(old.prefill_chance + new.prefill_chance) / 2.0,
        momentary=new.momentary,
        slow=new.slow,
        each=new.each,
        batch=new.batch,
    )


def _late_start(demand: Demand, state: StreamState) -> float:
    """E[(draft's wait and prefill − TTFT)⁺], with a normal difference."""
    wait = state.wait.mean if state.wait is not None else 0.0
    ttft = demand.prompt_up.plus(state.first).plus(demand.first_down)
    late = wait + demand.draft_prefill - ttft.mean
    spread = sqrt(wait**2 + ttft.variance)
    if spread < 1e-9:
        return max(late, 0.0)
    chance, density = normal_at(late / spread)
    return late * chance + spread * density
