"""What the closed form asks of a system: one gated batch server with an affine law, and the classes that it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed, TargetPool
from dsd_plan.domain.step_time import decode_ms, iteration_ms
from dsd_plan.model.away import unloaded_delay
from dsd_plan.model.iteration_time import prefill_mean_added_ms
from dsd_plan.model.traffic import Demand, demands_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Systems:
    """N replicas with K classes each; a class that is not there has rate and users 0. Times in ms, rates per ms."""

    step: Array
    """Intercept of an iteration, shape (N,)."""
    cap: Array
    """Jobs in a full batch, shape (N,)."""
    rate: Array
    """Open requests, shape (N, K), as all that follow."""
    users: Array
    """Closed users; 0 of open classes."""
    think: Array
    rounds: Array
    """Mean decode or verify jobs a request."""
    verify: Array
    """What one of them adds to an iteration."""
    prefill: Array
    """What a prefill adds; `prefill_square` its mean square."""
    prefill_square: Array
    away: Array
    """Time between an iteration's end and the session's next job; 0 where tokens are streamed."""
    away_variance: Array
    network: Array
    """Way of the prompt and of the first token together."""
    tokens: Array
    """Output tokens a request."""
    window: Array
    """Draft steps that a fused session makes in its iteration; 0 of other classes."""
    draft: Array
    """One draft step of a fused session alone, shape (N,); what more of them add is in `verify`."""


FIELDS = tuple(Systems.__dataclass_fields__)


def stacked(systems: Sequence[Systems]) -> Systems:
    """All of them as one, classes padded to the most that one of them has."""
    most = max(system.rate.shape[1] for system in systems)

    def padded(values: Array) -> Array:
        return values if values.ndim == 1 else np.pad(values, ((0, 0), (0, most - values.shape[1])))

    return Systems(*(np.concatenate([padded(getattr(system, name)) for system in systems]) for name in FIELDS))


def systems_of(deployed: Deployed, jobs: float | None = None) -> Systems:
    """A plan's target pools, a replica of each; draft devices are taken to be free.

    A measured surface is taken as affine around a batch of `jobs` (half the cap if not given), in decoding and in
    prefilling.
    """
    demands = demands_of(deployed)
    found = []
    for index, pool in enumerate(deployed.targets):
        mine = [demand for demand in demands if demand.stream.target == index]
        if mine:
            found.append(_replica(pool, mine, jobs if jobs is not None else max(pool.batch_cap / 2.0, 1.0)))
    return stacked(found)


def _replica(pool: TargetPool, demands: Sequence[Demand], jobs: float) -> Systems:
    """One replica's share of the pool's traffic."""
    rounds = np.array([demand.rounds.count.mean for demand in demands])
    weights = np.array([max(demand.rate, 1e-9 * (demand.users > 0)) for demand in demands]) * np.maximum(rounds, 1e-9)
    step, verify, draft = _affine(pool, demands, weights / weights.sum(), jobs)
    prefill = np.array([_prefill(pool, demand) for demand in demands])
    spread = np.array([demand.lengths.prompt_square / demand.lengths.prefill**2 for demand in demands])

    def row(values: list[float]) -> Array:
        return np.array([values])

    return Systems(
        step=np.array([step]),
        cap=np.array([float(pool.batch_cap)]),
        rate=row([demand.rate / pool.replicas for demand in demands]),
        users=row([demand.users / pool.replicas for demand in demands]),
        think=row([demand.think for demand in demands]),
        rounds=rounds[None, :],
        verify=verify[None, :],
        prefill=prefill[None, :],
        prefill_square=(prefill**2 * spread)[None, :],
        away=row([unloaded_delay(pool, demand).mean for demand in demands]),
        away_variance=row([unloaded_delay(pool, demand).variance for demand in demands]),
        network=row([demand.prompt_up.mean + demand.first_down.mean for demand in demands]),
        tokens=row([demand.lengths.output for demand in demands]),
        window=row([float(demand.window) if demand.stream.mode == "fused" else 0.0 for demand in demands]),
        draft=np.array([draft]),
    )


def _affine(pool: TargetPool, demands: Sequence[Demand], shares: Array, jobs: float) -> tuple[float, Array, float]:
    """(intercept, what a job of each class adds): the chord of the surface from one job to `jobs` of the mean mix.

    The third is a draft step of one fused session; what each further one adds to it is in the class's own.
    """
    windows = np.array([demand.verified for demand in demands])
    contexts = np.array([demand.lengths.context for demand in demands])
    new_tokens, context = float(shares @ windows), float(shares @ contexts)
    many = max(jobs, 2.0)
    alone, together = (iteration_ms(pool.surface, n, new_tokens, context, 0.0, 0.0) for n in (1.0, many))
    slope = (together - alone) / (many - 1.0)
    one = np.array(
        [
            iteration_ms(
                pool.surface, many, new_tokens + (w - new_tokens) / many, context + (c - context) / many, 0.0, 0.0
            )
            for w, c in zip(windows, contexts, strict=True)
        ]
    )
    step, verify = alone - slope, slope + (one - together)
    draft = 0.0
    fused = [k for k, demand in enumerate(demands) if demand.stream.mode == "fused"]
    if pool.fused_surface is not None and fused:
        first, last = (decode_ms(pool.fused_surface, n, 1.0, context) for n in (1.0, many))
        each = (last - first) / (many - 1.0)
        draft = first - each
        verify[fused] += np.array([demands[k].window * demands[k].paths for k in fused]) * each
    return step, np.maximum(verify, 0.0), draft


def _prefill(pool: TargetPool, demand: Demand) -> float:
    lengths = demand.lengths
    added = prefill_mean_added_ms(pool.surface, lengths.prefill, lengths.prompt_square)
    if demand.stream.mode == "fused" and pool.fused_surface is not None:
        added += prefill_mean_added_ms(pool.fused_surface, lengths.prefill, lengths.prompt_square)
    return added
