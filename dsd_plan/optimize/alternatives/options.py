"""The options side by side: whole devices, cost, numbers, and why each was chosen or lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from dsd_plan.domain.hours import HOURS_A_MONTH
from dsd_plan.domain.scenario import Mode, Scenario
from dsd_plan.domain.study import BudgetCheck, Option
from dsd_plan.domain.study_decision import Backcast, BackcastRow
from dsd_plan.optimize.alternatives.engines import engine_of, reprompting
from dsd_plan.optimize.choices.budgets import MANY_WORKLOADS, Limit, budget_checks
from dsd_plan.optimize.choices.candidates import AnySpace, WideSpace, cost_per_hour, device_total, site_copies
from dsd_plan.optimize.choices.choice import Choice, Counts
from dsd_plan.optimize.choices.evaluate import Trial
from dsd_plan.optimize.choices.objective import SAME_PRICE, Judge
from dsd_plan.optimize.choices.words import number, percent, plan_words
from dsd_plan.optimize.confirmation.confirm import Confirmation, Confirmed
from dsd_plan.optimize.confirmation.drafts_lost import Survival
from dsd_plan.optimize.confirmation.hours import Days

NAMES: Mapping[Mode, str] = {
    "target_only": "do nothing: plain decoding on the target",
    "fused": "draft beside the target",
    "distributed": "draft at the edge",
    "pipelined": "draft at the edge, going on ahead",
    "edge_only": "edge alone",
}
MIXED = "each workload in its own way"
TODAY = "do nothing: the system as it is today"
PLAIN = "plain decoding on the target"
ALL_DRAFTS_LOST = "all drafts lost at peak"
LEAST_PRICE = 1e-9
MOST_MEASURED = 4
"""Measured numbers that the row of today's system names."""
FLEETING = "only while its drafts are there"
LASTING = "still do when every draft is lost"
SAME = 5e-4
"""Relative difference of TPOT that no reader sees."""
NOTHING_TO_LOSE = "the chosen plan drafts nowhere but on its targets: there is nothing to lose"
NOTHING_DRAFTS = "the chosen plan decodes plainly: there is no draft to lose"
HEAD = "head or n-gram on the target"
NO_HEAD = "no head or n-gram pair in the scenario"
EDGE_ALONE = NAMES["edge_only"]
NO_EDGE_ALONE = (
    "not assessed: the draft's own text is another answer than the target's; list edge_only in search.modes where its "
    "quality will do"
)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one mode: its best confirmed plan, or the nearest miss, or nothing at all."""

    name: str
    space: AnySpace
    confirmed: Confirmed | None
    miss: Trial | None = None
    """Where no plan keeps every budget: the plan that comes nearest."""
    lost: str = ""
    """Why it cannot do where that is the loss of its drafts: a sentence."""

    @property
    def choice(self) -> Choice | None:
        """The plan that stands for this mode."""
        if self.confirmed is not None:
            return self.confirmed.choice
        return None if self.miss is None else self.miss.choice


def nearest_miss(confirmation: Confirmation, space: AnySpace) -> Trial | None:
    """Of all plans of `space` that were tried: the one whose worst budget is broken least, saturated ones last."""
    judge = Judge(confirmation.evaluator, confirmation.lens)

    def distance(trial: Trial) -> tuple[float, float, tuple[float, ...]]:
        judged = judge.judge(trial.choice)
        saturation = trial.saturated[1] if trial.saturated is not None else 0.0
        return judged.excess, saturation, judged.key[:5]

    tried = [
        trial
        for trial in confirmation.evaluator.trials()
        if trial.misfit is None and space.holds(trial.choice.candidates)
    ]
    return min(tried, key=distance, default=None)


def trouble(confirmation: Confirmation, trial: Trial | None) -> str:
    """What is wrong with a plan, as the end of a sentence: "breaks TPOT p95 of chat, 52.3 for 45"."""
    if trial is None:
        return "cannot be deployed"
    judged = confirmation.judge(trial.choice)
    if trial.saturated is not None:
        device, saturation = trial.saturated
        return f"saturates {device} ({number(saturation)} of the work it can do)"
    if judged.worst is None or judged.value is None or judged.excess == inf:
        return "finds no steady state in the replay" if trial.choice in confirmation.observed else "has unknown numbers"
    how = "in the replay"
    if trial.choice not in confirmation.observed:
        how = "under the model as the replays corrected it" if confirmation.lens.factors else "under the model"
    return f"breaks {judged.worst.words}, {number(judged.value)} for {number(judged.worst.limit)} {how}"


def option_rows(
    confirmation: Confirmation, outcomes: Sequence[Outcome], chosen: Confirmed, survival: Survival, days: Days
) -> tuple[Option, ...]:
    """One row an outcome, then what was not assessed; the chosen plan is marked once."""
    rows = [_over_the_day(option_of(confirmation, o, chosen, days), o.choice, survival, days) for o in outcomes]
    named = {row.name for row in rows}
    for name, reason in ((HEAD, _no_head(confirmation.evaluator.scenario)), (EDGE_ALONE, NO_EDGE_ALONE)):
        if name not in named:
            rows.append(Option(name=name, chosen=False, plan=None, predicted=None, reason=reason))
    order = (NAMES["target_only"], HEAD, NAMES["fused"], NAMES["distributed"], EDGE_ALONE)
    rows.sort(key=lambda row: order.index(row.name) if row.name in order else len(order))
    return (*lasting(rows), _all_drafts_lost(confirmation, chosen, survival))


def lasting(rows: Iterable[Option]) -> tuple[Option, ...]:
    """Where a cheaper plan saves only with its drafts, the chosen one is the best of those that lose nothing."""
    rows = tuple(rows)
    if not any(row.reason.endswith(FLEETING) for row in rows):
        return rows
    return tuple(replace(row, reason=f"{row.reason} and {LASTING}") if row.chosen else row for row in rows)


def _no_head(scenario: Scenario) -> str:
    """Why there is no row with numbers for speculation on the target without a draft model."""
    if all(pair.kind == "model" for pair in scenario.pairs):
        return NO_HEAD
    if "fused" not in scenario.search.modes:
        return "fused is not in search.modes"
    if len(scenario.workloads) >= MANY_WORKLOADS:
        return f"of so many workloads it is not told apart from: {NAMES['fused']}"
    return "no device that runs its target has a profile of a head"


def _over_the_day(row: Option, choice: Choice | None, survival: Survival, days: Days) -> Option:
    if choice is None:
        return row
    ttft_ms, tpot_ms = days.worst_p95_ms(choice)
    return replace(
        row,
        drafts_lost=survival.of(choice),
        cost_per_month=days.cost_per_month(choice),
        worst_hour_ttft_p95_ms=ttft_ms,
        worst_hour_tpot_p95_ms=tpot_ms,
        hours=days.of(choice),
        engine=None if row.plan is None else engine_of(days.scenario, row.plan),
        reprompting=() if row.plan is None else reprompting(days.scenario, row.plan, row.predicted),
    )


def with_present(rows: Sequence[Option], scenario: Scenario, present: Backcast) -> tuple[Option, ...]:
    """Where today's plan is given, doing nothing is that plan, and plain decoding is an option like others."""
    checks = budget_checks(scenario, present.predicted, present.replayed)
    measured = {(row.workload, row.metric.replace("_ms.", "_") + "_ms"): row for row in present.rows}
    reason = "what is there today; keeps every budget"
    if present.saturates is not None:
        reason = f"what is there today; {present.saturates} saturates under the model, so that it has no numbers"
    else:
        # What was measured is how it is; model and replay tell of the rest.
        standing = [_standing(check, measured.get((check.scope, check.budget))) for check in checks]
        share, words = max(standing, key=lambda one: one[0], default=(1.0, ""))
        if share > 1.0:
            reason = f"what is there today; breaks {words}"
    reason += _as_measured(present, checks)
    today = Option(
        name=TODAY,
        chosen=any(row.chosen and row.plan == present.plan for row in rows),
        plan=present.plan,
        predicted=present.predicted,
        replayed=present.replayed,
        devices=present.devices,
        cost_per_hour=present.cost_per_hour,
        cost_per_month=HOURS_A_MONTH * present.cost_per_hour,
        reason=reason,
    )
    named = [replace(row, name=PLAIN) if row.name == NAMES["target_only"] else row for row in rows]
    return (today, *(replace(row, chosen=row.chosen and not today.chosen) for row in named))


