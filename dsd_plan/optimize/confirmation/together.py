"""What model and replay together say of each of many budgets, and the chance that it is broken.

One replay sees each of a thousand workloads for a short while, so that the worst of a thousand numbers is mostly the
unluckiest. The model is right about workloads of a target relative to each other, and off by much the same for all
of them. So ln(replayed / predicted) is taken apart into what a mode has in common, what a target adds, and what a
workload adds; each part is drawn towards none as far as the replications say that it is chance, and parts differ in
truth by as much as they differ beyond chance (empirical Bayes: Efron & Morris 1975). Such an estimate may be picked
out of many without getting worse by it (Dawid 1994).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import erf, exp, log, sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.performance import Interval
from dsd_plan.optimize.choices.budgets import Limit, Reading, Together
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import reading_of
from dsd_plan.optimize.confirmation.observation import Observation

Array = NDArray[np.float64]
Key = tuple[str, str]
"""(workload, quantity)."""

FEWEST_RUNS = 4
"""Replications from which their spread tells what is chance."""
LEAST_OF_TARGETS = 0.01
"""Targets of a mode differ by at least so much from what the model says of them, relative to each other (1 sigma)."""
LEAST_OF_WORKLOADS = 0.005
"""The same of workloads on one target."""
CAREFUL = 0.5
"""Standard errors by which the true differences between rows are taken to be larger than they seem."""
LEAST_ERROR = 1e-3
"""Of what model and replay say together, as a share: replications that are alike are not exact."""
Z = 1.96
WIDER = 1.2
"""Of errors known from about eight replications: Student's t over the normal at 95 %."""


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """One quantity of all workloads in one mode: ln(replayed / predicted), and where each of them is."""

    keys: tuple[Key, ...]
    target: NDArray[np.int64]
    length: Array
    """For how long each target was replayed, over how long all were, shape (t,)."""
    ratio: Array
    """Shape (w,)."""
    runs: Array
    """The same of each replication, shape (w, runs); NaN where it has none."""


def together(
    choice: Choice,
    expected: Reading,
    seen: Reading,
    runs: Sequence[Reading],
    limits: Iterable[Limit],
    lengths: Mapping[str, float] | None = None,
) -> dict[Key, Together]:
    """By budget of a workload; without those that model or replay say nothing of, and of fewer than four `runs` none.

    `expected`: the model's; `seen`: all replications together. `lengths`: how much longer than all others some target
    device types were replayed.
    """
    if len(runs) < FEWEST_RUNS:
        return {}
    place = {c.workload: (c.mode, c.target_device) for c in choice.candidates}
    mine = {(limit.scope, limit.quantity): limit for limit in limits if limit.of_workload}
    found: dict[Key, Together] = {}
    for group in _groups(mine, place, expected, seen, runs, lengths or {}):
        middle, spread = _drawn_together(group)
        for key, log_ratio, sigma in zip(group.keys, middle, spread, strict=True):
            found[key] = _told(mine[key], expected, float(log_ratio), float(sigma))
    return found


def looked_at(
    seen: Mapping[Key, float | None], runs: Sequence[Reading], again: Observation, limits: tuple[Limit, ...]
) -> tuple[dict[Key, float | None], list[Reading]]:
    """Readings of a replay, and of each of its replications, with those that were replayed `again` in their place."""
    mine = {workload.name for workload in again.pooled.workloads}
    both = [(seen, again.pooled), *zip(runs, again.runs, strict=False)]
    pooled, *each = [_replaced(first, reading_of(second, limits), mine) for first, second in both]
    return pooled, list(each)


def _replaced(first: Reading, second: Reading, scopes: set[str]) -> dict[Key, float | None]:
    return {**first, **{key: value for key, value in second.items() if key[0] in scopes}}


def standing_words(found: Mapping[Key, Together]) -> str:
    """How many budgets are surely kept, undecided and broken."""
    undecided = sum(one.undecided for one in found.values())
    broken = sum(not one.undecided and one.chance_broken > 0.5 for one in found.values())
    words = f"{len(found) - undecided - broken:,} of {len(found):,} budgets surely kept"
    return words + "".join(f", {n:,} {what}" for n, what in ((undecided, "undecided"), (broken, "broken")) if n)


