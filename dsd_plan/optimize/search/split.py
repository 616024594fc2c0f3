"""Plans that split a workload's traffic between two ways to serve it, looked for around plans that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from math import floor, inf

from dsd_plan.domain.scenario import Mode
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.optimize.choices.candidates import (
    Space,
    cost_per_hour,
    device_total,
    full_counts,
    with_count,
)
from dsd_plan.optimize.choices.choice import SPECULATIVE, Candidate, Choice, Counts, compatible, same_but_window
from dsd_plan.optimize.choices.objective import SAME_PRICE, Judge, Judged, better
from dsd_plan.optimize.choices.replicas import fitted_counts
from dsd_plan.optimize.search.relaxation import open_tokens_per_s, power_w
from dsd_plan.optimize.search.rivals import nearer, settled
from dsd_plan.optimize.search.split_work import light, work_of

SHARES = tuple(step / 20 for step in range(1, 20))
"""Of a workload's requests that the first part may serve; closed users are rounded to whole ones."""
ALIKE = 4
"""Shares in a row of which one is tried, where TPOT is minimized."""
FILLINGS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
"""Shares of what devices can do up to which they are filled when counts are estimated."""
MOST_PREDICTIONS = 150
"""Plans that split traffic and are predicted anew in one search."""
MOST_TRIED = 60
"""Shares and counts, the cheapest first, that are predicted around one plan."""
CAN_BE_PART: frozenset[Mode] = frozenset({"target_only", "fused", "distributed"})
LEAST_GAIN = {"cost": SAME_PRICE, "devices": SAME_PRICE, "energy": 0.01, "tpot": 0.01}
"""By how much, as a share of the objective, split traffic has to be better to be looked at."""
SCOPE = "what was predicted around the best plans that split no traffic; no bound"


@dataclass(frozen=True, slots=True)
class Splits(Space):
    """Plans near `starts` in which some workload's traffic is split between two candidates of the space."""

    starts: tuple[Choice, ...] = ()

    def holds(self, chosen: tuple[Candidate, ...]) -> bool:
        """Whether these are ways of the space, some workload's traffic is split, and they may be deployed together."""
        return (
            len(chosen) == len(self.by_workload)
            and any(candidate.rest is not None for candidate in chosen)
            and all(
                part in group
                for candidate, group in zip(chosen, self.by_workload, strict=True)
                for part, _ in candidate.parts
            )
            and compatible(chosen)
        )


def splittable(space: Space) -> bool:
    """Whether some workload has two ways on different devices that may stand side by side."""
    return any(next(_pairs(group), None) is not None for group in space.by_workload)


def split_between(one: Candidate, other: Candidate, share: float) -> Candidate:
    """`share` of the requests the one way, the others the other.

    What speculates stands first; of two that do, or do not, the one that serves more.
    """
    ranks = [(part.mode not in SPECULATIVE, -size) for part, size in ((one, share), (other, 1.0 - share))]
    if ranks[1] < ranks[0]:
        one, other, share = other, one, 1.0 - share
    return replace(one, rest=other, share=round(share, 9))


def search_splits(judge: Judge, space: Splits) -> Judged | None:
    """The best plan found that splits traffic and is better than every start; None where none is.

    Deterministic: it counts predictions, not seconds.
    """
    sparing = _Sparing(judge, space)
    for trial in judge.evaluator.trials():
        if space.holds(trial.choice.candidates):
            sparing.judge(trial.choice)
    left = MOST_PREDICTIONS
    for number, start in enumerate(space.starts):
        # What one start leaves is the next one's.
        sparing.left = left // (len(space.starts) - number)
        before = sparing.left
        with suppress(_SpentError):
            _around(sparing, start, frozenset())
        left -= before - sparing.left
    return sparing.best


class _SpentError(Exception):
    """No more plans that split traffic may be predicted."""


class _Sparing(Judge):
    """Predicts few plans; those known already cost nothing."""

    def __init__(self, judge: Judge, space: Splits) -> None:
        super().__init__(judge.evaluator, judge.lens)
        self.minimize = judge.minimize
        self.space = space
        self.left = MOST_PREDICTIONS
        self.best: Judged | None = None
        whole = [judged.objective for start in space.starts if (judged := judge.judge(start)).kept]
        self._whole = min(whole, default=inf) * (1.0 - LEAST_GAIN[judge.minimize])

    @property
    def hurdle(self) -> float:
        """An objective has to be below this to be of use."""
        return self._whole if self.best is None else self.best.objective

    def judge(self, choice: Choice) -> Judged:
        if not self.evaluator.knows(choice):
            if self.left <= 0:
                raise _SpentError
            self.left -= 1
        judged = super().judge(choice)
        if choice.splits and judged.objective < self._whole:
            self.best = better(self.best, judged)
        return judged