def _standing(check: BudgetCheck, row: BackcastRow | None) -> tuple[float, str]:
    """How many times its limit a budget is today, 1 where it is kept, and the words for it."""
    limit, what = check.limit, Limit(check.scope, check.budget, check.limit).words
    if row is not None and row.measured is not None:
        # What was measured at the servers is without the way to them, which the budget has.
        way = 0.0 if None in (check.predicted, row.predicted) else (check.predicted or 0.0) - (row.predicted or 0.0)
        seen = row.measured + max(way, 0.0)
        words = f"{what}, {number(seen)} for {number(limit)} as measured"
        return max(seen / limit, 1.0), words
    value = check.predicted if check.replayed is None else check.replayed.point
    words = f"{what}, {number(value)} for {number(limit)} by the model"
    if check.kept:
        return 1.0, words
    return inf if value is None else max(value / limit, limit / value if value > 0.0 else inf), words


def _as_measured(present: Backcast, checks: Sequence[BudgetCheck]) -> str:
    """What was measured of today's system beside the model's word, and which budget that breaks."""
    limits = {(check.scope, check.budget): check.limit for check in checks}
    words: list[str] = []
    for row in present.rows:
        if row.measured is None:
            continue
        limit = limits.get((row.workload, row.metric.replace("_ms.", "_") + "_ms"))
        over = "" if limit is None or row.measured <= limit else f", which breaks its budget of {number(limit)}"
        model = "" if row.predicted is None else f" (model {number(row.predicted)})"
        said = f"{row.metric} of {row.workload} {number(row.measured)}{model}{over}"
        # What breaks a budget comes first: tables show the beginning.
        words.insert(0 if over else len(words), said)
    more = f", and {len(words) - MOST_MEASURED} more" if len(words) > MOST_MEASURED else ""
    return f"; measured {', '.join(words[:MOST_MEASURED])}{more}" if words else ""


