"""How far one input may move, all others held, before another mode's best plan becomes the better one.

Better is what the scenario minimizes, of plans that keep every budget. At each value tried every plan is chosen anew:
its windows and its replicas. Beside that stands where the chosen plan as it is, nothing chosen anew, breaks a budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, log

from dsd_plan.domain.study_outlook import TippingPoint
from dsd_plan.optimize.choices.budgets import FLEET
from dsd_plan.optimize.choices.candidates import Space
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import Evaluator, Lens, Repriced, Shifted
from dsd_plan.optimize.choices.objective import Judge, Judged, rounded
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.outlook.axis import RESOLUTION, Axis, Bracket, crossing
from dsd_plan.optimize.outlook.contenders import Contender, Explorer
from dsd_plan.optimize.outlook.gain_ends import saves_nothing_at
from dsd_plan.optimize.outlook.inputs import Input, Moved, inputs_of
from dsd_plan.optimize.outlook.stand_ins import stand_ins
from dsd_plan.optimize.outlook.threats import may_win
from dsd_plan.optimize.search.rivals import SAME, Lead, Rival, best_near, lead, rivals_of, settled

MIDDLES = (0.5,)
"""Places on the way to an end that are looked at too; a mode that wins only between two of them goes unseen."""
MOST_GUESSES = 4
"""Of a place where the decision changes, before the way is halved instead."""
A_BUDGET_BREAKS = "a budget breaks"


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The decision at one value of an input."""

    rival: Rival | None
    """None: no plan keeps every budget."""
    judged: Judged
    """Its best plan; without one, the chosen way's nearest miss."""
    by: str
    """What the winner is ahead by."""


class Outlook:
    """The chosen plan among its rivals, and what becomes of them where an input moves."""

    def __init__(
        self, explorer: Explorer, rivals: Sequence[Rival], lens: Lens, stand_ins: Sequence[Rival] = ()
    ) -> None:
        self.explorer = explorer
        self.rivals = tuple(rivals)
        self.stand_ins = tuple(stand_ins)
        self._as_it_is = Evaluator(explorer.scenario, explorer.predict, explorer.known)
        # How far the chosen plan is from its budgets was seen in its own replay: other plans' replays tell it worse.
        plain = replace(lens.corrected_by(self._as_it_is.trial(self.chosen.start)), observed={})
        judge = Judge(self._as_it_is, plain)
        here = judge.judge(self.chosen.start)
        # The chosen plan keeps its budgets in the replay: by as much as the model denies that, it is mistrusted.
        self._lens = replace(plain, slack=here.excess if 0.0 < here.excess < inf else 0.0)
        today = self.judge_at(Moved(explorer.scenario, None))
        self.today = {rival: best_near(today, rival, rival.start) for rival in self.rivals}
        mine = self.today[self.chosen]
        self._head_start = {rival: lead(judged, mine) for rival, judged in self.today.items()}

    @property
    def chosen(self) -> Rival:
        """The rival that was chosen: it comes first."""
        return self.rivals[0]

    def judge_at(self, moved: Moved) -> Judge:
        """A judge of plans where an input has moved."""
        if moved.change is None:
            return Judge(Repriced(moved.scenario, self._as_it_is), self._lens)
        return Judge(Shifted(self._as_it_is, self.explorer.deployed, moved.change), self._lens)

    def decided(self, judge: Judge, near: dict[Rival, Choice], rivals: Sequence[Rival] | None = None) -> Standing:
        """The better plan, as `judge` sees it; `near` are plans to start from, and becomes what was found.

        Before another mode takes over, or none does: whether the chosen one can on other devices, or with other drafts.
        """
        standing = self._among(judge, near, rivals)
        if standing.rival is self.chosen:
            return standing
        found = self.elsewhere(judge)
        if standing.rival is not None:
            found.append((standing.judged, standing.rival))
        if not found:
            return standing
        judged, rival = min(found, key=lambda pair: pair[0].key)
        if rival.modes == self.chosen.modes:
            return Standing(self.chosen, judged, "")
        return standing if rival is standing.rival else Standing(rival, judged, standing.by or "budgets")

    def elsewhere(self, judge: Judge) -> list[tuple[Judged, Rival]]:
        """The best plan of each stand-in, where that keeps every budget."""
        found = [(best_near(judge, rival, rival.start), rival) for rival in self.stand_ins]
        return [(judged, rival) for judged, rival in found if judged.kept]

    def _among(self, judge: Judge, near: dict[Rival, Choice], rivals: Sequence[Rival] | None) -> Standing:
        """The better plan of the rivals.

        Whoever is ahead of the chosen plan today already, within what replays can tell, has to be further ahead.
        """
        asked = rivals or self.rivals
        mine = settled(judge, near.get(self.chosen, self.chosen.start))
        if mine.kept:
            near[self.chosen] = mine.choice
            others = [rival for rival in asked if rival is not self.chosen]
            asked = [r for r in others if may_win(judge, r, near.get(r, r.start), mine)]
            if not asked:
                return Standing(self.chosen, mine, "")
            asked = [self.chosen, *asked]
        found: dict[Rival, Judged] = {}
        for rival in asked:
            found[rival] = best_near(judge, rival, near.get(rival, rival.start))
            if found[rival].kept:
                near[rival] = found[rival].choice
        here = found[self.chosen]
        winners = [
            (judged.key, rival, ahead)
            for rival, judged in found.items()
            if rival is not self.chosen and self._wins(rival, ahead := lead(judged, here))
        ]
        if winners:
            _, rival, ahead = min(winners, key=lambda winner: winner[0])
            return Standing(rival, found[rival], ahead.by)
        return Standing(self.chosen if here.kept else None, here, "")

    def _wins(self, rival: Rival, ahead: Lead) -> bool:
        before = self._head_start[rival]
        hurdle = before.ratio * (1.0 + 1e-3) if before.by == ahead.by and before.ratio > 1.0 else 1.0
        return ahead.ratio > hurdle


