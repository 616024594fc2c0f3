"""A comparison on one terminal screen: 80 columns, no colour needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from dsd_plan.domain.comparison import Comparison, NumberChange
from dsd_plan.report.comparison_words import (
    FINDINGS,
    budget_words,
    change,
    counts_sentence,
    gap_words,
    input_words,
    interval_of_change,
    key_words,
    leading_rows,
    number_name,
    option_words,
    options_changed,
    sentence_of,
    value_of,
)
from dsd_plan.report.summary import plain
from dsd_plan.report.terminal import cut, labelled, plain_spaces, wrapped

NAME_WIDTH = 34
MOST_ROWS, MOST_LISTED = 12, 3
WIDTHS = (10, 10, 9, 17)


def render_comparison_text(found: Comparison) -> str:
    """The answer, the numbers by whether they changed for sure, what else changed, and what to know: plain text."""
    lines = [*wrapped(plain(sentence_of(found)))]
    rows = leading_rows(found)
    if rows and not found.identical:
        lines += ["", *_numbers(rows)]
    lines += ["", *labelled("Numbers", counts_sentence(found))]
    if found.kind == "study" and not found.identical:
        lines += _listed("Went in", [*map(input_words, found.inputs), *map(key_words, found.scenario)], "the same")
        lines += _listed("Made with", map(key_words, found.made), "the same version, seed and machine")
        lines += _listed("Plan", map(key_words, found.plan), "the same")
        lines += _listed("Budgets", map(budget_words, found.budgets), "the same, and kept or broken as before")
        lines += _listed("Options", map(option_words, options_changed(found)), "the same")
        lines += labelled("Gap", gap_words(found)) if found.optimality_gap else []
    for words, names in (("Only in 1st", found.only_before), ("Only in 2nd", found.only_after)):
        lines += _listed(words, names, "") if names else []
    for at, note in enumerate(() if found.identical else found.notes):
        lines += labelled("" if at else "Note", note)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _numbers(rows: Sequence[NumberChange]) -> list[str]:
    lines: list[str] = []
    shown = [row for row in rows if row.finding != "same"][:MOST_ROWS]
    for finding, heading in FINDINGS.items():
        mine = [row for row in shown if row.finding == finding]
        if not mine:
            continue
        columns = ("before", "after", "change", "95 % interval") if not lines else ("", "", "", "")
        lines.append(_row(f"{heading[:1].upper()}{heading[1:]}", columns))
        for row in mine:
            values = (value_of(row, row.before), value_of(row, row.after), change(row), interval_of_change(row))
            lines.append(_row(number_name(row), values, indent=2))
    left = sum(row.finding != "same" for row in rows) - len(shown)
    if left:
        lines.append(f"  and {left} more; --json and the page tell all")
    same = [row for row in rows if row.finding == "same"]
    if same:
        lines += wrapped(f"The same: {_some([plain(number_name(row)) for row in same])}")
    return lines


def _row(name: str, values: Sequence[str], indent: int = 0) -> str:
    cells = [
        " " * max(1, width - cell_len(plain(value))) + plain(value) for value, width in zip(values, WIDTHS, strict=True)
    ]
    room = NAME_WIDTH - indent
    return plain_spaces(f"{' ' * indent}{set_cell_size(cut(plain(name), room), room)}{''.join(cells)}")


def _listed(words: str, items: Iterable[str], none: str) -> list[str]:
    every = [plain(item) for item in items]
    return labelled(words, _some(every) if every else none)


def _some(every: Sequence[str]) -> str:
    more = len(every) - MOST_LISTED
    if more <= 1:
        return "; ".join(every)
    return "; ".join([*every[:MOST_LISTED], f"and {more} more"])