def option_of(
    confirmation: Confirmation, outcome: Outcome, chosen: Confirmed, days: Days, name: str | None = None
) -> Option:
    """The row of one outcome, under another name where one is given."""
    named, name = name is None, name or outcome.name
    scenario = confirmation.evaluator.scenario
    if outcome.confirmed is not None:
        is_chosen = outcome.confirmed.choice == chosen.choice
        reason = why_chosen(scenario) if is_chosen else why_lost(scenario, outcome.confirmed, chosen, days)
        if outcome.confirmed.choice.splits and named:
            reason = f"{plan_words(outcome.confirmed.choice)}: {reason}"
        return _row(confirmation, name, outcome.confirmed.judged.trial, reason, chosen=is_chosen)
    if outcome.miss is None:
        return Option(name=name, chosen=False, plan=None, predicted=None, reason=outcome.lost or _impossible(outcome))
    return _row(confirmation, name, outcome.miss, outcome.lost or trouble(confirmation, outcome.miss))


def _row(confirmation: Confirmation, name: str, trial: Trial, reason: str, *, chosen: bool = False) -> Option:
    scenario = confirmation.evaluator.scenario
    observed = confirmation.observed.get(trial.choice)
    return Option(
        name=name,
        chosen=chosen,
        plan=trial.plan,
        predicted=trial.performance,
        replayed=None if observed is None else observed.pooled,
        devices=whole_devices(scenario, trial.choice.counts),
        cost_per_hour=cost_per_hour(scenario, trial.choice.counts),
        reason=reason,
    )


def whole_devices(scenario: Scenario, counts: Counts) -> dict[str, int]:
    """Devices by type, over all copies of their sites."""
    return {name: count * site_copies(scenario, scenario.device(name)) for name, count in counts}


