"""At which acceptance drafting saves nothing any more: its best plan costs what plain decoding's best does."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from dsd_plan.optimize.choices.objective import Judge, Judged, rounded
from dsd_plan.optimize.outlook.axis import Axis, Bracket
from dsd_plan.optimize.outlook.threats import may_win
from dsd_plan.optimize.search.rivals import SAME, Rival, best_near

PLAIN = "target_only"


def saves_nothing_at(axis: Axis, rivals: Sequence[Rival], today: dict[Rival, Judged]) -> float | None:
    """The nearest value on the way to the end at which no plan that drafts is better than plain decoding's best.

    Better is what the scenario minimizes; windows and replicas of both are chosen anew. None: it is nowhere, or nothing
    is saved at the start already, or no plan without drafts keeps every budget there. A saving is taken to go once.
    """
    plain = [rival for rival in rivals if _is_plain(rival)]
    drafting = [rival for rival in rivals if not _is_plain(rival)]
    if not plain or not drafting or not _saves(axis.judge(0.0), plain, drafting, today):
        return None
    if _saves(axis.judge(1.0), plain, drafting, today) is not False:
        return None
    within = Bracket(0.0, 1.0)
    while not within.narrow:
        at = within.middle
        saves = _saves(axis.judge(at), plain, drafting, today)
        within = Bracket(within.before, at) if saves is False else Bracket(at, within.behind)
    return rounded(axis.value(within.behind))


def _is_plain(rival: Rival) -> bool:
    return set(rival.modes) == {PLAIN}


def _saves(judge: Judge, plain: Sequence[Rival], drafting: Sequence[Rival], today: dict[Rival, Judged]) -> bool | None:
    """Whether some plan that drafts is the better one by the objective; None: no plain plan keeps every budget."""

    def best(rival: Rival) -> Judged:
        return best_near(judge, rival, today[rival].choice if rival in today else rival.start)

    kept = [judged for judged in map(best, plain) if judged.kept]
    if not kept:
        return None
    least = min(kept, key=lambda judged: judged.key)
    for rival in drafting:
        start = today[rival].choice if rival in today else rival.start
        if not may_win(judge, rival, start, least):
            continue
        found = best(rival)
        if found.kept and 0.0 < found.objective < inf and found.objective < least.objective * (1.0 - SAME):
            return True
    return False
