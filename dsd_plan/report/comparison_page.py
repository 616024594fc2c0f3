"""A comparison as one self-contained page: what changed, for sure or not, in what users see and in what went in."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.comparison import Comparison, NumberChange
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose, Section
from dsd_plan.report.comparison_picture import changes_picture
from dsd_plan.report.comparison_words import (
    FINDINGS,
    SOURCES,
    arrow,
    budget_words,
    by_finding,
    change,
    counts_sentence,
    gap_words,
    inputs_sentence,
    interval_of_change,
    key_words,
    leading_rows,
    number_name,
    number_sentence,
    option_words,
    options_changed,
    sentence_of,
    written,
)
from dsd_plan.report.figures import axis, layout, straight
from dsd_plan.report.markup import Html, chart_text, isolated, joined, printable, safe
from dsd_plan.report.numbers import UNKNOWN
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Cell, Number, Table, Words, named, quantity_cell
from dsd_plan.report.trace_page import IDENTITY, facts_html, first_screen, points, spanning, trace_page_html

ROW_PX = 24
MOST_LISTED = 40
MOST_ON_FIRST_SCREEN, MOST_DRAWN, MOST_IN_TABLE = 8, 40, 300
COLUMNS = ("Number", "Before", "After", "Change", "95 % interval of the change", "Finding")
HOW_TO_READ = (
    "Each dot is a number's change from the first to the second, in per cent of the first; the bar is its 95 % "
    "interval. A bar that reaches the line at 0 means that no change at all would fit, too: not significant, pale. "
)


def render_comparison(found: Comparison, before: str, after: str) -> str:
    """The page as one HTML text, to be opened from disk. `before` and `after` are what the two files are called."""
    sheet = Sheet(IDENTITY)
    rows = leading_rows(found)
    moved = [row for row in rows if row.finding != "same"] or rows
    picture = changes_picture(moved[:MOST_ON_FIRST_SCREEN], f"{IDENTITY}-picture")
    first = first_screen(
        sheet,
        tag="Comparison",
        made=arrow(isolated(before), isolated(after)),
        verdict=sentence_of(found),
        sentences=[counts_sentence(found), inputs_sentence(found)],
        table=_table("What users see, and what it costs", moved[:MOST_ON_FIRST_SCREEN], "comparison") if rows else None,
        picture=None if picture is None else ("Is it more than chance?", picture),
        trust=_chips(found),
    )
    sections = [_numbers(found)]
    if found.kind == "study":
        sections += [_plan(found), _inputs(found)]
    sections.append(_trust(found, before, after))
    return trace_page_html(
        file=arrow(before, after),
        heading="Comparison",
        first=first,
        sections=sections,
        sheet=sheet,
        skip="Skip to the comparison",
    )


def _chips(found: Comparison) -> list[tuple[str, str]]:
    judged = [row for row in found.leading if row.finding in ("significant", "not significant")]
    sure = sum(row.finding == "significant" for row in judged)
    unknown = sum(row.finding == "not known" for row in found.leading)
    source = "from two different sources" if found.basis is None else f"all {SOURCES[found.basis]}"
    chips = [(f"{sure} of {len(judged)} changes are significant", f"at 95 %, {source}")]
    if unknown:
        chips.append((f"{unknown} not known", "a side has no interval"))
    seeds = (found.before.seed, found.after.seed)
    if None not in seeds:
        same = seeds[0] == seeds[1]
        chips.append(("The same seed" if same else "Two seeds", "the same luck" if same else "each has its own luck"))
    return chips


def _table(title: str, rows: Sequence[NumberChange], file: str) -> Table:
    lines: list[tuple[Cell, ...]] = [
        (
            named(number_name(row)),
            _cell(row, row.before),
            _cell(row, row.after),
            Words(safe(change(row)), "" if row.relative is None else repr(row.relative)),
            Words(safe(interval_of_change(row)), _raw_ends(row)),
            FINDINGS[row.finding],
        )
        for row in rows
    ]
    return Table(title, COLUMNS, tuple(lines), file=file)


def _cell(row: NumberChange, value: float | None) -> Number:
    return Number(value, "%") if row.metric == "busy" else quantity_cell(row.metric, value)


def _raw_ends(row: NumberChange) -> str:
    return "" if row.ratio is None else f"{row.ratio.low - 1.0!r} {row.ratio.high - 1.0!r}"


def _numbers(found: Comparison) -> Section:
    drawn = [row for row in found.leading if row.scope == "workload" and row.ratio is not None and row.relative]
    blocks: list[Block] = []
    if drawn:
        blocks.append(_chart(found, drawn))
    elif not found.identical:
        blocks.append(Prose("No number with an interval on both sides differs, so there is nothing to draw."))
    for source in dict.fromkeys([found.basis, *(row.source for row in found.numbers)]):
        rows = by_finding([row for row in found.numbers if row.source == source])
        if source is not None and rows:
            which = (
                "Every number" if len(rows) <= MOST_IN_TABLE else f"The first {MOST_IN_TABLE} of {len(rows):,} numbers"
            )
            table = _table(f"{which}, {SOURCES[source]}", rows[:MOST_IN_TABLE], f"comparison-{source}")
            blocks.append(Folded(table.title, table))
    for which, names in (("first", found.only_before), ("second", found.only_after)):
        if names:
            blocks.append(Prose(f"Only in the {which}: {', '.join(isolated(each) for each in names)}."))
    text = number_sentence(found)
    title = "What do users see of it?"
    return Section("numbers", title, title, f"{text[:1].upper()}{text[1:]}.", tuple(blocks))


def _chart(found: Comparison, rows: Sequence[NumberChange]) -> Chart:
    shown = sorted(rows, key=lambda row: abs(row.relative or 0.0))[-MOST_DRAWN:]
    names = [chart_text(number_name(row)) for row in shown]
    data = []
    for finding, colour in (("not significant", "bar"), ("significant", "pair-0")):
        mine = [(at, row, row.ratio) for at, row in enumerate(shown) if row.finding == finding and row.ratio]
        if mine:
            trace = points(
                [100 * ratio.point - 100 for _, _, ratio in mine],
                [float(at) for at, _, _ in mine],
                [(100 * ratio.low - 100, 100 * ratio.high - 100) for _, _, ratio in mine],
                colour,
                "%{customdata}",
                across=True,
            )
            trace["customdata"] = [f"{names[at]}<br>{change(row)}, {interval_of_change(row)}" for at, row, _ in mine]
            data.append(trace)
    reach = [end for row in shown if row.ratio for end in (100 * row.ratio.low - 100, 100 * row.ratio.high - 100)]
    more = f"Drawn are the {len(shown)} largest of {len(rows)} changes." if len(rows) > len(shown) else ""
    frame = layout(
        axis("change, %", range=spanning(reach)),
        axis(
            "",
            tickvals=list(range(len(shown))),
            ticktext=names,
            range=[-0.7, len(shown) - 0.3],
            showgrid=False,
            ticks="",
        ),
        shapes=[straight(0, -0.7, 0, len(shown) - 0.3)],
    )
    text = number_sentence(found)
    return Chart(
        slug="changes",
        question="Which numbers changed, and by how much?",
        answer=f"{text[:1].upper()}{text[1:]}.",
        how_to_read=HOW_TO_READ + more,
        data=data,
        layout=frame,
        height_px=80 + ROW_PX * len(shown),
        key=(KeyEntry("pair-0", "significant", "dot"), KeyEntry("bar", "not significant", "dot")),
    )


def _plan(found: Comparison) -> Section:
    blocks: list[Block] = []
    if found.verdict is not None:
        told = found.verdict
        rows = tuple(
            (which, ANSWERS.get(answer, answer), Words(safe(printable(sentence)), printable(sentence)))
            for which, answer, sentence in (
                ("Before", told.answer_before, told.sentence_before),
                ("After", told.answer_after, told.sentence_after),
            )
        )
        blocks.append(Table("The verdict", ("", "Answer", "Sentence"), rows, file="verdict"))
    blocks += _lines("The plan", [key_words(key) for key in found.plan], "The plan is the same.")
    blocks += _lines("Budgets", [budget_words(b) for b in found.budgets], "Budgets are the same, kept as before.")
    blocks += _lines("Options", [option_words(o) for o in options_changed(found)], "The options are the same.")
    saves = [key_words(key) for key in found.verdict.saves] if found.verdict else []
    if saves:
        blocks += _lines("What speculation saves", saves, "")
    blocks.append(Prose(f"Proven gap from the best plan: {gap_words(found)}."))
    broken = [b for b in found.budgets if b.kept_before and b.kept_after is False]
    so_what = (
        f"{len(broken)} budget{'s' * (len(broken) != 1)} kept before {'is' if len(broken) == 1 else 'are'} broken."
    )
    if not broken:
        so_what = f"{'Another plan' if found.plan else 'The same plan'}; no budget kept before is broken."
    title = "What is decided differently?"
    return Section("decision", title, title, so_what, tuple(blocks))


def _inputs(found: Comparison) -> Section:
    files: list[tuple[Cell, ...]] = [
        (named(file.path), file.change, _hash(file.before), _hash(file.after)) for file in found.inputs[:MOST_IN_TABLE]
    ]
    keys: list[tuple[Cell, ...]] = [
        (named(key.key), key.change, named(written(key.before)), named(written(key.after)))
        for key in (*found.scenario[:MOST_IN_TABLE], *found.made)
    ]
    columns = ("", "Before", "After")
    blocks: list[Block] = [
        Table("Files", ("File", *columns), tuple(files), file="inputs") if files else Prose("The files are the same."),
        Table("Keys of the scenario, version, seed and machine", ("Key", *columns), tuple(keys), file="keys")
        if keys
        else Prose("The scenario as it was resolved, version, seed and machine are the same."),
    ]
    title = "What went in?"
    return Section("inputs", title, title, inputs_sentence(found), tuple(blocks))


def _hash(value: str | None) -> Words:
    shown = UNKNOWN if value is None else f"{value[:12]}…"
    return Words(Html(f'<code class="hash">{safe(printable(shown))}</code>'), value or "")


def _trust(found: Comparison, before: str, after: str) -> Section:
    facts = []
    for which, file, side in (("Before", before, found.before), ("After", after, found.after)):
        facts.append((which, file))
        if side.version is not None:
            facts.append((f"{which}, made by", f"dsd-plan {side.version}, seed {side.seed}: {side.command}"))
    judged = [row for row in found.leading if row.difference is not None and row.difference.low < row.difference.high]
    method = (
        "A change is significant where the 95 % interval of the difference excludes 0. The interval is made from the "
        "two sides' own by the square-and-add rule (Zou and Donner, 2008), which takes the sides as independent."
    )
    blocks: list[Block] = [Prose(method), facts_html(facts)]
    if found.notes and not found.identical:
        blocks += _lines("To know before believing a finding", list(found.notes), "")
    so_what = (
        f"{len(judged)} numbers have an interval on both sides; of what has none, only the values are told."
        if judged
        else "No number has an interval on both sides: nothing here is called significant."
    )
    title = "How far to trust it?"
    return Section("trust", title, title, so_what, tuple(blocks))


def _lines(title: str, lines: Sequence[str], none: str) -> list[Block]:
    if not lines:
        return [Prose(none)]
    left = len(lines) - MOST_LISTED
    shown = [*lines[:MOST_LISTED], f"and {left:,} more, in --json"] if left > 1 else lines
    items = joined([Html(f"<li>{safe(line)}</li>") for line in shown])
    return [Html(f'<h3>{safe(title)}</h3><ul class="lines">{items}</ul>')]
