"""What `capacity` found, on the terminal: the answer first, then where its numbers come from."""

from __future__ import annotations

from math import inf

from dsd_plan.cli.terminal import say, say_wrapped, show_table, warn
from dsd_plan.domain.capacity import (
    Bottleneck,
    BudgetLimit,
    Capacity,
    Confirmation,
    Growth,
    Headroom,
    OneMore,
    ReplayedSide,
    WorkloadGrowth,
)
from dsd_plan.report.headroom import NO_GAIN, SATURATION, SHORT
from dsd_plan.report.numbers import UNKNOWN, given_quantity, interval, label, multiple, number, quantity, several, share

FLEET = "fleet"
MOST_ROWS = 12
"""Budgets and workloads that are told; of more those that break first."""


def show_capacity(found: Capacity) -> None:
    """Sentence, budgets, what breaks next, devices one more and one less, dates, replay; warnings last."""
    say_wrapped(found.sentence)
    _show_budgets(found)
    _show_alone(found)
    _show_next(found)
    _show_devices(found)
    if found.growth is not None:
        _show_growth(found.growth, _todays(found))
    if found.replayed is not None:
        _show_replayed(found.replayed)
    say()
    say_wrapped(
        f"Loads are multiples of {_todays(found)}, by the analytic model, "
        f"found to {multiple(100 * found.resolution)} %. "
        "Intervals are about 95 %: the model's known error, and the measured errors of the inputs."
    )
    for note in found.notes:
        warn(note)


def break_label(name: str | None) -> str:
    """A budget as "chat TPOT p95"."""
    if name is None:
        return "nothing"
    scope, separator, budget = name.rpartition(": ")
    return f"{scope} {label(budget)}" if separator else "no steady state"


def times(load: float | None, most: float) -> str:
    """A multiple of today's load: 1.84 ×."""
    if load is None:
        return f"> {multiple(most)} ×"
    return "no load" if load == 0.0 else f"{_digits(load)} ×"


def _digits(load: float) -> str:
    return f"{load:.2f}" if load < 10.0 else number(load)


def short_name(found: Bottleneck | None) -> str:
    """What is short, in a table: "h200, KV memory"."""
    if found is None:
        return UNKNOWN
    return "nothing shared" if found.name is None else f"{found.name}, {SHORT[found.why]}"


def _show_budgets(found: Capacity) -> None:
    first = found.budgets
    if len(first) > MOST_ROWS:
        first = tuple(sorted(first, key=lambda row: (row.kept_now, inf if row.load is None else row.load)))[:MOST_ROWS]
    rows = [_budget_row(row, found.searched_to) for row in first]
    rows.append(("no steady state", "", times(found.saturation_load, found.searched_to), "", ""))
    header: tuple[str, ...] = ("budget", "today of limit", "holds to", "95 %", "short then")
    known = any(row.interval is not None for row in first)
    if not known:
        ends = header.index("95 %")
        header, *rows = ((*row[:ends], *row[ends + 1 :]) for row in (header, *rows))
    say()
    show_table(header, rows)
    if not known and first:
        say_wrapped(f"95 % of these loads is not known{_why_no_ends(found)}.")
    if len(first) < len(found.budgets):
        say(f"and {len(found.budgets) - len(first):,} more budgets that break later; --json tells all")
    if any(row.saturates for row in first):
        say("* kept as long as there is a steady state")


def _why_no_ends(found: Capacity) -> str:
    """Why no load has an interval, as the notes have it."""
    reasons = [note.replace("no intervals: ", "") for note in found.notes if "no intervals: " in note]
    if not reasons and all(row.saturates or row.load is None for row in found.budgets):
        return ": no budget breaks before the steady state ends"
    return f": {reasons[-1]}" if reasons else ""


def _budget_row(row: BudgetLimit, most: float) -> tuple[str, ...]:
    ends = UNKNOWN if row.interval is None else f"{_digits(row.interval.low)}–{_digits(row.interval.high)}"
    sign = "✓" if row.kept_now else "✗"
    today = f"{quantity(row.budget, row.now)} of {given_quantity(row.budget, row.limit)} {sign}"
    if row.scope == FLEET:
        return f"{row.scope} {label(row.budget)}", today, "", "", "not a matter of load"
    return (
        f"{row.scope} {label(row.budget)}",
        today,
        times(row.load, most) + ("*" if row.saturates else " "),
        ends,
        short_name(row.bottleneck),
    )


def _show_alone(found: Capacity) -> None:
    if len(found.alone) < 2:
        return
    say()
    first = found.alone
    if len(first) > MOST_ROWS:
        first = tuple(sorted(first, key=lambda row: (not row.broken_now, inf if row.load is None else row.load)))
    show_table(
        ("growing alone", "holds to", "then breaks"),
        [_alone_row(row, found.searched_to) for row in first[:MOST_ROWS]],
    )
    if len(first) > MOST_ROWS:
        say(f"and {several(len(first) - MOST_ROWS, 'more workload')} that may grow further; --json tells all")