def _told(limit: Limit, expected: Reading, log_ratio: float, sigma: float) -> Together:
    predicted = expected[limit.scope, limit.quantity]
    assert predicted is not None
    point = predicted * exp(log_ratio)
    value = Interval(point=point, low=point * exp(-Z * sigma), high=point * exp(Z * sigma))
    room = log(limit.limit / point) if limit.limit > 0.0 else -np.inf
    below = 0.5 * (1.0 + erf(room / (sigma * sqrt(2.0))))
    return Together(value, below if limit.at_least else 1.0 - below)


def _groups(
    limits: Mapping[Key, Limit],
    place: Mapping[str, tuple[str, str]],
    expected: Reading,
    seen: Reading,
    runs: Sequence[Reading],
    lengths: Mapping[str, float],
) -> list[_Group]:
    members: dict[tuple[str, str], list[Key]] = {}
    for key in limits:
        if key[0] in place and expected.get(key) and seen.get(key):
            members.setdefault((place[key[0]][0], key[1]), []).append(key)
    groups = []
    for keys in members.values():
        names = [place[scope][1] for scope, _ in keys]
        there = list(dict.fromkeys(names))
        groups.append(
            _Group(
                keys=tuple(keys),
                target=np.array([there.index(name) for name in names]),
                length=np.array([lengths.get(name, 1.0) for name in there]),
                ratio=np.array([log((seen[key] or 0.0) / (expected[key] or 1.0)) for key in keys]),
                runs=np.array([[_log_ratio(run.get(key), expected[key]) for run in runs] for key in keys]),
            )
        )
    return groups


def _log_ratio(found: float | None, predicted: float | None) -> float:
    return log(found / predicted) if found and predicted else np.nan


def _drawn_together(group: _Group) -> tuple[Array, Array]:
    """(ln(truth / predicted), its standard error), shape (w,)."""
    targets = range(group.length.size)
    here = np.array([np.median(group.ratio[group.target == t]) for t in targets])
    each = np.array([_medians(group.runs[group.target == t]) for t in targets])
    common, common_error = _drawn(here, each, group.length, LEAST_OF_TARGETS)
    own = group.ratio - here[group.target]
    own_runs = group.runs - each[group.target]
    rest, rest_error = _drawn(own, own_runs, group.length[group.target], LEAST_OF_WORKLOADS, around=0.0)
    sigma = WIDER * np.sqrt(common_error[group.target] + rest_error)
    return common[group.target] + rest, np.maximum(sigma, LEAST_ERROR)


def _medians(runs: Array) -> Array:
    """Of each replication over its workloads, NaN where it has none."""
    there = ~np.isnan(runs).all(axis=0)
    found = np.full(runs.shape[1], np.nan)
    found[there] = np.nanmedian(runs[:, there], axis=0)
    return found


def _drawn(values: Array, runs: Array, length: Array, least: float, around: float | None = None) -> tuple[Array, Array]:
    """(values drawn towards their middle by the share of their differences that is chance, error squares left).

    Rows of the same length are drawn by the same share: those that had no bad minute spread least and are the lowest,
    so that to trust them more than the others would be to believe that there are none.
    """
    chance, usual = _chance(runs, values, length)
    middle = float(values.mean()) if around is None else around
    squares = (values - middle) ** 2
    # Half a standard error more: of few rows the difference is hardly known, and too little of it is too sure.
    careful = CAREFUL * float(squares.mean()) * sqrt(2.0 / values.size)
    true = max(float(np.mean(squares - usual)), 0.0) + careful + least**2
    share = true / (true + usual)
    unknown = float((true + usual).mean()) / values.size if around is None else 0.0
    return middle + share * (values - middle), share * chance + (1.0 - share) ** 2 * unknown


def _chance(runs: Array, together: Array, length: Array) -> tuple[Array, Array]:
    """Square of the standard error of what all replications say `together`: of each row, and usually at its length.

    Sectioning (Asmussen & Glynn 2007, III.5a), so that a bad minute of one replication counts in full. No row is
    taken to be surer than halfway to what is usual: eight replications may all have missed such a minute.
    """
    known = (~np.isnan(runs)).sum(axis=1)
    squares = np.nansum((runs - together[:, None]) ** 2, axis=1) / np.maximum(known, 1) / np.maximum(known - 1, 1)
    there = known > 1
    usual = (float((squares * length)[there].mean()) if there.any() else 1.0) / length
    return np.where(there, np.maximum(squares, (squares + usual) / 2.0), usual), usual
