"""What each target offers each workload at each level of load: the few gears that keep its budgets and may be best."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.fleet import Device
from dsd_plan.domain.scenario import Mode, Objective, Scenario
from dsd_plan.optimize.choices.objective import tpot_weights
from dsd_plan.optimize.wide.columns import Columns
from dsd_plan.optimize.wide.congestion import LEVELS, Congestion, time_away

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

SLOPES = (0.0, 0.5, 2.0, 1e3)
"""Multiples of a replica's price that scarcity may add to it: for each, the gear that would then be best is kept."""
NORMAL = {"mean": 0.0, "p50": 0.0, "p95": 1.645, "p99": 2.326}
METRICS = ("ttft", "itl", "tpot", "e2e")
MODES: tuple[Mode, ...] = ("target_only", "fused", "distributed")


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """Axes w workload, t target, o offer. `value` is infinite where nothing keeps the budgets."""

    value: Array
    """What the workload itself adds to the objective, draft devices included."""
    use: Array
    """Replicas of the target that it takes."""
    level: Indices
    gear: Indices
    rate: Array
    """Requests per ms that it then sends."""
    seen: Array
    """Its budgeted latencies as `Asked.limits` has them, then its mean TPOT, uncorrected; (w, t, o, limits + 1)."""
    price: Array
    """Of one replica of each target, shape (t,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Budgets and objective as arrays over workloads."""

    limits: tuple[tuple[str, str, Array], ...]
    """(metric, statistic, limit in ms; infinite where there is none)."""
    minimize: Objective
    weights: Array
    """Share of each workload in the mean TPOT."""


def asked_of(scenario: Scenario, slack: float = 0.0) -> Asked:
    """What `scenario` asks for, its latency budgets loosened by a share `slack`."""
    found: dict[tuple[str, str], Array] = {}
    for w, workload in enumerate(scenario.workloads):
        for metric, statistic, limit in workload.budgets.limits():
            row = found.setdefault((metric, statistic), np.full(len(scenario.workloads), np.inf))
            row[w] = limit * (1.0 + slack)
    weights = tpot_weights(scenario)
    shares = np.array([weights[workload.name] for workload in scenario.workloads])
    return Asked(
        tuple((metric, statistic, limit) for (metric, statistic), limit in found.items()),
        scenario.search.minimize,
        shares / max(shares.sum(), 1e-300),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Drafters:
    """The draft devices of every workload's site, shape (w, slot); price, standing and working by the objective."""

    count: Array
    price: Array
    """What deploying one adds to the objective."""
    busy: Array
    """What it adds while it drafts."""


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """What the printed model, or a replay, makes of these formulas: factors on latencies and on work."""

    by_workload: Array
    """Shape (limits + 1, w, mode), limits as in `Asked` and the mean TPOT last."""
    by_target: Array
    """Shape (limits + 1, t, mode)."""
    work: Array
    """Shape (t,)."""


def uncorrected(columns: Columns, asked: Asked) -> Corrections:
    """Factors of 1."""
    rows, modes = len(asked.limits) + 1, len(MODES)
    return Corrections(
        np.ones((rows, len(columns.rate), modes)),
        np.ones((rows, len(columns.targets), modes)),
        np.ones(len(columns.targets)),
    )


def offers_of(
    columns: Columns,
    congestion: Congestion,
    asked: Asked,
    corrections: Corrections,
    replicas: Array,
    levels: int | Indices,
    who: Flags | None = None,
) -> Offers:
    """The offers of every target: at any of the first `levels` levels of load, or at the one given for each target.

    `replicas`: about how many share each target's sessions, shape (t,): more of them fluctuate less. `who`: the
    workloads that are asked about, where not all are; the others find no offer.
    """
    price = np.array([_price(device, asked.minimize) for device in columns.targets])
    drafters = _drafters_of(columns, asked.minimize)
    away = [time_away(columns, int(np.flatnonzero(columns.target_site == s)[0])) for s in _sites(columns)]

    def of(t: int) -> tuple[Array, ...]:
        some = slice(levels) if isinstance(levels, int) else slice(levels[t], levels[t] + 1)
        many, each = float(replicas[t]), float(price[t])
        gone = away[columns.target_site[t]]
        return _offers(columns, congestion, asked, drafters, corrections, t, some, many, each, gone, who)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(of, range(len(columns.targets))))
    value, use, level, gear, rate, seen = (np.stack([row[i] for row in found], axis=1) for i in range(6))
    start = 0 if isinstance(levels, int) else levels[:, None]
    return Offers(value, use, level.astype(np.int64) + start, gear.astype(np.int64), rate, seen, price)


