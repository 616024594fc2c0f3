"""The page's sections as Markdown: the same questions, answers and tables in the same order, without the drawings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dsd_plan.report.blocks import Block, Chart, Folded, Prose, Section
from dsd_plan.report.html_markdown import html_markdown
from dsd_plan.report.inert import inert, inert_cell, inert_prose
from dsd_plan.report.markup import Html
from dsd_plan.report.tables import Table, table_texts

MOST_ROWS, MOST_ROWS_OF_A_CHART = 30, 12
LONGEST_FOLDED = 4000
"""Characters of what a page folds away and a text can carry."""
NUMBER = re.compile(r"(< )?[−-]?[\d,.]+(e[−-]?\d+)?\s*\S{0,12}(\s*[●◐○◇✓✗])*|–?")


def section_markdown(section: Section, number: int, figures: Mapping[str, str]) -> list[str]:
    """Its title, its blocks and what follows from it. `figures`: where the drawing of a chart lies, by its slug."""
    lines = [f"## {number}. {inert(section.title)}"]
    for block in section.blocks:
        lines += ["", *_block(block, figures)]
    return [*lines, "", f"**So what?** {inert(section.so_what)}"]


def _block(block: Block, figures: Mapping[str, str]) -> list[str]:
    if isinstance(block, Chart):
        return _chart(block, figures)
    if isinstance(block, Table):
        return [f"### {inert(block.title)}", "", *table_markdown(block)]
    if isinstance(block, Prose):
        return _text(block.text)
    if isinstance(block, Folded):
        if isinstance(block.body, Table):
            return [f"### {inert(block.summary)}", "", *table_markdown(block.body)]
        if len(block.body) > LONGEST_FOLDED:
            return [f"*{inert(block.summary)}: on the page.*"]
        return [f"### {inert(block.summary)}", "", *html_markdown(block.body)]
    if isinstance(block, Html):
        return html_markdown(block)
    lines: list[str] = []
    # Cases that a page shows one at a time stand here one after the other.
    for label, blocks in block.cases:
        lines += ["", f"### {inert(label)}"] if len(block.cases) > 1 else []
        lines += [line for inner in blocks for line in ("", *_block(inner, figures))]
    return lines[1:]


def _chart(chart: Chart, figures: Mapping[str, str]) -> list[str]:
    lines = [f"### {inert(chart.question)}", "", *_text(chart.answer)]
    if chart.slug in figures:
        lines += ["", f"![{inert(chart.question)}]({figures[chart.slug]})", "", f"*{inert(chart.how_to_read)}*"]
    if chart.numbers is not None and len(chart.numbers.rows) <= MOST_ROWS_OF_A_CHART:
        lines += ["", *table_markdown(chart.numbers)]
    elif chart.numbers is not None:
        lines += ["", f"*{len(chart.numbers.rows):,} numbers behind it: on the page, and with --format csv.*"]
    return lines


def _text(text: str | Html) -> list[str]:
    return html_markdown(text) if isinstance(text, Html) else [inert_prose(text)]


def table_markdown(table: Table) -> list[str]:
    """A table of at most `MOST_ROWS` rows; what is left out is counted."""
    headings, rows = table_texts(table)
    shown = rows[:MOST_ROWS]
    cells = [[inert_cell(cell) for cell in row] for row in shown]
    for at in table.chosen:
        if at < len(cells):
            cells[at][0] = f"**{cells[at][0]}**"
    right = [all(NUMBER.fullmatch(row[at]) for row in shown) for at in range(len(headings))]
    rule = ["---:" if flush else "---" for flush in right]
    lines = [f"| {' | '.join(row)} |" for row in ([inert_cell(heading) for heading in headings], rule, *cells)]
    left = len(rows) - len(shown)
    return [*lines, "", f"*and {left:,} more rows: on the page, and with --format csv*"] if left else lines


def joined(lines: Iterable[str]) -> str:
    """Lines with at most one blank line between two."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
