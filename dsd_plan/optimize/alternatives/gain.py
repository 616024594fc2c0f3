"""By what factor speculation changes what is minimized: the best speculative plan over the best plain one."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from dsd_plan.optimize.alternatives.options import NAMES, Outcome
from dsd_plan.optimize.alternatives.splitting import SPLIT, spaces_of
from dsd_plan.optimize.choices.candidates import AnySpace, cost_per_hour
from dsd_plan.optimize.choices.choice import SPECULATIVE
from dsd_plan.optimize.confirmation.compare import Ratio, fleet_energy, price_ratio, ratio_of, scaled
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.doubt import budget_error
from dsd_plan.optimize.confirmation.hours import Days


def daily(days: Days, ratio: Ratio | None, one: Confirmed | None, other: Confirmed | None) -> Ratio | None:
    """A ratio of costs at the peak as one of costs over the day."""
    if ratio is None or one is None or other is None or days.flat or days.scenario.search.minimize != "cost":
        return ratio
    shares = []
    for plan in (one, other):
        at_peak = cost_per_hour(days.scenario, plan.choice.counts)
        shares.append(days.cost_per_hour(plan.choice) / at_peak if at_peak > 0.0 else 1.0)
    return scaled(ratio, shares[0] / shares[1]) if shares[1] > 0.0 else ratio


def objective_ratio(
    confirmation: Confirmation,
    space: AnySpace,
    tried: Sequence[AnySpace],
    outcomes: Sequence[Outcome],
    fastest: Confirmed | None,
    slow: Confirmed | None,
    tpot: Ratio | None,
) -> Ratio | None:
    """The ratio of the objective; None where either plan breaks a budget or nothing speculates.

    `tried`: where drafts that go on ahead were looked for, if not in `space`; `outcomes` know where splits were.
    """
    if fastest is None or slow is None or not (fastest.judged.kept and slow.judged.kept):
        return None
    minimize = confirmation.evaluator.scenario.search.minimize
    if minimize == "tpot":
        return tpot
    if minimize == "energy":
        return ratio_of(confirmation, fleet_energy, fastest, slow)
    modes = {mode for mode in fastest.choice.modes if mode in SPECULATIVE}
    if not modes:
        return None
    mode = modes.pop()
    pure = not modes and set(fastest.choice.modes) == {mode}
    within = [space.purely(mode) if pure else space.speculating()]
    if tried and "pipelined" in fastest.choice.modes:
        within = [space.speculating(), *tried]
    if fastest.choice.splits:
        within = [space.speculating(), *spaces_of(outcomes, SPLIT)]
    plainly = [space.purely("target_only"), *spaces_of(outcomes, NAMES["target_only"])]
    priced = price_ratio(confirmation, within, plainly, budget_error(confirmation, tpot))
    # The point is that of these two plans: they may have got the targets that survive the loss of drafts, or be the
    # cheapest over the day; how far it may be off is what the searches with other budgets say.
    mine, theirs = fastest.judged.objective, slow.judged.objective
    if priced is None or priced.point in (0.0, inf) or theirs <= 0.0:
        return priced
    return scaled(priced, mine / theirs / priced.point)
