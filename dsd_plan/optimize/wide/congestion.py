"""What a target does to those who share it: round and first-token times at a few levels of load, for a given mix.

The model's closed form answers a replica with the mix on it and, beside the mix, probes that ask for nothing: what a
probe waits is what any further session would. Between probes times are interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.scenario import Mode
from dsd_plan.model.closed_form import Systems, predict_many
from dsd_plan.optimize.wide.columns import Columns

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

LEVELS = (0.25, 0.4, 0.53, 0.64, 0.72, 0.78, 0.83, 0.87, 0.9, 0.95)
"""Shares of what full batches can do, at which a target may be run."""
AWAY_BINS = 6
"""Into how many classes the sessions that draft at the edge are put, by their time away."""
PROBES = 28
NEARLY_NONE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Congestion:
    """Times at every target and level, in ms; axes t target, l level."""

    windows: tuple[int, ...]
    away: Array
    """Times away at which `round_away` was worked out, shape (probes,)."""
    round_away: Array
    """Time away included, shape (t, l, probes)."""
    round_streamed: Array
    """Shape (t, l)."""
    round_fused: Array
    """Shape (t, l, windows)."""
    first: Array
    """From a prompt's arrival at the target to its first token, its own prefill aside; shape (t, l)."""
    iteration: Array
    noise: Array
    """Variance of an iteration's length and of the wait for its end, shape (t, l)."""
    live: Array
    """Mean number of live sessions on a replica, shape (t, l)."""

    def typical(self, mode: Mode) -> Array:
        """A round in this mode, neither short nor long, shape (t, l): for seeing how rounds follow the load."""
        if mode == "distributed":
            middle = self.away.size // 2
            there: Array = self.round_away[:, :, middle] - self.away[middle]
            return there
        if mode == "fused":
            return self.round_fused[:, :, len(self.windows) // 2]
        return self.round_streamed


@dataclass(frozen=True, slots=True, eq=False)
class _Classes:
    """A mix in few classes; slots without a session have rate 0."""

    rate: Array
    rounds: Array
    verify: Array
    prefill: Array
    prefill_square: Array
    away: Array
    away_variance: Array
    window: Array


def congestion_of(columns: Columns, gear: Indices, rate: Array, on: Flags) -> Congestion:
    """Tables for the mix in which workload w runs gear[t, w] at rate[t, w] on target t where on[t, w]."""
    windows = tuple(sorted({g.window for g in columns.gears if g.mode == "fused"}))
    longest = float(columns.ways.round.max(initial=1.0) + columns.draft.max(initial=0.0)) * 1.5 + 100.0
    away = np.concatenate([np.linspace(2.0, 20.0, 7), np.geomspace(26.0, max(longest, 60.0), PROBES - 7)])
    systems, noises = [], []
    for t in range(len(columns.targets)):
        classes = _classes(columns, t, windows, gear[t], rate[t], on[t])
        system, noise = _levels(columns, t, windows, away, classes)
        systems.append(system)
        noises.append(noise)
    many = Systems(*(np.concatenate([getattr(s, name) for s in systems]) for name in Systems.__dataclass_fields__))
    answers = predict_many(many)
    shape = (len(columns.targets), len(LEVELS))
    mine = many.rate.shape[1] - PROBES - len(windows) - 1
    live = (many.rate * (answers.ttft + many.rounds * answers.round))[:, :mine].sum(axis=1).reshape(shape)
    rounds = answers.round.reshape(*shape, -1)[:, :, mine:]
    iteration = answers.iteration.reshape(shape)
    return Congestion(
        windows=windows,
        away=away,
        round_away=rounds[:, :, 1 + len(windows) :],
        round_streamed=rounds[:, :, 0],
        round_fused=rounds[:, :, 1 : 1 + len(windows)],
        first=answers.ttft.reshape(*shape, -1)[:, :, mine],
        iteration=iteration,
        noise=np.array(noises) * iteration + iteration**2 / 12.0,
        live=np.maximum(live, 1.0),
    )


def _classes(columns: Columns, t: int, windows: tuple[int, ...], gear: Indices, rate: Array, on: Flags) -> _Classes:
    slots = 1 + len(windows) + AWAY_BINS
    sums = np.zeros((8, slots))
    members = np.flatnonzero(on & (rate > 0.0))
    if members.size:
        g = gear[members]
        kinds = columns.gears
        away = time_away(columns, t)[members, g]
        slot = np.zeros(members.size, dtype=np.int64)
        at_edge = np.array([kinds[i].mode == "distributed" for i in g])
        fused = np.array([kinds[i].mode == "fused" for i in g])
        slot[fused] = [1 + windows.index(kinds[i].window) for i in g[fused]]
        if at_edge.any():
            edges = np.quantile(away[at_edge], np.linspace(0.0, 1.0, AWAY_BINS + 1)[1:-1])
            slot[at_edge] = 1 + len(windows) + np.searchsorted(edges, away[at_edge])
        costs = columns.costs[t]
        weight = rate[members]
        jobs = weight * columns.rounds[members, g]
        prefill = costs.prefill[members, g]
        variance = columns.ways.round_variance[members, columns.target_site[t]]
        mine = [columns.lengths[w] for w in members]
        squares = np.array([length.prompt_square / max(length.prefill, 1.0) ** 2 for length in mine])
        rows = (weight, jobs, jobs * costs.verify[members, g], weight * prefill, weight * prefill**2 * squares,
                jobs * away, jobs * away**2, jobs * variance)  # fmt: skip
        for row, values in enumerate(rows):
            np.add.at(sums[row], slot, values)
    weight, jobs = np.maximum(sums[0], NEARLY_NONE**2), np.maximum(sums[1], NEARLY_NONE**2)
    mean_away = sums[5] / jobs
    return _Classes(
        rate=sums[0],
        rounds=sums[1] / weight,
        verify=sums[2] / jobs,
        prefill=sums[3] / weight,
        prefill_square=sums[4] / weight,
        away=np.where(np.arange(slots) > len(windows), mean_away, 0.0),
        away_variance=np.maximum(sums[6] / jobs - mean_away**2, 0.0) + sums[7] / jobs,
        window=np.array([0.0, *map(float, windows), *([0.0] * AWAY_BINS)]),
    )


def _levels(
    columns: Columns, t: int, windows: tuple[int, ...], away: Array, classes: _Classes
) -> tuple[Systems, Array]:
    """The replica at every level; the second: variance of an iteration, over its length."""
    costs = columns.costs[t]
    jobs = classes.rate * (classes.rounds + 1.0)
    longest = max((w for w, r in zip(classes.window, classes.rate, strict=True) if r > 0.0), default=0.0)
    work = float((classes.rate * (classes.rounds * classes.verify + classes.prefill)).sum())
    load = work + (costs.step + costs.draft_step * longest) / costs.cap * float(jobs.sum())
    scale = np.array(LEVELS) / load if load > 0.0 else np.zeros(len(LEVELS))
    rates = scale[:, None] * classes.rate
    busy = 1.0 - np.minimum(scale * work, 0.98) ** 2
    returning = classes.rounds * classes.verify**2 * (classes.away > 0.0)
    squares = (classes.rate * (returning + classes.prefill_square)).sum()
    extra = 1 + len(windows) + PROBES
    levels = len(LEVELS)

    def wide(values: Array, probes: Array | float) -> Array:
        tail = np.broadcast_to(np.asarray(probes, dtype=np.float64), (extra,))
        return np.broadcast_to(np.concatenate([values, tail]), (levels, values.size + extra)).copy()

    zeros = np.zeros(extra)
    probes_away = zeros.copy()
    probes_away[1 + len(windows) :] = away
    probes_window = zeros.copy()
    probes_window[1 : 1 + len(windows)] = windows
    system = Systems(
        step=np.full(levels, costs.step),
        cap=np.full(levels, costs.cap),
        rate=np.concatenate([rates, np.full((levels, extra), NEARLY_NONE)], axis=1),
        users=wide(np.zeros(classes.rate.size), 0.0),
        think=wide(np.zeros(classes.rate.size), 0.0),
        rounds=wide(classes.rounds, 1.0),
        verify=wide(classes.verify, 0.0),
        prefill=wide(classes.prefill, 0.0),
        prefill_square=wide(classes.prefill_square, 0.0),
        away=wide(classes.away, probes_away),
        away_variance=wide(classes.away_variance, float(np.median(columns.ways.round_variance))),
        network=wide(np.zeros(classes.rate.size), 0.0),
        tokens=wide(np.full(classes.rate.size, 2.0), 2.0),
        window=wide(classes.window, probes_window),
        draft=np.full(levels, costs.draft_step if longest > 0.0 else 0.0),
    )
    return system, scale * float(squares) / busy


def time_away(columns: Columns, t: int) -> Array:
    """Time between an iteration's end and the session's next job, drafting queues aside; shape (w, g)."""
    ways, s = columns.ways, columns.target_site[t]
    edge = ~columns.streamed
    network = (
        ways.round[:, s, None]
        + ways.per_byte_up[:, s, None] * columns.up_bytes
        + ways.per_byte_down[:, s, None] * columns.down_bytes
    )
    away: Array = np.where(edge, network + columns.draft, 0.0)
    return away
