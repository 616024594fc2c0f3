"""How much more load the plan carries: each device's headroom, what to buy next, what may be lost, what breaks next."""

from __future__ import annotations

from math import inf
from typing import Any

from dsd_plan.domain.capacity import Bottleneck, BudgetLimit, Capacity, Headroom, OneLess, OneMore
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose
from dsd_plan.report.figures import axis, layout, note, straight, token
from dsd_plan.report.markup import chart_text, isolated, printable
from dsd_plan.report.numbers import UNKNOWN, given_quantity, label, multiple, number
from dsd_plan.report.tables import Cell, Number, Table, Words, given_cell, kept_html, named, quantity_cell

SATURATION = "saturation"
NO_GAIN = 0.01
"""Share of the load below which the model does not tell a gain from nothing."""
SHORT = {
    "compute": "steps",
    "batch_cap": "batch cap",
    "kv_memory": "KV memory",
    "draft_device": "drafting",
    "link": "bandwidth",
}
"""What is short, in two words."""
MOST_DRAWN, MOST_TOLD = 12, 3
HOW_TO_READ = (
    "A row is one device type. The bar begins at the load that holds with one of it less and ends at the load that "
    "holds with one more; the plain line is the plan as it is, the dotted one today's load. A bar that begins left of "
    "today's load means that losing one breaks a budget; one that ends at the plain line means that one more buys no "
    "load. Loads are the model's as the plan's replay corrected it, all workloads growing together; one more means one "
    "at each copy of its site."
)


def headroom_blocks(capacity: Capacity | None) -> list[Block]:
    """A chart of one device more and one less with all numbers, and tables of budgets and next bottlenecks."""
    if capacity is None:
        return []
    blocks: list[Block] = [_chart(capacity)]
    if capacity.budgets:
        blocks.append(Folded("How far does each budget hold?", budgets_table(capacity)))
    if len(capacity.next_limits) > 1:
        blocks.append(Folded("What breaks next, once the first bottleneck is lifted?", next_table(capacity)))
    for row in capacity.next_limits if len(capacity.next_limits) == 1 else ():
        if row.bottleneck.name is not None and row.load > 0.0:
            only = f"No other bottleneck comes soon after {isolated(row.bottleneck.name)}"
            blocks.append(Prose(f"{only}: with no limit on it, load could grow many times over."))
    return blocks


def breaks_first(capacity: Capacity) -> str:
    """Which budget breaks first as load grows, at which load, and what is short then."""
    if capacity.load is None:
        return f"Every budget holds up to {multiple(capacity.searched_to)} × today's load, the most that was tried."
    because = "" if capacity.bottleneck is None else f" because {_reason(capacity.bottleneck)}"
    first = next((row for row in capacity.budgets if f"{row.scope}: {row.budget}" == capacity.breaks), None)
    if first is None:
        if not capacity.holds_now:
            return f"No steady state is left beyond {_times(capacity.load)}{because}."
        kept = "Every budget is kept" if capacity.budgets else "A steady state holds"
        return f"{kept} up to {_times(capacity.load)}; then no steady state is left{because}."
    what = f"{label(first.budget)} of {isolated(first.scope)}"
    limit = given_quantity(first.budget, first.limit)
    if not capacity.holds_now:
        upto = f": it is kept up to {_times(capacity.load)}" if capacity.load else ""
        return f"{what} breaks its budget of {limit} at today's load already{upto}{because and ',' + because}."
    return (
        f"With the plan as it is, {what} keeps its budget of {limit} up to {_times(capacity.load)} and is the first to "
        f"break{because}."
    )


def buy_next(capacity: Capacity) -> str:
    """What one more device buys the most load for its cost."""
    if capacity.load is None:
        return "Nothing needs to be bought for more load."
    gaining = [row for row in capacity.one_more if gains(row)]
    best = max(gaining, key=lambda row: inf if row.gain_per_cost is None else row.gain_per_cost, default=None)
    if best is None:
        return "One more of no device type carries more load: it takes several, or other ones."
    price = "at no cost"
    if best.gain_per_cost is not None:
        price = f"for {number(best.cost_per_hour)} an hour, {number(best.gain_per_cost)} × today's load a unit of cost"
    end = " (more than the scenario has)" if best.to_buy else ""
    return f"Add {isolated(best.device)} next: one more{end} carries {_upto(best, capacity)} {price}."