@dataclass(frozen=True, slots=True, eq=False)
class _Option:
    """A workload's traffic split, and what that might be done with."""

    objective: float
    devices: int
    filling: float
    """Of the fullest device type."""
    choice: Choice


def _around(judge: _Sparing, start: Choice, done: frozenset[int]) -> None:
    """One workload of `start` split, the cheapest way first; then, from what that gives, another one too."""
    options: list[_Option] = []
    for position in range(len(start.candidates)):
        if position not in done:
            options += _options(judge, start, position)
    options.sort(key=lambda option: (option.objective, option.devices, option.filling))
    here: Judged | None = None
    for option in options[:MOST_TRIED]:
        if option.objective >= judge.hurdle:
            break
        there = _tried(judge, option)
        if here is None or nearer(there, here):
            here = there
    if here is None:
        return
    here = _polished(judge, here)
    split = frozenset(p for p, candidate in enumerate(here.choice.candidates) if candidate.rest is not None)
    if len(split) < len(start.candidates) and split != done:
        _around(judge, here.choice, split)


def _tried(judge: _Sparing, option: _Option) -> Judged:
    """The option with its counts; where they do, with the fewest that do."""
    chosen, counts = option.choice.candidates, option.choice.counts
    if judge.minimize == "tpot":
        return settled(judge, option.choice)
    judged = judge.judge(option.choice)
    if not judged.kept:
        return judged
    ones = tuple((name, 1) for name, _ in counts)
    return judge.judge(Choice(chosen, fitted_counts(judge, chosen, ones, counts)))


def _options(judge: _Sparing, start: Choice, position: int) -> Iterator[_Option]:
    """Shares and counts for every pair of ways; of those with the same counts the share that fills the devices least.

    What the others of the plan ask stays as it is.
    """
    others = (*start.candidates[:position], *start.candidates[position + 1 :])
    taken = work_of(judge, others)
    if taken is None:
        return
    group = _few_windows(judge, judge.space.by_workload[position], start.candidates[position])
    shares = _shares(judge, start.candidates[position].workload)
    for one, other in _pairs(group):
        chosen = (*start.candidates[:position], split_between(one, other, 0.5), *start.candidates[position + 1 :])
        mine, theirs = light(judge, one), light(judge, other)
        if mine is None or theirs is None or not compatible(chosen):
            continue
        full = full_counts(judge.scenario, chosen)
        best: dict[tuple[Counts, int], _Option] = {}
        for number, share in enumerate(shares):
            # All that is there is deployed where TPOT decides, and it turns on the share.
            slot = number // ALIKE if judge.minimize == "tpot" else 0
            work = {
                name: taken.get(name, 0.0)
                + share * mine.work.get(name, 0.0)
                + (1.0 - share) * theirs.work.get(name, 0.0)
                for name, _ in full
            }
            split = (*start.candidates[:position], split_between(one, other, share), *start.candidates[position + 1 :])
            tpot_ms = share * mine.tpot_ms + (1.0 - share) * theirs.tpot_ms
            for counts in _counts(judge, full, work):
                filling = max(work[name] / count for name, count in counts)
                objective = _objective(judge, counts, work, tpot_ms)
                known = best.get((counts, slot))
                if objective < judge.hurdle and (known is None or filling < known.filling):
                    devices = device_total(judge.scenario, counts)
                    best[counts, slot] = _Option(objective, devices, filling, Choice(split, counts))
        yield from best.values()


def _pairs(group: Sequence[Candidate]) -> Iterator[tuple[Candidate, Candidate]]:
    """Two ways that do not run on the same devices: on the same ones, splitting carries no more."""
    for one, other in combinations(group, 2):
        usable = one.mode in CAN_BE_PART and other.mode in CAN_BE_PART
        if usable and set(one.devices) != set(other.devices) and compatible((one, other)):
            yield one, other


def _few_windows(judge: Judge, group: Sequence[Candidate], mine: Candidate) -> tuple[Candidate, ...]:
    """Of ways that differ in their window alone: the start's, the one that asks least of the target, the fastest."""
    kept: list[Candidate] = [part for part, _ in mine.parts]
    families: list[list[Candidate]] = []
    for candidate in group:
        known = next((family for family in families if same_but_window(family[0], candidate)), None)
        if known is None:
            families.append([candidate])
        else:
            known.append(candidate)
    for family in families:
        found = {c: seen for c in family if c.mode in CAN_BE_PART and (seen := light(judge, c)) is not None}
        if found:
            kept.append(min(found, key=lambda c: (found[c].work.get(c.target_device, 0.0), c.window or 0)))
            kept.append(min(found, key=lambda c: (found[c].tpot_ms, c.window or 0)))
    return tuple(c for c in dict.fromkeys(kept) if c.mode in CAN_BE_PART)