def _impossible(outcome: Outcome) -> str:
    """Why a mode has no plan at all: what kept its candidates out, else what it lacks."""
    if isinstance(outcome.space, WideSpace):
        return "no plan of it was found that keeps every budget under the model"
    modes = [mode for mode, name in NAMES.items() if name == outcome.name]
    own = [note for note in outcome.space.notes if any(f", {mode}: " in note for mode in modes)]
    if own:
        return "; ".join(own)
    lacks = {
        "target_only": "no device has a profile of a target",
        "fused": "no device that runs a target has a profile of its draft",
        "distributed": "no device at the users' sites has a profile of a draft",
        "pipelined": "no device at the users' sites has a profile of a draft",
        "edge_only": "no device at the users' sites has a profile of a draft",
    }
    return lacks.get(modes[0] if modes else "", "; ".join(outcome.space.notes) or "not in the search")


def why_chosen(scenario: Scenario) -> str:
    """The reason beside the chosen plan."""
    words = {
        "cost": "the cheapest",
        "energy": "the least energy a token",
        "tpot": "the lowest TPOT",
        "devices": "the fewest devices",
    }
    return f"{words[scenario.search.minimize]} of the plans that keep every budget in the replay"


def why_lost(scenario: Scenario, plan: Confirmed, chosen: Confirmed, days: Days) -> str:
    """The reason beside a plan that keeps every budget and was not chosen, with its number."""
    cost = days.cost_per_hour(plan.choice) - days.cost_per_hour(chosen.choice)
    devices = device_total(scenario, plan.choice.counts) - device_total(scenario, chosen.choice.counts)
    mine, best = plan.judged, chosen.judged
    if scenario.search.minimize == "cost" and abs(cost) > 1e-9:
        over = "" if days.flat else f" over the day, {HOURS_A_MONTH * abs(cost):,.0f} a month"
        if cost > 0:
            return f"keeps every budget, but costs {number(cost)} an hour more{over}"
        if -cost > SAME_PRICE * days.cost_per_hour(chosen.choice):
            return f"keeps every budget and costs {number(-cost)} an hour less{over}, but {FLEETING}"
    if scenario.search.minimize == "energy" and mine.key[0] > best.key[0]:
        return f"keeps every budget, but takes {percent(mine.objective / best.objective - 1.0)} more energy a token"
    if scenario.search.minimize != "tpot" and devices > 0:
        return f"keeps every budget, but takes {devices} more devices"
    if scenario.search.minimize == "devices" and devices < 0:
        return f"keeps every budget and takes {-devices} fewer devices, but {FLEETING}"
    change = mine.tpot_ms / best.tpot_ms - 1.0 if best.tpot_ms > 0.0 else 0.0
    if change > 0.0:
        return f"keeps every budget, but its mean TPOT is {percent(change)} higher"
    if change > -SAME:
        return "keeps every budget and is no better; the simpler plan is chosen"
    return f"mean TPOT {percent(-change)} lower, which is within the error; the simpler plan is chosen"


def _all_drafts_lost(confirmation: Confirmation, chosen: Confirmed, survival: Survival) -> Option:
    """The chosen plan's targets decoding plainly: what is left when every draft device is down at peak load."""
    choice, lost = survival.without_drafts(chosen.choice), survival.of(chosen.choice)
    if choice is None or lost is None:
        plain = all(part.mode == "target_only" for part, _ in chosen.choice.parts)
        why = NOTHING_DRAFTS if plain else NOTHING_TO_LOSE
        return Option(name=ALL_DRAFTS_LOST, chosen=False, plan=None, predicted=None, reason=why)
    trial = survival.trial(choice)
    row = _row(confirmation, ALL_DRAFTS_LOST, trial, lost.sentence)
    paid, left = (cost_per_hour(confirmation.evaluator.scenario, c.counts) for c in (chosen.choice, choice))
    if paid - left > LEAST_PRICE:
        row = replace(row, cost_per_hour=paid, reason=f"{lost.sentence}; the lost drafts are still paid for")
    return replace(row, drafts_lost=lost, budgets=survival.checks(trial) if survival.accepted else None)
