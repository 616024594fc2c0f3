"""Section 6: which other plans there were, why they lost, and what would change the decision."""

from __future__ import annotations

from math import log

from dsd_plan.domain.study import Study, TippingPoint
from dsd_plan.report.blocks import Block, Prose, Section
from dsd_plan.report.decision import options_table
from dsd_plan.report.front import front_chart, front_table
from dsd_plan.report.maps import input_value, short_name
from dsd_plan.report.markup import Html, isolated, printable, safe
from dsd_plan.report.numbers import multiple, share
from dsd_plan.report.outlook import (
    A_BUDGET_BREAKS,
    ANEW,
    input_words,
    nearest_tips,
    now_words,
    outcome_words,
    robust_lines,
    worth_words,
)
from dsd_plan.report.reading import key_metric
from dsd_plan.report.tables import Cell, Number, Table, Words, named
from dsd_plan.units import unit_of

WIDTH, HEIGHT, EDGE = 200, 26, 8
MOST_WORTHS = 3
"""Pairs of which it is told what a better-aligned draft would be worth."""


def choices_section(study: Study) -> Section:
    """Each mode's best plan, plans that cannot be told apart, the front of what is possible, and tipping points."""
    key = key_metric(study)
    blocks: list[Block] = []
    if study.alternatives:
        blocks.append(options_table(study, study.alternatives, key, "The best plan of each mode"))
    if study.equivalents:
        blocks.append(options_table(study, study.equivalents, key, "Plans that the data cannot tell from the best"))
        blocks.append(Prose("Of plans that cannot be told apart, the simplest is chosen."))
    if study.tipping_points:
        blocks.append(_tipping_table(study))
    blocks += [Prose(f"A better-aligned draft: {worth_words(worth)}.") for worth in study.draft_worth[:MOST_WORTHS]]
    chart = front_chart(study)
    if chart is not None:
        blocks.append(chart)
    elif study.pareto:
        blocks.append(front_table(study))
    blocks += [Prose(f"{line}." if not line.endswith(".") else line) for line in robust_lines(study)]
    if not blocks:
        blocks.append(Prose("The study lists no other plans."))
    blocks.append(Prose(_bound(study)))
    return Section("choices", "What else?", "Which choices were there?", _so_what(study), tuple(blocks))


def _bound(study: Study) -> str:
    if study.optimality_gap is None:
        return "No bound on the best possible plan was worked out."
    scope = f" Scope of the bound: {printable(study.bound_scope)}." if study.bound_scope else ""
    if study.optimality_gap <= 0:
        return f"No better plan exists within the bound (optimality gap 0 %).{scope}"
    return f"The plan is at most {share(study.optimality_gap)} from the best possible one (optimality gap).{scope}"


def _tipping_table(study: Study) -> Table:
    tips = nearest_tips(study)
    rows = tuple(_tipping(point) for point in (*tips, *(p for p in study.tipping_points if p.tips_at is None)))
    now = now_words(study).capitalize()
    columns = ("Workload", "Input", now, "Tips at", "To", "As it is, breaks at", "Range searched", "Where that lies")
    return Table(f"What would change the decision, {ANEW}?", columns, rows, file="tipping-points")


def _tipping(point: TippingPoint) -> tuple[Cell, ...]:
    low, high = (input_value(point.input, value) for value in point.searched)
    unit = "ms" if unit_of(point.input) == "ms" else ""
    return (
        named(point.workload),
        named(short_name(point.input) + (f" of {isolated(point.of)}" if point.of else "")),
        Number(point.now, unit, given=point.input != "acceptance"),  # what was recorded was not written down
        Number(point.tips_at, unit, unknown="nowhere in the range"),
        named(outcome_words(point)),
        Number(point.plan_breaks_at, unit, unknown="nowhere in the range"),
        Words(safe(f"{low} to {high}"), f"{low} to {high}"),
        Words(_slider(point), ""),
    )


def _slider(point: TippingPoint) -> Html:
    """The searched range with now (a dot) and the tipping point (a bar); by ratio where the range spans a decade."""
    low, high = point.searched
    if not low < high:
        return Html("")
    by_ratio = low > 0 and high / low >= 10

    def place(value: float) -> float:
        part = log(value / low) / log(high / low) if by_ratio and value > 0 else (value - low) / (high - low)
        return EDGE + (WIDTH - 2 * EDGE) * min(1.0, max(0.0, part))

    middle = HEIGHT / 2
    now = place(point.now)
    parts = [f'<line class="rail" x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{middle}" y2="{middle}"/>']
    if point.tips_at is not None:
        tip = place(point.tips_at)
        parts.append(f'<line class="room" x1="{now:.1f}" x2="{tip:.1f}" y1="{middle}" y2="{middle}"/>')
        parts.append(f'<line class="tip" x1="{tip:.1f}" x2="{tip:.1f}" y1="5" y2="{HEIGHT - 5}"/>')
    parts.append(f'<circle class="now" cx="{now:.1f}" cy="{middle}" r="5"/>')
    words = f"now {multiple(point.now)}, " + (
        f"tips at {multiple(point.tips_at)}" if point.tips_at is not None else "no tipping point in the range"
    )
    scale = ", by ratio" if by_ratio else ""
    return Html(
        f'<svg class="slider" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{safe(words + scale)}">{"".join(parts)}</svg>'
    )


def _so_what(study: Study) -> str:
    tips = [p for p in study.tipping_points if p.tips_at is not None]
    if not study.tipping_points:
        return "How far the inputs may move before the decision changes was not searched."
    if not tips:
        return "No single input that was searched changes the decision: it is robust."

    def distance(point: TippingPoint) -> float:
        if point.now > 0 and point.tips_at and point.tips_at > 0:
            return abs(log(point.tips_at / point.now))
        return abs((point.tips_at or 0.0) - point.now)

    near = min(tips, key=distance)
    becomes = f", where {outcome_words(near)} takes over" if near.becomes else ""
    if near.becomes == A_BUDGET_BREAKS:
        becomes = ", where no plan keeps every budget"
    return (
        f"Watch {input_words(near)}: {ANEW}, the decision changes at {input_value(near.input, near.tips_at)} "
        f"({now_words(study)} {input_value(near.input, near.now)}){becomes}; {_as_it_is(near)}."
    )


def _as_it_is(point: TippingPoint) -> str:
    """What the same input does to the plan where nothing is chosen anew."""
    nothing = ""
    if point.saves_nothing_at is not None and point.saves_nothing_at != point.tips_at:
        nothing = f"nothing is saved from {input_value(point.input, point.saves_nothing_at)} down, and "
    if point.plan_breaks_at is None:
        return f"{nothing}the plan as it is keeps its budgets over the whole range searched"
    return f"{nothing}the plan as it is breaks a budget at {input_value(point.input, point.plan_breaks_at)}"