def _shares(judge: Judge, workload: str) -> tuple[float, ...]:
    asked = judge.scenario.workload(workload)
    if not isinstance(asked.requests, ClosedRequests):
        return SHARES
    users = asked.requests.users * judge.scenario.site(asked.site).count
    whole = dict.fromkeys(round(share * users) for share in SHARES)
    return tuple(round(number / users, 9) for number in whole if 0 < number < users)


def _counts(judge: Judge, full: Counts, work: dict[str, float]) -> Iterator[Counts]:
    """Replicas that carry the work at each filling, from the fewest on; all that are there where TPOT decides."""
    if judge.minimize == "tpot":
        yield full
        return
    seen = set()
    for filling in FILLINGS:
        counts = tuple((name, floor(work[name] / filling) + 1) for name, _ in full)
        if any(count > there for (_, count), (_, there) in zip(counts, full, strict=True)):
            counts = tuple((name, min(count, there)) for (name, count), (_, there) in zip(counts, full, strict=True))
            if any(work[name] >= count for name, count in counts):
                return
        if counts not in seen:
            seen.add(counts)
            yield counts


def _objective(judge: Judge, counts: Counts, work: dict[str, float], tpot_ms: float) -> float:
    """About what the objective will be; of cost and devices exactly."""
    if judge.minimize == "cost":
        return cost_per_hour(judge.scenario, counts)
    if judge.minimize == "devices":
        return float(device_total(judge.scenario, counts))
    if judge.minimize == "tpot":
        return tpot_ms
    tokens_per_s = open_tokens_per_s(judge.scenario)
    return 0.0 if tokens_per_s is None else power_w(judge.scenario, counts, work) / tokens_per_s


def _polished(judge: _Sparing, here: Judged) -> Judged:
    """Shares a step further, windows a place further and a replica less, while one of these is better."""
    while True:
        before = here
        for choice in _next_to(judge, before.choice):
            there = judge.judge(choice)
            if nearer(there, here):
                here = there
        if here is before:
            return here


def _next_to(judge: _Sparing, choice: Choice) -> Iterator[Choice]:
    for position, candidate in enumerate(choice.candidates):
        for moved in (*_moved(judge, candidate, position), *_otherwise(judge, choice, position)):
            chosen = (*choice.candidates[:position], moved, *choice.candidates[position + 1 :])
            if compatible(chosen):
                known = dict(choice.counts)
                full = full_counts(judge.scenario, chosen)
                yield Choice(chosen, tuple((name, known.get(name, there)) for name, there in full))
    for name, count in choice.counts:
        if count > 1 and judge.minimize != "tpot":
            yield replace(choice, counts=with_count(choice.counts, name, count - 1))


def _moved(judge: _Sparing, candidate: Candidate, position: int) -> Iterator[Candidate]:
    group = judge.space.by_workload[position]
    rest = candidate.rest
    if rest is None:
        return
    shares = _shares(judge, candidate.workload)
    near = min(range(len(shares)), key=lambda index: abs(shares[index] - candidate.share))
    for index in (near - 1, near + 1):
        if 0 <= index < len(shares):
            yield replace(candidate, share=shares[index])
    for head in _next_windows(group, candidate.head):
        yield replace(head, rest=rest, share=candidate.share)
    for other in _next_windows(group, rest):
        yield replace(candidate, rest=other)


def _otherwise(judge: _Sparing, choice: Choice, position: int) -> Iterator[Candidate]:
    """Where another workload is split: this one whole, in one of its parts' ways or in another on what is deployed."""
    mine = choice.candidates[position]
    if mine.rest is not None:
        if choice.splits > 1:
            yield from (part for part, _ in mine.parts)
        return
    deployed = {name for name, _ in choice.counts}
    for other in _few_windows(judge, judge.space.by_workload[position], mine):
        if other != mine and deployed.issuperset(other.devices):
            yield other


def _next_windows(group: Sequence[Candidate], mine: Candidate) -> Iterator[Candidate]:
    family = sorted((c for c in group if same_but_window(c, mine)), key=lambda c: c.window or 0)
    at = family.index(mine)
    for index in (at - 1, at + 1):
        if 0 <= index < len(family):
            yield family[index]