def outlook_of(
    explorer: Explorer,
    space: Space,
    chosen: Choice,
    others: Sequence[Choice],
    groups: dict[str, tuple[Contender, ...]],
    lens: Lens,
) -> Outlook:
    """The chosen plan, the other modes' best plans, and the chosen one with one workload in another mode."""
    apart = [contender.choices[len(contender.choices) // 2] for group in groups.values() for contender in group]
    rivals = rivals_of(space, [chosen, *others, *apart])
    return Outlook(explorer, rivals, lens, stand_ins(explorer.scenario, space, rivals))


def tipping_points(outlook: Outlook) -> tuple[TippingPoint, ...]:
    """The nearest change of the decision along each input, be it only that no plan keeps its budgets any more."""
    return tuple(looked() for looked in tips_to_look_for(outlook))


def tips_to_look_for(outlook: Outlook) -> tuple[Callable[[], TippingPoint], ...]:
    """Those of `tipping_points`, none of which waits for another."""
    return tuple(partial(_tipping, outlook, given) for given in inputs_of(outlook.explorer, outlook.rivals))


def _tipping(outlook: Outlook, given: Input) -> TippingPoint:
    nearest: tuple[float, float, Standing] | None = None
    rivals, breaks_at, nothing_saved_at = _concerned(outlook, given), [], None
    for end in given.searched:
        if end == given.now:
            continue
        axis = Axis(given, end, outlook.judge_at)
        tip = _first_change(outlook, axis, rivals)
        if tip is not None and (nearest is None or _distance(given, tip[0]) < nearest[0]):
            nearest = (_distance(given, tip[0]), *tip)
        breaks_at += _plan_breaks_at(outlook, axis)
        if given.name == "acceptance" and end < given.now:
            nothing_saved_at = saves_nothing_at(axis, (*outlook.rivals, *outlook.stand_ins), outlook.today)
    point = TippingPoint(
        workload=given.scope,
        input=given.name,
        now=given.now,
        tips_at=None,
        searched=given.searched,
        becomes=None,
        of=given.of,
        plan_breaks_at=min(breaks_at, key=lambda value: _distance(given, value), default=None),
        target=given.target,
        saves_nothing_at=nothing_saved_at,
    )
    if nearest is None:
        return point
    _, tips_at, there = nearest
    return replace(
        point,
        tips_at=tips_at,
        becomes=_becomes(outlook, given, there),
        window=_window(outlook, given, there),
        why=_why(outlook, there),
    )


def _plan_breaks_at(outlook: Outlook, axis: Axis) -> list[float]:
    """Where on the way the chosen plan as it is, nothing chosen anew, breaks a budget; empty: nowhere."""
    plan, before = outlook.chosen.start, 0.0
    for behind in (*MIDDLES, 1.0):
        if axis.excess(plan, behind) > 0.0:
            found = crossing(lambda share: axis.excess(plan, share), Bracket(before, behind))
            return [rounded(axis.value(behind if found is None else found.behind))]
        before = behind
    return []


def _concerned(outlook: Outlook, given: Input) -> tuple[Rival, ...]:
    """Of one workload's own inputs: the rivals that serve it in another mode than the chosen plan does.

    Of the fleet's: those that change more than one workload, where there are more than two; of a pair's: all.
    """
    if given.name == "acceptance" and given.scope == FLEET:
        return outlook.rivals
    if given.scope == FLEET or len(outlook.chosen.modes) == 1:
        few = len(outlook.chosen.modes) <= 2
        return tuple(r for r in outlook.rivals if few or r is outlook.chosen or _differing(outlook, r) > 1)
    position = [c.workload for c in outlook.chosen.start.candidates].index(given.scope)
    mine = outlook.chosen.modes[position]
    return tuple(r for r in outlook.rivals if r is outlook.chosen or r.modes[position] != mine)


def _differing(outlook: Outlook, rival: Rival) -> int:
    return sum(one != other for one, other in zip(rival.modes, outlook.chosen.modes, strict=True))


def _first_change(outlook: Outlook, axis: Axis, rivals: Sequence[Rival]) -> tuple[float, Standing] | None:
    """Where the decision first differs on the way, and what it is there."""
    near = {rival: judged.choice for rival, judged in outlook.today.items()}
    before, mine = 0.0, outlook.today[outlook.chosen].choice
    for behind in (*MIDDLES, 1.0):
        there = outlook.decided(axis.judge(behind), near, rivals)
        if there.rival is outlook.chosen:
            before, mine = behind, there.judged.choice
            continue
        return _narrowed(outlook, axis, rivals, near, Bracket(before, behind), mine, there)
    return None


def _narrowed(
    outlook: Outlook,
    axis: Axis,
    rivals: Sequence[Rival],
    near: dict[Rival, Choice],
    within: Bracket,
    mine: Choice,
    there: Standing,
) -> tuple[float, Standing]:
    """Where between two places the decision changes from `mine` to `there`, and what it is behind that.

    It mostly does where one of the two plans, as it is, meets a budget or the other's objective. That is asked for
    first, and the decision on both sides of it; half-way where it was not that.
    """
    guessed = 0
    while not within.narrow:
        guess = _guess(axis, mine, there, within) if guessed < MOST_GUESSES else None
        guessed += 1
        for at in (within.middle,) if guess is None else (guess.behind, guess.behind - RESOLUTION):
            if not within.before < at < within.behind:
                continue
            standing = outlook.decided(axis.judge(at), near, rivals)
            if standing.rival is outlook.chosen:
                within, mine = Bracket(at, within.behind), standing.judged.choice
            else:
                within, there = Bracket(within.before, at), standing
    return rounded(axis.value(within.behind)), there


def _guess(axis: Axis, mine: Choice, there: Standing, within: Bracket) -> Bracket | None:
    """Where the chosen way's plan breaks, or the other's begins to keep its budgets, or becomes the better one."""
    other = there.judged.choice
    if there.rival is None:
        return _first(within, lambda s: axis.excess(other, s), lambda s: axis.excess(mine, s))
    return _first(
        within,
        lambda s: axis.excess(mine, s),
        lambda s: -axis.excess(other, s),
        lambda s: axis.lead(mine, other, s, by_tpot=there.by == "tpot") - SAME,
    )


def _first(within: Bracket, *functions: Callable[[float], float]) -> Bracket | None:
    found = (crossing(function, within) for function in functions)
    return next((bracket for bracket in found if bracket is not None), None)


def _becomes(outlook: Outlook, given: Input, there: Standing) -> str:
    """A mode, where one takes over; else what each workload that changes is served by."""
    if there.rival is None:
        return A_BUDGET_BREAKS
    before = outlook.chosen.start.candidates
    changed = [c for c, old in zip(there.judged.choice.candidates, before, strict=True) if c.served != old.served]
    mine = [c for c in changed if c.workload == given.scope]
    modes = {c.served for c in mine or changed}
    if len(modes) == 1 and (mine or len(changed) == len(before)):
        return str(modes.pop())
    return ", ".join(f"{c.workload} {c.served.replace('_', ' ')}" for c in changed)


def _window(outlook: Outlook, given: Input, there: Standing) -> int | None:
    if there.rival is None:
        return None
    before = outlook.chosen.start.candidates
    changed = [c for c, old in zip(there.judged.choice.candidates, before, strict=True) if c.served != old.served]
    mine = [c for c in changed if c.workload == given.scope] or changed
    windows = {c.window for c in mine}
    return windows.pop() if len(windows) == 1 else None


def _why(outlook: Outlook, there: Standing) -> str:
    judged = there.judged
    # Where there are other devices or drafts, traffic could be split between them: that is not looked for here.
    whole = " with each workload served in one way" if outlook.stand_ins and not outlook.chosen.start.splits else ""
    if there.rival is None:
        if judged.trial.saturated is not None:
            return f"no plan carries it: {judged.trial.saturated[0]} is saturated with all that there are{whole}"
        if judged.worst is None or judged.value is None:
            return f"no plan keeps every budget{whole}"
        return f"no plan keeps {judged.worst.words}: {number(judged.value)} for {number(judged.worst.limit)}{whole}"
    words = {
        "budgets": "it keeps every budget, the chosen way breaks one with all devices that there are",
        "objective": {
            "cost": "it becomes the cheaper one",
            "energy": "it becomes the one of less energy a token",
            "tpot": "it becomes the one of lower TPOT",
            "devices": "it becomes the one of fewer devices",
        }[outlook.explorer.scenario.search.minimize],
        "devices": "it takes fewer devices at the same objective",
        "tpot": "its TPOT is lower at the same price",
    }
    return words[there.by]


def _distance(given: Input, value: float) -> float:
    """On one scale for values below and above: by ratio, or as a share of the range."""
    if given.by_ratio and given.now > 0.0 and value > 0.0:
        return abs(log(value / given.now))
    return abs(value - given.now)