def _offers(
    columns: Columns,
    congestion: Congestion,
    asked: Asked,
    drafters: _Drafters,
    corrections: Corrections,
    t: int,
    levels: slice,
    replicas: float,
    price: float,
    away: Array,
    who: Flags | None,
) -> tuple[Array, ...]:
    # numba is loaded here: small scenarios are searched without it.
    from dsd_plan.optimize.wide.kernel import offers_on

    costs, ways, s = columns.costs[t], columns.ways, columns.target_site[t]
    shape = (len(columns.rate), len(SLOPES))
    factors = corrections.by_workload * corrections.by_target[:, t, None, :]
    found = [np.full(shape, np.inf), *(np.zeros(shape) for _ in range(4)), np.zeros((*shape, len(factors)))]
    table = _table(congestion, t)
    possible = columns.allowed & costs.fits & ways.there[:, s, None]
    offers_on(
        possible if who is None else possible & who[:, None],
        np.array([MODES.index(gear.mode) for gear in columns.gears]),
        np.array([max(gear.slot, 0) for gear in columns.gears]),
        np.array([gear.load for gear in columns.gears]),
        _columns_of_gears(columns, congestion),
        away,
        congestion.away,
        table[levels],
        np.gradient(table, np.log(np.array(LEVELS)), axis=0)[levels],
        _spread(congestion, t, replicas)[levels],
        np.ascontiguousarray(congestion.first[t, levels]),
        np.ascontiguousarray(congestion.noise[t, levels]),
        np.array(LEVELS[levels]),
        columns.rate,
        columns.users,
        columns.think,
        columns.copies,
        columns.tokens,
        columns.kv,
        columns.rounds,
        columns.rounds_variance,
        columns.draft,
        columns.draft_request,
        drafters.count,
        drafters.price,
        drafters.busy,
        costs.verify,
        costs.prefill,
        _per_job(columns, t),
        costs.kv_tokens,
        np.ascontiguousarray(ways.first[:, s]),
        np.ascontiguousarray(ways.first_variance[:, s]),
        np.ascontiguousarray(ways.round_variance[:, s]),
        np.array([METRICS.index(metric) for metric, _, _ in asked.limits], dtype=np.int64),
        np.array([NORMAL[statistic] for _, statistic, _ in asked.limits]),
        np.array([limit for _, _, limit in asked.limits]).reshape(len(asked.limits), shape[0]),
        factors,
        asked.weights if asked.minimize == "tpot" else np.zeros(0),
        _extra_w(columns.targets[t]) if asked.minimize == "energy" else 0.0,
        float(corrections.work[t]),
        np.array([(1.0 + slope) * price if price > 0.0 else slope for slope in SLOPES]),
        *found,
    )
    return tuple(found)


def _sites(columns: Columns) -> range:
    return range(int(columns.target_site.max(initial=-1)) + 1)


def _table(congestion: Congestion, t: int) -> Array:
    """Rounds at every level, their own verify time and any queue for a draft device aside; shape (l, columns).

    By the probes' times away, then of the plain, then of the fused windows: see `_columns_of_gears`.
    """
    streamed = congestion.round_streamed[t][:, None]
    return np.concatenate([congestion.round_away[t], streamed, congestion.round_fused[t]], axis=1)


def _columns_of_gears(columns: Columns, congestion: Congestion) -> Indices:
    """Where each gear's rounds are in a table; −1 where they follow from its time away."""
    plain = congestion.away.size
    found = {"target_only": lambda window: plain, "fused": lambda window: plain + 1 + congestion.windows.index(window)}
    return np.array([found[g.mode](g.window) if g.mode in found else -1 for g in columns.gears], dtype=np.int64)


def _spread(congestion: Congestion, t: int, replicas: float) -> Array:
    """Variance of the load's logarithm at every level, as a request sees it.

    The sessions of all replicas fluctuate like a Poisson number, and the load with them.
    """
    found: Array = np.minimum(1.0 / (congestion.live[t] * max(replicas, 1.0)), 1.0)
    return found


def _per_job(columns: Columns, t: int) -> Array:
    """Of a full batch's fixed time, what falls to one job of each gear."""
    costs = columns.costs[t]
    drafting = np.array([gear.window * costs.draft_step if gear.mode == "fused" else 0.0 for gear in columns.gears])
    each: Array = (costs.step + drafting) / costs.cap
    return each


def _price(device: Device, minimize: Objective) -> float:
    if minimize == "cost":
        return device.cost_per_hour
    if minimize == "devices":
        return 1.0
    return device.idle_w or 0.0 if minimize == "energy" else 0.0


def _drafters_of(columns: Columns, minimize: Objective) -> _Drafters:
    slots = max(map(len, columns.drafters), default=0) or 1
    shape = (len(columns.drafters), slots)
    count, price, busy = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for w, drafters in enumerate(columns.drafters):
        for slot, device in enumerate(drafters):
            count[w, slot] = device.usable
            price[w, slot] = _price(device, minimize)
            busy[w, slot] = _extra_w(device) if minimize == "energy" else 0.0
    return _Drafters(count, price, busy)


def _extra_w(device: Device) -> float:
    """Power that stepping adds to idling; what is not known is judged by the printed model."""
    active = [profile.active_w for profile in device.profiles.values() if profile.active_w is not None]
    return max(max(active, default=0.0) - (device.idle_w or 0.0), 0.0)