def _upto(best: OneMore, capacity: Capacity) -> str:
    to = f"more than {multiple(capacity.searched_to)}" if best.load is None else _digits(best.load)
    return f"{to} × today's load instead of {_digits(capacity.load or 0.0)} ×,"


def may_be_lost(capacity: Capacity) -> str:
    """Whether today's load is carried with one device of any type less."""
    if not capacity.one_less or not capacity.holds_now:
        return ""
    bad = [row for row in capacity.one_less if not _survives(row)]
    if not bad:
        return "One device of any type may be lost: every budget is kept at today's load."
    told = "; ".join(_lost_words(row) for row in bad[:MOST_TOLD])
    more = f"; and {len(bad) - MOST_TOLD:,} more types" if len(bad) > MOST_TOLD else ""
    return f"There is no spare for the loss of a device: {told}{more}."


def gains(added: OneMore) -> bool:
    """Whether one more carries more load, as far as the model can tell."""
    if added.load is None:
        return True
    return added.gain is not None and added.gain >= NO_GAIN * added.load


def _lost_words(row: OneLess) -> str:
    device = isolated(row.device)
    if row.count == 0:
        return f"{device} is the only one"
    if row.reason is not None:
        return f"with one {device} less, {printable(row.reason)}"
    if SATURATION in row.broken:
        return f"one {device} less leaves no steady state"
    if not row.broken:
        return f"one {device} less holds {_times(row.load or 0.0)} only"
    first = _break_words(row.broken[0])
    more = f" and {len(row.broken) - 1:,} more" if len(row.broken) > 1 else ""
    return f"one {device} less breaks {first}{more}"


def _survives(row: OneLess) -> bool:
    return row.reason is None and not row.broken and (row.load is None or row.load >= 1.0)


def _chart(capacity: Capacity) -> Chart:
    more = {row.device: row for row in capacity.one_more}
    less = {row.device: row for row in capacity.one_less}
    rows = sorted(capacity.headroom, key=lambda row: -(row.saturation or 0.0))[:MOST_DRAWN]
    now = capacity.load
    data = [_bar(rows, more, less)] if now is not None else []
    ends = [load for row in rows for load in (more[row.device].load, less[row.device].load, now) if load is not None]
    top = 1.1 * max([1.0, *ends])
    shapes = [straight(1, -0.5, 1, len(rows) - 0.5, "dot", layer="above")]
    notes = [note("today", 1, -0.5, xanchor="right", yanchor="bottom", xshift=-4)]
    if now is not None:
        shapes.append(straight(now, -0.5, now, len(rows) - 0.5, "solid", layer="above"))
        notes.append(note("as it is", now, -0.5, xanchor="left", yanchor="bottom", xshift=4))
    frame = layout(
        axis("load that holds, multiples of today's", range=[0, top]),
        axis("", autorange="reversed", ticks="", showgrid=False),
        bargap=0.45,
        shapes=shapes,
        annotations=notes,
    )
    frame["margin"] = {**frame["margin"], "t": 28}
    return Chart(
        slug="one-device",
        question="What does one device more or one less change?",
        answer=" ".join(part for part in (buy_next(capacity), may_be_lost(capacity)) if part),
        how_to_read=HOW_TO_READ,
        data=data,
        layout=frame,
        height_px=104 + 44 * len(rows),
        key=(KeyEntry("bar", "one less to one more"),),
        numbers=devices_table(capacity),
    )


def _bar(rows: list[Headroom], more: dict[str, OneMore], less: dict[str, OneLess]) -> dict[str, Any]:
    begin = [less[row.device].load for row in rows]
    end = [more[row.device].load for row in rows]
    return {
        "type": "bar",
        "orientation": "h",
        "y": [chart_text(row.device) for row in rows],
        "base": begin,
        "x": [None if a is None or b is None else b - a for a, b in zip(begin, end, strict=True)],
        "customdata": [[a, b] for a, b in zip(begin, end, strict=True)],
        "marker": {"color": token("bar")},
        "hovertemplate": "one less: %{customdata[0]:.3g} ×<br>one more: %{customdata[1]:.3g} ×<extra></extra>",
    }


