"""How long a session is away from the target between its rounds: down, draft, up, and what is drafted ahead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import TargetPool
from dsd_plan.domain.step_time import decode_ms
from dsd_plan.model.ahead import AwayNodes, Turn, after_right, away_nodes
from dsd_plan.model.cycles import Away, Cycles
from dsd_plan.model.draft_queue import DraftWait, delay_nodes
from dsd_plan.model.moments import Time
from dsd_plan.model.sessions import ByOthers, Live
from dsd_plan.model.traffic import Demand

Array = NDArray[np.float64]


def delay_of(demand: Demand) -> Time:
    """Time away between two rounds: down, draft, up; none where tokens stream."""
    if demand.stream.draft is None:
        return Time()
    return demand.round_down.plus(demand.round_up).plus(Time(demand.draft))


def mean_delay(demand: Demand, turn: Turn | None) -> Time:
    """Time away without waits for a draft device; pipelined, over both kinds of rounds."""
    if turn is None:
        return delay_of(demand)
    right, plain = demand.rounds.right, delay_of(demand)
    shorter = after_right(demand, None, turn).mean - turn.typical + demand.round_up.mean
    return Time((1.0 - right) * plain.mean + right * shorter, plain.variance, plain.third)


def unloaded_delay(pool: TargetPool, demand: Demand) -> Time:
    """Time away between two rounds of a lone session."""
    if demand.stream.mode != "pipelined":
        return delay_of(demand)
    own_ms = decode_ms(pool.surface, 1.0, demand.verified, demand.lengths.context)
    return mean_delay(demand, unloaded_turn(demand, own_ms + delay_of(demand).mean)[0])


def unloaded_turn(demand: Demand, round_ms: float) -> tuple[Turn, float]:
    """R and the mean round, given a round after a wrong guess."""
    turn_ms = round_ms - demand.draft - demand.round_down.mean
    variance = demand.round_up.variance
    turn = Turn(np.array([turn_ms]), np.array([variance]), turn_ms, variance)
    right = demand.rounds.right
    return turn, (1.0 - right) * round_ms + right * after_right(demand, None, turn).mean


def turn_of(demand: Demand, cycle: Cycles, away: Away, table: ByOthers, live: Live, k: int) -> Turn:
    """R: a round less the time away, and the way up; it varies with the phase of the iteration it comes into."""
    held, up = cycle.held, demand.round_up
    absent = (away.mean[:, k] * away.chance[:, k]).sum(axis=-1)
    mean = cycle.round[:, k] - absent + up.mean
    variance = up.variance + held.busy * held.iteration**2 / 12.0 + np.where(held.alone, 0.0, held.variance)
    seen = live.seen[k]
    jobs = table.jobs[: seen.size]
    met = np.interp(jobs, held.jobs, mean)
    typical = float(seen @ met)
    spread = float(seen @ (met - typical) ** 2) + float(seen @ np.interp(jobs, held.jobs, variance))
    return Turn(mean, variance, typical, spread)


def away_of(demands: Sequence[Demand], waits: Sequence[DraftWait | None], turns: Sequence[Turn | None]) -> Away:
    """Times away of a pool's streams as one table."""
    found = []
    for demand, wait, turn in zip(demands, waits, turns, strict=True):
        if turn is None:
            nodes = delay_nodes(delay_of(demand), wait)
            found.append(AwayNodes(*nodes, np.zeros(nodes[0].size, dtype=bool)))
        else:
            found.append(away_nodes(demand, wait, turn))
    most = max(nodes.right.size for nodes in found)
    rows = max(nodes.mean.shape[0] if nodes.mean.ndim > 1 else 1 for nodes in found)

    def padded(values: Array, chance: bool = False) -> Array:
        if values.shape == (most,) and rows == 1:
            return values[None, :]
        fill = np.zeros_like(values[..., :1]) if chance else values[..., :1]
        more = np.repeat(fill, most - values.shape[-1], axis=-1)
        return np.broadcast_to(np.concatenate([values, more], axis=-1), (rows, most))

    return Away(
        np.stack([padded(nodes.chance, chance=True) for nodes in found], axis=1),
        np.stack([padded(nodes.mean) for nodes in found], axis=1),
        np.stack([padded(nodes.variance) for nodes in found], axis=1),
        np.stack([np.append(nodes.right, np.zeros(most - nodes.right.size, dtype=bool)) for nodes in found]),
    )
