"""A comparison in words: the same facts in the same order on the page, in the terminal and in its sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsd_plan.domain.comparison import (
    BudgetChange,
    Comparison,
    Finding,
    InputChange,
    KeyChange,
    NumberChange,
    OptionChange,
)
from dsd_plan.domain.performance import Interval
from dsd_plan.report.markup import isolated
from dsd_plan.report.numbers import THIN, UNKNOWN, given, given_quantity, label, number, quantity, share, signed_share
from dsd_plan.report.reading import ANSWERS, FLEET

LEADING = {
    "workload": ("ttft_ms.p95", "tpot_ms.mean", "tpot_ms.p95", "slo_attainment"),
    "fleet": ("energy_j_per_token", "cost_per_hour"),
}
"""What is told first; everything else follows on demand."""
SAID_FIRST = ("tpot_ms.p95", "tpot_ms.mean", "ttft_ms.p95")
FINDINGS: dict[Finding, str] = {
    "significant": "significant",
    "not significant": "not significant",
    "changed": "changed (exact)",
    "not known": "not known: no interval",
    "same": "the same",
}
"""In the order in which they are shown."""
SOURCES = {"model": "predicted", "replay": "replayed", "testbed": "measured", "measured": "measured"}
DEVICE_WORDS = {"power_w": "power", "busy": "share of time busy"}
LONGEST_LIST = 4


def sentence_of(found: Comparison) -> str:
    """The answer: what became of the decision, the plan, the number that moved most, and the cost."""
    if found.identical:
        return "Nothing changed: inputs, plan and numbers are the same."
    parts = []
    if found.verdict is not None:
        before, after = (ANSWERS.get(a, a) for a in (found.verdict.answer_before, found.verdict.answer_after))
        parts.append(f"{before}, as before" if before == after else f"now {after.lower()} (before: {before.lower()})")
        parts.append("another plan" if found.plan else "the same plan")
    parts.append(number_sentence(found))
    cost = next((row for row in found.leading if (row.scope, row.metric) == ("fleet", "cost_per_hour")), None)
    if cost is not None:
        same = cost.finding == "same"
        parts.append(f"{label(cost.metric)} {'stays ' + value_of(cost, cost.after) if same else before_after(cost)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def number_sentence(found: Comparison) -> str:
    """The latency that moved most for sure; else that none did."""
    rows = [row for row in found.leading if row.scope == "workload"]
    sure = [row for row in rows if row.finding == "significant" and row.relative is not None]
    for metrics in (SAID_FIRST, tuple(row.metric for row in rows)):
        some = [row for row in sure if row.metric in metrics]
        if some:
            most = max(some, key=lambda row: abs(row.relative or 0.0))
            return f"{number_name(most)} {before_after(most)} ({change(most)}, {interval_of_change(most)}), significant"
    if not rows:
        return "no workload in common"
    if all(row.finding == "same" for row in rows):
        return "the same numbers"
    if all(row.finding in ("same", "not known") for row in rows):
        return "whether a number changed significantly is not known, for want of intervals"
    return "no number of a workload changed significantly"


def counts_sentence(found: Comparison) -> str:
    """How many numbers changed, did not, or cannot be judged."""
    rows = found.leading
    told = [f"{many} {FINDINGS[kind]}" for kind in FINDINGS if (many := sum(row.finding == kind for row in rows))]
    source = f" ({SOURCES[found.basis]})" if found.basis else ""
    return f"Of {len(rows)} numbers{source}: {', '.join(told)}." if rows else "No number is in both."


def inputs_sentence(found: Comparison) -> str:
    """What else went in."""
    if found.kind == "performance":
        return "What went into a performance is not recorded in it; studies tell that."
    files, keys, made = len(found.inputs), len(found.scenario), [change.key for change in found.made]
    told = [
        "no file's content differs" if not files else f"{files} input file{plural(files)} differ{plural(files, 's')}",
        "no key of the scenario" if not keys else f"{keys} key{plural(keys)} of the scenario",
    ]
    others = f" Made with another {' and '.join(isolated(key) for key in made[:LONGEST_LIST])}." if made else ""
    text = " and ".join(told)
    return f"{text[:1].upper()}{text[1:]}.{others}"


def plural(many: int, one: str = "") -> str:
    """The ending of a noun; with `one`, of a verb."""
    return one if many == 1 else ("s" if not one else "")


def number_name(row: NumberChange) -> str:
    """What a number is called: "TPOT p95 of chat", "power of h200"."""
    words = DEVICE_WORDS.get(row.metric, label(row.metric))
    return words if row.name == FLEET and row.scope == "fleet" else f"{words} of {isolated(row.name)}"


def value_of(row: NumberChange, value: float | None) -> str:
    """A side's value with its unit."""
    return share(value) if row.metric == "busy" else quantity(row.metric, value)