def _alone_row(row: WorkloadGrowth, most: float) -> tuple[str, ...]:
    if row.broken_now:
        return row.workload, "broken today", ", ".join(map(break_label, row.broken_now))
    return row.workload, times(row.load, most), break_label(row.breaks)


def _show_next(found: Capacity) -> None:
    if len(found.next_limits) < 2:
        return
    say()
    show_table(
        ("lifting one after another", "holds to", "then breaks", "short then"),
        [
            (
                "as it is" if at == 0 else f"without limit on {found.next_limits[at - 1].bottleneck.name}",
                times(row.load, found.searched_to),
                break_label(row.breaks),
                short_name(row.bottleneck),
            )
            for at, row in enumerate(found.next_limits)
        ],
    )


def _show_devices(found: Capacity) -> None:
    less = {row.device: row for row in found.one_less}
    more = {row.device: row for row in found.one_more}
    rows = []
    for row in found.headroom:
        added, lost = more[row.device], less[row.device]
        rows.append(
            (
                row.device,
                _used(row),
                share(row.saturation),
                UNKNOWN if row.load_at_knee is None else times(row.load_at_knee, found.searched_to),
                times(added.load, found.searched_to) + ("†" if added.to_buy else " "),
                _gain(added),
                times(lost.load, found.searched_to),
            )
        )
    say()
    show_table(("device", "used", "saturation", "knee at", "one more: to", "gain/cost", "one less: to"), rows)
    say("gain/cost: load that one more adds, over what it costs an hour")
    if any(row.to_buy for row in found.one_more):
        say("† more than the scenario has: to buy")
    if found.not_used:
        one = "is" if len(found.not_used) == 1 else "are"
        say_wrapped(
            f"{', '.join(found.not_used)} {one} in the scenario and not in the plan, and what one of them would "
            "carry is not tried here: `dsd-plan optimize` with the rates of a later day chooses among all devices."
        )
    sites = {row.device: row.sites for row in found.headroom}
    for lost in found.one_less:
        whose = f"{lost.device} less" + (f" at each of {sites[lost.device]:,} sites" if sites[lost.device] > 1 else "")
        broken = [break_label(name) for name in lost.broken]
        if lost.reason is not None:
            say_wrapped(f"One {whose}: {lost.reason}.")
        elif SATURATION in lost.broken:
            say_wrapped(f"One {whose} leaves no steady state at today's load.")
        elif broken:
            say_wrapped(f"One {whose} breaks at today's load: {', '.join(broken)}.")


def _used(row: Headroom) -> str:
    """Devices over all copies of their site."""
    return f"{row.count * row.sites:,}" + (f" ({row.count:,} a site)" if row.sites > 1 else "")


def _gain(added: OneMore) -> str:
    """Load gained over cost; the model does not tell a hundredth of the load from nothing."""
    if added.gain is None or added.load is None or added.gain_per_cost is None:
        return UNKNOWN
    return "none" if abs(added.gain) < NO_GAIN * added.load else f"{added.gain_per_cost:+.3f}"


def _todays(found: Capacity) -> str:
    """Whose multiples loads are."""
    return "the busiest hour's" if found.of_busiest_hour else "today's"


def _show_growth(growth: Growth, todays: str) -> None:
    say()
    rows = []
    for row in growth.dates:
        until = row.date or (f"after {growth.until}" if row.kept_at_start else "broken today")
        rows.append((break_label(row.breaks), until))
    show_table(
        (f"growing {multiple(100 * growth.rate)} % a {growth.every} from {growth.start}", "holds until"),
        rows,
    )
    say(f"load on {growth.until}: {growth.load_at_end:.2f} × {todays}")


def _show_replayed(found: Confirmation) -> None:
    say()
    show_table(
        (f"replayed: {break_label(found.breaks)}", "load", "observed", "95 %", "kept"),
        [_side("below", found.below, found), _side("above", found.above, found)],
    )
    say(f"model and replay about where it breaks: {found.verdict}")


def _side(name: str, side: ReplayedSide, found: Confirmation) -> tuple[str, ...]:
    kept = {True: "✓", False: "✗", None: "undecided"}[side.kept]
    budget = found.breaks.rpartition(": ")[2]
    if side.observed is None:
        seen, ends = ("steady" if side.kept else "no steady state"), UNKNOWN
    else:
        seen, ends = quantity(budget, side.observed.point), interval(budget, side.observed)
    return name, f"{side.load:.2f} ×", seen, ends, kept
