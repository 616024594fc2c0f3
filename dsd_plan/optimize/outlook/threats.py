"""Whether a rival may be the better one at all: mostly told from a prediction or two, with no window or replica fitted.

Another replica never slows a workload, so a rival that breaks a budget with as many as it could have without becoming
dearer than the plan it is set against cannot win, whatever it is fitted to.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from dsd_plan.optimize.choices.candidates import cost_per_hour, device_total, full_counts, with_count
from dsd_plan.optimize.choices.choice import Choice, Counts
from dsd_plan.optimize.choices.objective import Judge, Judged, rounded
from dsd_plan.optimize.search.rivals import Rival, moved, nearer, settled

FAR_BEHIND = 0.5
"""Share by which a rival's TPOT is the longer one that no other window makes up for: then none is tried."""
FAR_OFF = 1.0
"""Likewise by which it breaks a budget."""


def may_win(judge: Judge, rival: Rival, near: Choice, mine: Judged) -> bool:
    """Whether a plan of `rival` may be better than `mine`, which keeps every budget; `near` is one to start from.

    False is sure as far as the model's TPOT and misses have one valley over the window, as `best_near` takes it too.
    """
    if judge.minimize == "energy":
        return True
    if judge.minimize == "tpot":
        there = settled(judge, near)
        return not there.kept or there.tpot_ms <= mine.tpot_ms * (1.0 + FAR_BEHIND)
    most = _most(judge, near, mine)
    if most is None:
        return False
    tied = _price(judge, most) == mine.key[:2]
    for there in _downhill(judge, rival, Choice(near.candidates, most)):
        if FAR_OFF < there.latency_excess < inf:
            return False
        if not there.latency_kept:
            continue
        if not tied or len(most) > 1:
            return True
        ((name, count),) = most
        fewer = Choice(there.choice.candidates, with_count(most, name, count - 1))
        if there.tpot_ms <= mine.tpot_ms or (count > 1 and judge.judge(fewer).latency_kept):
            return True
        if there.tpot_ms > mine.tpot_ms * (1.0 + FAR_BEHIND):
            return False
    return False


def _most(judge: Judge, near: Choice, mine: Judged) -> Counts | None:
    """Of each device type, the most replicas that are no dearer than `mine` if all others had one; None: not even one.

    Dearer is by the objective first and by the number of devices next.
    """
    full = full_counts(judge.scenario, near.candidates)
    least = tuple((name, 1) for name, _ in full)
    found = []
    for name, there in full:
        fitting = [n for n in range(1, there + 1) if _price(judge, with_count(least, name, n)) <= mine.key[:2]]
        if not fitting:
            return None
        found.append((name, max(fitting)))
    return tuple(found)


def _price(judge: Judge, counts: Counts) -> tuple[float, int]:
    """The part of a plan's key that its replicas alone decide."""
    devices = device_total(judge.scenario, counts)
    objective = float(devices) if judge.minimize == "devices" else cost_per_hour(judge.scenario, counts)
    return rounded(objective), devices


def _downhill(judge: Judge, rival: Rival, start: Choice) -> Iterator[Judged]:
    """The windows from `start` on as long as they get better, on these replicas: upward, else downward."""
    first = best = judge.judge(start)
    yield first
    for step in (1, -1):
        while (other := moved(rival, best.choice, step)) is not None:
            there = judge.judge(other)
            yield there
            if not nearer(there, best):
                break
            best = there
        if best is not first:
            return