def before_after(row: NumberChange) -> str:
    """Both values."""
    return arrow(value_of(row, row.before), value_of(row, row.after))


def arrow(before: str, after: str) -> str:
    """From the one to the other."""
    return f"{before} → {after}"


def change(row: NumberChange) -> str:
    """The relative change."""
    return "0" + THIN + "%" if row.finding == "same" else signed_share(row.relative)


def interval_of_change(row: NumberChange) -> str:
    """The interval of the relative change; of the difference where there is no ratio."""
    if row.ratio is not None:
        return ends_of_ratio(row.ratio)
    if row.difference is None or row.finding == "same":
        return UNKNOWN
    return f"{number(row.difference.low)} to {number(row.difference.high)}"


def ends_of_ratio(ratio: Interval) -> str:
    """−22.1 to −17.8 %."""
    low, high = (signed_share(end - 1.0) for end in (ratio.low, ratio.high))
    return f"{low.removesuffix(THIN + '%')} to {high}"


def leading_rows(found: Comparison) -> list[NumberChange]:
    """What is told first, the surest and largest changes on top."""
    return by_finding([row for row in found.leading if row.metric in LEADING.get(row.scope, ())])


def by_finding(rows: Sequence[NumberChange]) -> list[NumberChange]:
    """Grouped by what was found, the largest relative change first."""
    order = list(FINDINGS)
    return sorted(rows, key=lambda row: (order.index(row.finding), -abs(row.relative or 0.0)))


def key_words(change_: KeyChange) -> str:
    """A key with its two values."""
    if change_.change == "changed":
        return f"{isolated(change_.key)}: {arrow(written(change_.before), written(change_.after))}"
    value = change_.after if change_.change == "added" else change_.before
    told = "" if isinstance(value, Mapping) else f": {written(value)}"
    return f"{isolated(change_.key)}{told} ({change_.change})"


def written(value: Any) -> str:
    """A value of a key as it stands in a file, cut where it is long."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return given(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{isolated(key)} = {written(item)}" for key, item in list(value.items())[:3]) + ", …}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = ", ".join(written(item) for item in value[:LONGEST_LIST])
        return f"[{shown}{', …' if len(value) > LONGEST_LIST else ''}]"
    return isolated(value)


def input_words(file: InputChange) -> str:
    """A file and what became of it."""
    return f"{isolated(file.path)} ({file.change})"


def budget_words(budget: BudgetChange) -> str:
    """A budget that was moved, broken, kept again, made or given up."""
    name = label(budget.budget) + ("" if budget.scope == FLEET else f" of {isolated(budget.scope)}")
    limits = [
        UNKNOWN if limit is None else given_quantity(budget.budget, limit)
        for limit in (budget.limit_before, budget.limit_after)
    ]
    kept = [{True: "kept", False: "broken", None: "no budget"}[k] for k in (budget.kept_before, budget.kept_after)]
    told = kept[0] if kept[0] == kept[1] else arrow(*kept)
    limit = limits[0] if limits[0] == limits[1] else arrow(*limits)
    return f"{name}: {told}, limit {limit}"


def option_words(option: OptionChange) -> str:
    """What became of an option."""
    if option.change in ("added", "removed"):
        return f"{isolated(option.name)} ({option.change})"
    told = []
    if option.chosen_before != option.chosen_after:
        told.append("now chosen" if option.chosen_after else "no longer chosen")
    if option.cost_per_hour_before != option.cost_per_hour_after:
        costs = (number(option.cost_per_hour_before), number(option.cost_per_hour_after))
        told.append(f"cost an hour {arrow(*costs)}")
    told += [f"{isolated(c.key)} {arrow(written(c.before), written(c.after))}" for c in option.devices]
    if not told and option.reason_before != option.reason_after:
        told.append(option.reason_after or "no reason told")
    return f"{isolated(option.name)}: {', '.join(told) or 'other numbers'}"


def options_changed(found: Comparison) -> list[OptionChange]:
    """Options that differ."""
    return [option for option in found.options if option.change != "same"]


def gap_words(found: Comparison) -> str:
    """The proven distance from the best plan, before and after."""
    if found.optimality_gap is None:
        return UNKNOWN
    before, after = ("not bounded" if gap is None else share(gap) for gap in found.optimality_gap)
    return before if before == after else arrow(before, after)
