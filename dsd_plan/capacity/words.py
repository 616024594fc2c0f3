"""The answer in a sentence."""

from __future__ import annotations

from dsd_plan.capacity.breaking import MOST_LOAD, SATURATION
from dsd_plan.domain.capacity import Bottleneck, BudgetLimit, Capacity
from dsd_plan.optimize.choices.words import number

METRICS = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E"}


def budget_name(scope: str, quantity: str) -> str:
    """What a budget is called in a sentence: "chat's TPOT p95"."""
    metric, _, statistic = quantity.removesuffix("_ms").partition("_")
    if metric in METRICS:
        return f"{scope}'s {METRICS[metric]} {statistic}"
    return f"{scope}'s {quantity.replace('_', ' ')}"


def reason(found: Bottleneck) -> str:
    """Why something breaks there, after "because"."""
    texts = {
        "compute": f"{found.name} is short of steps",
        "batch_cap": f"batches on {found.name} are at their cap",
        "kv_memory": f"{found.name} is short of KV memory",
        "draft_device": f"drafts queue at {found.name}",
        "link": f"the link {found.name} is too narrow",
        "nothing_shared": "steps and round trip alone take that long, and more devices would not help",
    }
    return texts[found.why]


def todays_load(capacity: Capacity) -> str:
    """What loads are multiples of."""
    return "the load of today's busiest hour" if capacity.of_busiest_hour else "today's load"


def capitalised(text: str) -> str:
    """With a capital first letter, unless it begins with somebody's name for a thing."""
    return text[:1].upper() + text[1:] if text.split(" ")[0] in ("drafts", "batches", "steps", "the") else text


def sentence_of(capacity: Capacity) -> str:
    """Up to which load the plan holds, what breaks then, and why."""

    def times(load: float) -> str:
        return f"{number(load)} × {todays_load(capacity)}"

    because = "" if capacity.bottleneck is None else f" because {reason(capacity.bottleneck)}"
    if capacity.load is None:
        return f"Holds {times(MOST_LOAD)}, the most that was tried; nothing breaks."
    first = _first(capacity)
    if not capacity.holds_now:
        now = _broken_now(capacity)
        if capacity.load == 0.0:
            return f"Does not hold at any load: {now}{because}."
        what = f" {capitalised(reason(capacity.bottleneck))}." if capacity.bottleneck is not None else ""
        return f"Does not hold {todays_load(capacity)}: {now}. It holds up to {times(capacity.load)}.{what}"
    if first is None:
        if capacity.budgets:
            return f"Holds up to {times(capacity.load)}; then no steady state is left{because}."
        return f"No budget is given: a steady state holds up to {times(capacity.load)}; then none is left{because}."
    what = budget_name(first.scope, first.budget)
    if first.saturates:
        return f"Holds up to {times(capacity.load)}; then no steady state is left, and {what} breaks{because}."
    return f"Holds up to {times(capacity.load)}; then {what} breaks{because}."


def _first(capacity: Capacity) -> BudgetLimit | None:
    if capacity.breaks in (None, SATURATION):
        return None
    return next(row for row in capacity.budgets if f"{row.scope}: {row.budget}" == capacity.breaks)


def _broken_now(capacity: Capacity) -> str:
    if capacity.saturation_load is not None and capacity.saturation_load < 1.0:
        return "no steady state is left"
    broken = [row for row in capacity.budgets if not row.kept_now]
    worst = _first(capacity) or broken[0]
    now = "not known" if worst.now is None else number(worst.now)
    unit = " ms" if worst.budget.endswith("_ms") else ""
    others = len(broken) - 1
    more = (
        "" if others == 0 else ", and one more budget is broken" if others == 1 else f", and {others} more are broken"
    )
    return f"{budget_name(worst.scope, worst.budget)} is {now}{unit} for a budget of {number(worst.limit)}{unit}{more}"
