"""The hours of the day, and what is left when every draft is lost."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.domain.study_decision import BrokenBudget, HourOfDay
from dsd_plan.report.blocks import Block, Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.markup import Html, isolated, joined, name, printable, safe
from dsd_plan.report.numbers import UNKNOWN, given_quantity, label, number, quantity, share
from dsd_plan.report.tables import Cell, Number, Table, Words, kept_html, named

HOURS_HELP = (
    "A bar is one hour of the day: how much of its tightest budget the plan uses then. At 100 % the budget is just "
    "kept; a bar above it is red. The numbers tell which devices work and are paid in each hour."
)


def resilience_blocks(study: Study) -> list[Block]:
    """The day and the loss of all drafts, where the study knows them."""
    blocks: list[Block] = [_day(study)] if study.hours else []
    lost = [option for option in study.options if option.drafts_lost is not None]
    return [*blocks, drafts_lost_table(study)] if lost else blocks


def _day(study: Study) -> Chart:
    hours = study.hours
    known = [hour for hour in hours if hour.budget_share is not None]
    tight = max(known, key=lambda hour: hour.budget_share or 0.0, default=None)
    bars: dict[str, Any] = {
        "type": "bar",
        "x": [hour.hour for hour in hours],
        "y": [None if hour.budget_share is None else 100 * hour.budget_share for hour in hours],
        "marker": {"color": [token("bar" if hour.kept else "broken") for hour in hours]},
        "customdata": [f"load {share(hour.load)} of the peak, cost {number(hour.cost)}" for hour in hours],
        "hovertemplate": "%{x}:00, %{y:.3g} % of the budget<br>%{customdata}<extra></extra>",
    }
    frame = layout(
        axis("hour of the day", range=[-0.6, 23.6], dtick=3),
        axis("used of the tightest budget, %", rangemode="tozero"),
        shapes=[straight(-0.6, 100, 23.6, 100, "dash")],
        annotations=[note("budget", -0.5, 100, xanchor="left", yanchor="bottom")],
    )
    return Chart(
        slug="day",
        question="When in the day is it tight?",
        answer=_day_answer(hours, tight),
        how_to_read=HOURS_HELP,
        data=[bars],
        layout=frame,
        height_px=280,
        key=(KeyEntry("bar", "kept"), *(() if all(h.kept for h in hours) else (KeyEntry("broken", "broken"),))),
        numbers=_hours_table(hours),
    )


def _day_answer(hours: tuple[HourOfDay, ...], tight: HourOfDay | None) -> str:
    busiest = max(hours, key=lambda hour: hour.load)
    if tight is None:
        return f"The busiest hour begins at {busiest.hour}:00; nothing was promised for it."
    whose = f" of {isolated(tight.workload)}" if tight.workload else ""
    broken = [hour for hour in hours if not hour.kept]
    end = f"; a budget is broken in {len(broken)} hours" if broken else ""
    used = f"{label(tight.budget or '')}{whose} uses {share(tight.budget_share)} of its budget"
    return f"At {tight.hour}:00, when {used}{end}."


def _hours_table(hours: tuple[HourOfDay, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            Number(hour.hour, "#"),
            Number(hour.load, "%"),
            ", ".join(f"{count:,} × {printable(device)}" for device, count in hour.devices.items()),
            Number(hour.cost),
            named(hour.workload) if hour.workload else UNKNOWN,
            Number(hour.ttft_p95_ms, "ms"),
            Number(hour.tpot_p95_ms, "ms"),
            Number(hour.budget_share, "%", kept=hour.kept),
        )
        for hour in hours
    ]
    columns = ("Hour", "Load", "Devices", "Cost", "Nearest to its budget", "TTFT p95", "TPOT p95", "Used of the budget")
    return Table("The day, hour by hour", columns, tuple(rows), file="hours")


def drafts_lost_table(study: Study) -> Table:
    """A row an option that drafts away from its targets."""
    rows: list[tuple[Cell, ...]] = []
    for option in study.options:
        lost = option.drafts_lost
        if lost is None:
            continue
        needed = lost.targets_needed
        rows.append(
            (
                named(option.name),
                Words(kept_html(lost.survives), "yes" if lost.survives else "no"),
                Number(lost.saturation, "%"),
                named(lost.worst_workload) if lost.worst_workload else UNKNOWN,
                Number(lost.tpot_p95_ms, "ms", unknown="no steady state" if lost.saturates else UNKNOWN),
                Number(lost.ttft_p95_ms, "ms", unknown="no steady state" if lost.saturates else UNKNOWN),
                _broken(lost.broken),
                UNKNOWN if needed is None else ", ".join(f"{n:,} × {printable(d)}" for d, n in needed.items()),
                Number(lost.extra_cost_per_hour, unknown="cannot"),
            )
        )
    columns = (
        *("Option", "Survives", "Fullest target", "Nearest to its budgets", "TPOT p95", "TTFT p95", "Breaks"),
        *("Targets that would survive", "Their cost an hour more"),
    )
    return Table("What is left at peak when all drafts vanish?", columns, tuple(rows), file="drafts-lost")


def _broken(broken: tuple[BrokenBudget, ...]) -> Words | str:
    if not broken:
        return "nothing"
    parts = [
        f"{label(b.budget)}: {quantity(b.budget, b.value)} for {given_quantity(b.budget, b.limit)}" for b in broken[:2]
    ]
    more = [Html(f"and {len(broken) - 2:,} more")] if len(broken) > 2 else []
    shown = joined([Html(f"{name(b.scope)} {safe(part)}") for b, part in zip(broken, parts, strict=False)] + more, "; ")
    return Words(shown, "; ".join(f"{printable(b.scope)} {part}" for b, part in zip(broken, parts, strict=False)))
