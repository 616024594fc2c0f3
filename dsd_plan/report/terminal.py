"""A study on one terminal screen: 80 columns, no colour needed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from dsd_plan.domain.study import Option, Study
from dsd_plan.report.capacity import what_breaks_first
from dsd_plan.report.numbers import UNKNOWN, several
from dsd_plan.report.outlook import front_lines, robust_label, robust_lines, tip_lines, worth_words
from dsd_plan.report.prices import price_lines
from dsd_plan.report.reading import ANSWERS, undecided_words
from dsd_plan.report.summary import (
    day_line,
    engine_line,
    headlines,
    option_columns,
    option_values,
    plain,
    reason_of,
    trust_lines,
)

WIDTH, WIDEST = 80, 120
"""Columns: what suffices, and beyond which lines are hard to read."""
NAME_WIDTH = 30
REASON_LINES, NAME_LINES = 4, 2
MOST_BUDGETS = 8


def render_text(study: Study, width: int = WIDTH) -> str:
    """Verdict, options, the numbers with their budgets, what breaks first, how far to trust it: plain text.

    In lines of `width` columns, at least 80 and at most 120.
    """
    width = max(WIDTH, min(width, WIDEST))
    made = study.provenance
    right = f"dsd-plan {cut(plain(made.version), 20)}, seed {made.seed}"
    room = width - cell_len(right) - 2
    lines = [f"{set_cell_size(cut(plain(study.name), room), room)}  {right}", ""]
    lines += wrapped(f"{ANSWERS[study.verdict.answer].upper()}. {plain(reason_of(study))}", width=width)
    if label := robust_label(study):
        lines += ["", *wrapped(f"{label}.", width=width)]
    if study.options:
        lines += ["", *_options(study, width)]
    lines += ["", *_headlines(study, width), ""]
    lines += labelled("Breaks first", what_breaks_first(study), width)
    for at, line in enumerate(trust_lines(study)):
        lines += labelled("" if at else "Trust", line, width)
    if (runs := engine_line(study)) is not None:
        lines += labelled("Runs today", runs, width)
    if study.hours:
        lines += labelled("Day", day_line(study), width)
    if study.backcast is not None:
        lines += labelled("Today", study.backcast.sentence, width)
    if study.verdict.measure_next:
        lines += labelled("Measure next", study.verdict.measure_next, width)
    for at, line in enumerate(front_lines(study)):
        lines += labelled("" if at else "Front", line, width)
    for at, line in enumerate(robust_lines(study)):
        lines += labelled("" if at else "Robust", line, width)
    for line in tip_lines(study):
        lines += labelled("Turns at", line, width)
    for worth in study.draft_worth[:1]:
        lines += labelled("Better draft", worth_words(worth), width)
    for line in price_lines(study)[:1]:
        more = f" ({several(len(study.prices) - 1, 'more workload')} in the report)" if len(study.prices) > 1 else ""
        lines += labelled("Who pays", f"{line}{more}", width)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _options(study: Study, width: int) -> list[str]:
    rows = [(option, option_values(study, option)) for option in study.options]
    columns = option_columns(study)
    widths = [
        max(cell_len(text) for text in (heading, *(values[at] for _, values in rows)))
        for at, heading in enumerate(columns)
    ]
    heading = _right(columns, widths)
    longest = max((cell_len(plain(option.name)) for option, values in rows if _known(values)), default=0)
    room = min(max(longest + 1, NAME_WIDTH), width - 2 - cell_len(heading))
    lines = ["  " + set_cell_size("Option", room) + heading]
    for option, values in rows:
        mark = ">" if option.chosen else " "
        if _known(values):
            name, *rest = wrapped(plain(option.name), most=NAME_LINES, width=room - 1)
            lines.append(f"{mark} {set_cell_size(name, room)}{_right(values, widths)}")
            lines += [f"    {line}" for line in rest]
            lines += wrapped(_why(option), indent=6, most=REASON_LINES, width=width) if _why(option) else []
        else:
            text = f"{cut(plain(option.name), width - 40)}: {_why(option)}".removesuffix(": ")
            first, *rest = wrapped(text, indent=6, most=REASON_LINES, width=width)
            lines += [f"{mark} {first.strip()}", *rest]
    return [plain_spaces(line) for line in lines]


def _known(values: Sequence[str]) -> bool:
    """Whether an option has any number."""
    return any(value != UNKNOWN for value in values)


def _why(option: Option) -> str:
    """Its whole devices, and why it was chosen or lost."""
    devices = ", ".join(f"{count} × {plain(name)}" for name, count in (option.devices or {}).items() if count)
    return ": ".join(part for part in (devices, plain(option.reason)) if part)


def _right(values: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for value, width in zip(values, widths, strict=True):
        # A verdict sign hangs behind the number, so that numbers without one still end in the same column.
        hung = value if value.endswith(("✓", "✗")) else f"{value}  "
        cells.append(" " * max(0, width + 2 - cell_len(hung)) + hung)
    return " ".join(cells)


def _headlines(study: Study, width: int) -> list[str]:
    """Every budget; of many the broken ones and the tightest."""
    rows = headlines(study)
    most = MOST_BUDGETS if len(rows) > MOST_BUDGETS + 1 else len(rows)
    room = max(NAME_WIDTH, min(width - 50, max((cell_len(plain(row.what)) for row in rows), default=0) + 1))
    lines = []
    for row in rows[:most]:
        sign = {True: "✓", False: "✗", None: " "}[row.kept]
        ends = f" ({plain(row.ends)})" if row.ends != UNKNOWN else ""
        value = f"{plain(row.value)}{ends}"
        lines.append(
            f"{sign} {set_cell_size(cut(plain(row.what), room - 1), room)}{set_cell_size(value, 26)} {plain(row.limit)}"
        )
    left = rows[most:]
    broken = sum(row.kept is False for row in left)
    if left:
        lines.append(
            f"  and {several(len(left), 'more budget')}, {f'{broken:,} of them broken' if broken else 'all kept'}"
            f"{undecided_words(study)}"
        )
    return [plain_spaces(line) for line in lines]


def labelled(label: str, text: str, width: int = WIDTH) -> list[str]:
    """A line with a label in front, wrapped under itself."""
    lines = wrapped(plain(text), indent=14, width=width)
    return [set_cell_size(label, 14) + lines[0][14:], *lines[1:]]


def plain_spaces(text: str) -> str:
    """Narrow spaces as ordinary ones: a terminal's cells are all alike."""
    return text.replace("\u202f", " ")


def cut(text: str, room: int) -> str:
    """`text` in at most `room` cells, with an ellipsis where it was cut."""
    return text if cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + "…"


def wrapped(text: str, *, indent: int = 0, most: int | None = None, width: int = WIDTH) -> list[str]:
    """Lines of at most `width` cells, broken at spaces; what would need more than `most` lines ends in an ellipsis."""
    room = width - indent
    lines = [""]
    for word in text.split():
        rest = word
        while rest:
            joined = f"{lines[-1]} {rest}".strip()
            if cell_len(joined) <= room:
                lines[-1] = joined
                break
            if lines[-1]:
                lines.append("")
                continue
            lines[-1] = set_cell_size(rest, room)
            rest = rest[len(lines[-1].rstrip()) :]
            lines.append("")
    lines = [line for line in lines if line] or [""]
    if most is not None and len(lines) > most:
        lines = [
            *lines[: most - 1],
            cut(f"{lines[most - 1]} …" if cell_len(lines[most - 1]) < room - 1 else f"{lines[most - 1]}…", room),
        ]
    return [" " * indent + line for line in lines]
