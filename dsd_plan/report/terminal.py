"""A study on one terminal screen: 80 columns, no colour needed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from dsd_plan.domain.study import Option, Study
from dsd_plan.report.capacity import what_breaks_first
from dsd_plan.report.outlook import MOST_TIPS, nearest_tips, tip_words, worth_words
from dsd_plan.report.prices import price_lines
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.summary import headlines, option_columns, option_values, plain, reason_of, trust_lines

WIDTH = 80
NAME_WIDTH = 30
REASON_LINES = 2


def render_text(study: Study) -> str:
    """Verdict, options, the numbers with their budgets, what breaks first, how far to trust it: plain text."""
    made = study.provenance
    right = f"dsd-plan {cut(plain(made.version), 20)}, seed {made.seed}"
    room = WIDTH - cell_len(right) - 2
    lines = [f"{set_cell_size(cut(plain(study.name), room), room)}  {right}", ""]
    lines += wrapped(f"{ANSWERS[study.verdict.answer].upper()}. {plain(reason_of(study))}")
    if study.options:
        lines += ["", *_options(study)]
    lines += ["", *_headlines(study), ""]
    lines += labelled("Breaks first", what_breaks_first(study))
    for at, line in enumerate(price_lines(study)):
        lines += labelled("" if at else "Who pays", line)
    for at, point in enumerate(nearest_tips(study)[:MOST_TIPS]):
        lines += labelled("" if at else "Turns at", tip_words(point))
    for worth in study.draft_worth:
        lines += labelled("Better draft", worth_words(worth))
    for at, line in enumerate(trust_lines(study)):
        lines += labelled("" if at else "Trust", line)
    if study.backcast is not None:
        lines += labelled("Today", study.backcast.sentence)
    if study.verdict.measure_next:
        lines += labelled("Measure next", study.verdict.measure_next)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _options(study: Study) -> list[str]:
    rows = [(option, option_values(study, option)) for option in study.options]
    columns = option_columns(study)
    widths = [
        max(cell_len(text) for text in (heading, *(values[at] for _, values in rows)))
        for at, heading in enumerate(columns)
    ]
    lines = ["  " + set_cell_size("Option", NAME_WIDTH) + _right(columns, widths)]
    for option, values in rows:
        lines.append(f"{'>' if option.chosen else ' '} {_name(option)}{_right(values, widths)}")
        lines += wrapped(plain(option.reason), indent=6, most=REASON_LINES) if option.reason else []
    return [plain_spaces(line) for line in lines]


def _name(option: Option) -> str:
    return set_cell_size(cut(plain(option.name), NAME_WIDTH - 1), NAME_WIDTH)


def _right(values: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for value, width in zip(values, widths, strict=True):
        # A verdict sign hangs behind the number, so that numbers without one still end in the same column.
        hung = value if value.endswith(("✓", "✗")) else f"{value}  "
        cells.append(" " * max(0, width + 2 - cell_len(hung)) + hung)
    return " ".join(cells)


def _headlines(study: Study) -> list[str]:
    lines = []
    for row in headlines(study):
        sign = {True: "✓", False: "✗", None: " "}[row.kept]
        ends = f" ({plain(row.ends)})" if row.ends != "–" else ""
        value = f"{plain(row.value)}{ends}"
        lines.append(
            f"{sign} {set_cell_size(cut(plain(row.what), NAME_WIDTH - 1), NAME_WIDTH)}"
            f"{set_cell_size(value, 26)} {plain(row.limit)}"
        )
    return lines


def labelled(label: str, text: str) -> list[str]:
    """A line with a label in front, wrapped under itself."""
    lines = wrapped(plain(text), indent=14)
    return [set_cell_size(label, 14) + lines[0][14:], *lines[1:]]


def plain_spaces(text: str) -> str:
    """Narrow spaces as ordinary ones: a terminal's cells are all alike."""
    return text.replace("\u202f", " ")


def cut(text: str, room: int) -> str:
    """`text` in at most `room` cells, with an ellipsis where it was cut."""
    return text if cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + "…"


def wrapped(text: str, *, indent: int = 0, most: int | None = None) -> list[str]:
    """Lines of at most `WIDTH` cells, broken at spaces; what would need more than `most` lines ends in an ellipsis."""
    room = WIDTH - indent
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
