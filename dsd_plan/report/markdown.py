"""A study as Markdown, for a ticket or a wiki: the terminal's facts in the same order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dsd_plan.domain.study import Study
from dsd_plan.report.capacity import what_breaks_first
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.summary import headlines, option_columns, option_values, plain, reason_of, trust_lines

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$@-])")
HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def render_markdown(study: Study) -> str:
    """Verdict, options, the numbers with their budgets, what breaks first, how far to trust it."""
    made = study.provenance
    lines = [f"# {inert(study.name)}", "", f"**{ANSWERS[study.verdict.answer]}.** {inert(reason_of(study))}"]
    if study.options:
        columns = ["", "Option", *option_columns(study), "Why"]
        rows = [
            ["**chosen**" if option.chosen else "", inert(option.name)]
            + [inert(value) for value in option_values(study, option)]
            + [inert(option.reason)]
            for option in study.options
        ]
        lines += ["", *_table(columns, rows, numbers=len(columns) - 3)]
    rows = [
        [
            {True: "✓", False: "✗", None: ""}[row.kept],
            inert(row.what),
            inert(row.value),
            inert(row.ends),
            inert(row.limit),
        ]
        for row in headlines(study)
    ]
    lines += ["", *_table(["", "What", "Value", "95 % interval", "Budget"], rows, numbers=1), ""]
    lines.append(f"- **Breaks first:** {inert(what_breaks_first(study))}")
    lines += [f"- **Trust:** {inert(line)}" for line in trust_lines(study)]
    if study.verdict.measure_next:
        lines.append(f"- **Measure next:** {inert(study.verdict.measure_next)}")
    lines += ["", f"dsd-plan {inert(made.version)}, seed {made.seed}, command: {inert(made.command)}"]
    return "\n".join(lines) + "\n"


def inert(text: object) -> str:
    """One line in which no character means anything to Markdown or HTML."""
    escaped = SPECIAL.sub(r"\\\1", plain(text))
    return "".join(HTML.get(letter, letter) for letter in escaped)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> list[str]:
    """`numbers` columns after the second one are set flush right."""
    rule = ["---:" if 2 <= at < 2 + numbers else "---" for at in range(len(columns))]
    return [f"| {' | '.join(row)} |" for row in (columns, rule, *rows)]
