"""A study as Markdown, for a ticket or a wiki: the decision as in the terminal, then the page's sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsd_plan.domain.study import Study
from dsd_plan.report.capacity import what_breaks_first
from dsd_plan.report.inert import inert, inert_cell, inert_prose
from dsd_plan.report.markdown_sections import joined, section_markdown
from dsd_plan.report.page import SECTIONS
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.summary import headlines, option_columns, option_values, reason_of, trust_lines


def render_markdown(study: Study, figures: Mapping[str, str] | None = None) -> str:
    """The decision on one screen, then every section of the page with its tables.

    `figures` says where a picture of a chart lies, by the chart's slug; other charts are told by answer and numbers.
    """
    lines = [*_decision(study)]
    for number, build in enumerate(SECTIONS, 2):
        lines += ["", *section_markdown(build(study), number, figures or {})]
    return joined(lines)


def _decision(study: Study) -> list[str]:
    """Verdict, options, the numbers with their budgets, what breaks first, how far to trust it."""
    made = study.provenance
    lines = [f"# {inert(study.name)}", "", f"**{ANSWERS[study.verdict.answer]}.** {inert(reason_of(study))}"]
    if study.options:
        columns = ["", "Option", *option_columns(study), "Why"]
        rows = [
            ["**chosen**" if option.chosen else "", inert_cell(option.name)]
            + [inert_cell(value) for value in option_values(study, option)]
            + [inert_cell(option.reason)]
            for option in study.options
        ]
        lines += ["", *_table(columns, rows, numbers=len(columns) - 3)]
    rows = [
        [
            {True: "✓", False: "✗", None: ""}[row.kept],
            inert_cell(row.what),
            inert_cell(row.value),
            inert_cell(row.ends),
            inert_cell(row.limit),
        ]
        for row in headlines(study)
    ]
    lines += ["", *_table(["", "What", "Value", "95 % interval", "Budget"], rows, numbers=1), ""]
    lines.append(f"- **Breaks first:** {inert(what_breaks_first(study))}")
    lines += [f"- **Trust:** {inert(line)}" for line in trust_lines(study)]
    if study.verdict.measure_next:
        lines.append(f"- **Measure next:** {inert_prose(study.verdict.measure_next)}")
    return [*lines, "", f"dsd-plan {inert(made.version)}, seed {made.seed}, command: {inert(made.command)}"]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> list[str]:
    """`numbers` columns after the second one are set flush right."""
    rule = ["---:" if 2 <= at < 2 + numbers else "---" for at in range(len(columns))]
    return [f"| {' | '.join(row)} |" for row in (columns, rule, *rows)]
