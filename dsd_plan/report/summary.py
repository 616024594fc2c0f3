"""The facts that a terminal and a Markdown file show, in the page's order and words."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.study import Option, Study
from dsd_plan.report.markup import BIDI_CONTROLS, CONTROLS
from dsd_plan.report.numbers import (
    THIN,
    given_quantity,
    interval,
    label,
    milliseconds,
    number,
    quantity,
    share,
    signed_share,
)
from dsd_plan.report.reading import (
    ANSWERS,
    FLEET,
    KeyMetric,
    best_known,
    budget_interval,
    budget_value,
    declared_parts,
    is_floor,
    key_metric,
    latency,
    latency_interval,
    option_limit,
    option_numbers,
    used_up,
    workload_of,
    worst_first,
)

HEADLINES = 3
FEW = 9
"""Budgets that are told in the scenario's order; of more the tightest come first."""
WORST = 2


@dataclass(frozen=True, slots=True)
class Headline:
    """One of the numbers that matter, and what was promised."""

    what: str
    value: str
    ends: str
    limit: str
    kept: bool | None
    """None: nothing was promised."""


def plain(text: object) -> str:
    """One line of visible text: no control characters, no marks of writing direction, ordinary spaces."""
    one_line = " ".join(str(text).replace(THIN, " ").split())
    return BIDI_CONTROLS.sub("", CONTROLS.sub("\ufffd", one_line))


def reason_of(study: Study) -> str:
    """The verdict's sentence without the answer that it may begin with, which stands in front of it."""
    answer, sentence = ANSWERS[study.verdict.answer], study.verdict.sentence
    for opening in (f"{answer} here: ", f"{answer}: "):
        if sentence.startswith(opening):
            rest = sentence[len(opening) :]
            return rest[:1].upper() + rest[1:]
    return sentence


def headlines(study: Study) -> list[Headline]:
    """Every budget, broken ones first, of many then the tightest; at least three rows, with latencies and the cost."""
    found = []
    many = len(study.budgets) > FEW
    for check in sorted(study.budgets, key=lambda check: (check.kept, -used_up(check) if many else 0.0)):
        scope = "" if check.scope == FLEET else f" of {check.scope}"
        bound = "at least" if is_floor(check.budget) else "at most"
        ends = interval(check.budget, budget_interval(check))
        value, limit = quantity(check.budget, budget_value(check)), given_quantity(check.budget, check.limit)
        standing = ", undecided" if check.undecided else ""
        found.append(Headline(f"{label(check.budget)}{scope}", value, ends, f"{bound} {limit}{standing}", check.kept))
    budgeted = {check.budget for check in study.budgets}
    return (
        found + [extra for name, extra in _unbudgeted(study) if name not in budgeted][: max(0, HEADLINES - len(found))]
    )


def _unbudgeted(study: Study) -> list[tuple[str, Headline]]:
    key, known = key_metric(study), best_known(study)
    rows = []
    for metric in ("tpot_p95_ms", "ttft_p95_ms") if key else ():
        seen = workload_of(known, key.workload) if key else None
        ends = interval(metric, latency_interval(seen, metric))
        what = f"{label(metric)} of {key.workload}" if key else ""
        rows.append((metric, Headline(what, milliseconds(latency(seen, metric)), ends, "no budget", None)))
    cost = Headline(
        label("cost_per_hour"), quantity("cost_per_hour", known.fleet.cost_per_hour), "–", "no budget", None
    )
    return [*rows, ("cost_per_hour", cost)]


def option_columns(study: Study) -> list[str]:
    """Headings of the numbers beside an option."""
    key = key_metric(study)
    return [*(label(metric) for metric in option_metrics(key)), "Cost an hour"]


def option_values(study: Study, option: Option) -> list[str]:
    """An option's numbers with ✓ or ✗ where there is a budget."""
    key = key_metric(study)
    seen = workload_of(option_numbers(option), key.workload) if key else None
    shown = []
    for metric in option_metrics(key):
        value = _measured(study, option, key, metric) or latency(seen, metric)
        limit = option_limit(study, option, key.workload, metric) if key else None
        sign = "" if limit is None or value is None else (" ✓" if value <= limit else " ✗")
        shown.append(milliseconds(value) + sign)
    return [*shown, number(option.cost_per_hour)]


def _measured(study: Study, option: Option, key: KeyMetric | None, metric: str) -> float | None:
    """What was measured of today's system, where the option is that system."""
    if study.backcast is None or key is None or option.plan != study.backcast.plan:
        return None
    kind, statistic = metric.removesuffix("_ms").split("_")
    asked = (key.workload, f"{kind}_ms.{statistic}")
    return next((row.measured for row in study.backcast.rows if (row.workload, row.metric) == asked), None)


def option_metrics(key: KeyMetric | None) -> list[str]:
    """What options are compared by: the key number, the mean TPOT that plans are chosen by, and TTFT."""
    return [] if key is None else list(dict.fromkeys([key.metric, "tpot_mean_ms", "ttft_p95_ms"]))


def engine_line(study: Study) -> str | None:
    """Whether an engine can run the chosen plan, and what the context sent again would cost; None: not told."""
    chosen = next((option for option in study.options if option.chosen), None)
    if chosen is None or chosen.engine is None:
        return None
    again = [
        f"a round of {row.workload} then sends {row.bytes_per_round:,.0f} bytes more and prefills "
        f"{milliseconds(row.prefill_ms_per_round)} longer, {milliseconds(row.cached_prefill_ms_per_round)} from a cache"
        for row in chosen.reprompting[:1]
    ]
    return "; ".join([f"{chosen.engine.today}: {chosen.engine.sentence}", *again])


def day_line(study: Study) -> str:
    """The chosen plan in the busiest and the quietest hour."""
    busiest, quietest = (pick(study.hours, key=lambda row: row.load) for pick in (max, min))
    ends = []
    for row in (busiest, quietest):
        devices = ", ".join(f"{count} {name}" for name, count in row.devices.items())
        near = (
            ""
            if row.budget_share is None
            else f", {label(row.budget or '')} at {share(row.budget_share)} of its budget"
        )
        ends.append(f"{row.hour}:00 at {share(row.load)} of the peak on {devices}{near}")
    month = next((option.cost_per_month for option in study.options if option.chosen), None)
    return f"{'; '.join(ends)}; {number(month)} a month"


def trust_lines(study: Study) -> list[str]:
    """The worst agreements, and what rests on a declaration."""
    observed = "a real run" if study.measured else "replay"
    lines = [
        f"{label(a.metric)} of {a.workload}: model {signed_share(a.relative_error)} against {observed}, {a.verdict}"
        for a in worst_first(study.agreements)[:WORST]
    ]
    if not study.agreements:
        lines.append("model and replay were not compared")
    declared = declared_parts(study)
    if declared:
        more = f" and {len(declared) - 1} more" if len(declared) > 1 else ""
        lines.append(f"◇ declared, not measured: {declared[0]}{more}")
    if not study.replayed.steady:
        lines.append("the replay found no steady state; the numbers above are the model's")
    return lines