def devices_table(capacity: Capacity) -> Table:
    """A row a device type: how full it is, and what one more and one less of it change."""
    more = {row.device: row for row in capacity.one_more}
    less = {row.device: row for row in capacity.one_less}
    beyond = _beyond(capacity)
    rows: list[tuple[Cell, ...]] = []
    for row in capacity.headroom:
        added, lost = more[row.device], less[row.device]
        gain = added.gain_per_cost if gains(added) else 0.0
        rows.append(
            (
                named(row.device),
                Number(row.count * row.sites, "#"),
                Number(row.saturation, "%"),
                Number(row.spare, "%"),
                Number(row.load_at_knee, "×"),
                Number(added.load, "×", unknown=beyond),
                "yes" if added.to_buy else "no",
                Number(added.cost_per_hour),
                Number(gain),
                Number(lost.load, "×", unknown=beyond),
                Words(kept_html(_survives(lost)), "yes" if _survives(lost) else "no"),
            )
        )
    columns = (
        *("Device", "Used", "Saturation", "Headroom", "Knee at", "One more holds", "To buy", "Its cost an hour"),
        *("Load gained a unit of cost", "One less holds", "N+1"),
    )
    return Table("Headroom of each device, one more and one less", columns, tuple(rows), file="headroom")


def budgets_table(capacity: Capacity) -> Table:
    """A row a budget: today's value and the load up to which it is kept."""
    beyond = _beyond(capacity)
    rows = [_budget_row(row, beyond) for row in capacity.budgets]
    columns = ("Budget", "Today", "Limit", "Holds to", "At least", "At most", "Growing alone", "Short then")
    return Table("How far each budget holds", columns, tuple(rows), file="budgets-load")


def _budget_row(row: BudgetLimit, beyond: str) -> tuple[Cell, ...]:
    what = f"{label(row.budget)} of {isolated(row.scope)}"
    today = quantity_cell(row.budget, row.now, kept=row.kept_now)
    if row.scope == "fleet":
        beyond = "not a matter of load"
    ends = (None, None) if row.interval is None else (row.interval.low, row.interval.high)
    return (
        what,
        today,
        given_cell(row.budget, row.limit),
        Number(row.load, "×", unknown=beyond),
        Number(ends[0], "×"),
        Number(ends[1], "×"),
        Number(row.alone, "×", unknown=beyond),
        _short_name(row.bottleneck),
    )


def next_table(capacity: Capacity) -> Table:
    """The plan as it is, then with one bottleneck after the other lifted."""
    rows: list[tuple[Cell, ...]] = []
    for at, row in enumerate(capacity.next_limits):
        lifted = "as it is" if at == 0 else f"also without limit on {_name(capacity.next_limits[at - 1].bottleneck)}"
        rows.append((lifted, Number(row.load, "×"), _break_words(row.breaks), _short_name(row.bottleneck)))
    columns = ("Lifting one after another", "Holds to", "Then breaks", "Short then")
    return Table("Which bottleneck comes next", columns, tuple(rows), file="next-bottlenecks")


def _beyond(capacity: Capacity) -> str:
    return f"> {multiple(capacity.searched_to)}"


def _times(load: float) -> str:
    return f"{_digits(load)} × today's load"


def _digits(load: float) -> str:
    """As `dsd-plan capacity` writes it: 1.84, 12.3."""
    return f"{load:.2f}" if load < 10.0 else number(load)


def _break_words(breaks: str) -> str:
    scope, separator, budget = breaks.rpartition(": ")
    return f"{label(budget)} of {isolated(scope)}" if separator else "no steady state"


def _name(found: Bottleneck) -> str:
    return "anything shared" if found.name is None else isolated(found.name)


def _short_name(found: Bottleneck | None) -> str:
    if found is None:
        return UNKNOWN
    return "nothing shared" if found.name is None else f"{isolated(found.name)}, {SHORT[found.why]}"


def _reason(found: Bottleneck) -> str:
    """Why something breaks there, after "because"."""
    if found.name is None:
        return "steps and round trip alone take that long"
    device = isolated(found.name)
    texts = {
        "compute": f"{device} is short of steps",
        "batch_cap": f"batches on {device} are at their cap",
        "kv_memory": f"{device} is short of KV memory",
        "draft_device": f"drafts queue at {device}",
        "link": f"the link {device} is too narrow",
    }
    return texts[found.why]
