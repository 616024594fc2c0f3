"""Section 9: what leaves each site, where it all comes from, and how to make it again."""

from __future__ import annotations

import json

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Folded, Prose, Section
from dsd_plan.report.glossary import GLOSSARY
from dsd_plan.report.leaves import leaves_table, reprompting_table, traffic_table
from dsd_plan.report.markup import Html, joined, name, printable, safe
from dsd_plan.report.tables import Table, Words, named

LONGEST_SCENARIO = 60_000
"""Characters of the resolved scenario that a page can carry."""

METHOD = (
    "The model predicts every plan from formulas; the replay plays the chosen plan event by event and shares no method "
    "with it. Where both agree, the arithmetic is right; whether the inputs are right, only a measurement tells. "
    "Intervals are 95 %, over independent replications."
)


def provenance_section(study: Study) -> Section:
    """Inputs with their hashes, how the study was made, notes, the search's story, and every definition."""
    tables = (leaves_table(study), traffic_table(study), reprompting_table(study))
    blocks: list[Block] = [table for table in tables if table is not None]
    blocks += [_facts(study), _inputs(study), Prose(METHOD)]
    notes = list(dict.fromkeys([*study.predicted.notes, *study.replayed.notes]))
    if study.measured:
        notes += [note for note in study.measured.notes if note not in notes]
    if notes:
        blocks.append(_list("Notes and limits", notes))
    if study.story:
        blocks.append(_list("What the search did", list(study.story), ordered=True))
    blocks.append(Folded("The scenario as it was resolved", _scenario(study)))
    blocks.append(Folded("Every term, defined", _definitions()))
    title = "What leaves each site, and where do the numbers come from?"
    return Section("provenance", "Where from?", title, _so_what(study), tuple(blocks))


def _facts(study: Study) -> Html:
    made = study.provenance
    facts = [("Version", made.version), ("Seed", str(made.seed)), ("Command", made.command)]
    if made.created_at:
        facts.append(("Made at", made.created_at))
    rows = [Html(f"<dt>{key}</dt><dd>{_value(key, value)}</dd>") for key, value in facts]
    rows += [
        Html(f"<dt>{safe(printable(key).replace('_', ' ').capitalize())}</dt><dd>{name(value)}</dd>")
        for key, value in made.machine.items()
    ]
    return Html(f'<dl class="facts">{joined(rows)}</dl>')


def _value(key: str, value: str) -> Html:
    return Html(f"<code>{name(value)}</code>") if key == "Command" else name(value)


def _inputs(study: Study) -> Table:
    rows = tuple(
        (named(found.path), Words(Html(f'<code class="hash">{safe(printable(found.sha256))}</code>'), found.sha256))
        for found in study.provenance.inputs
    )
    return Table("Files that went in", ("File", "SHA-256"), rows, file="inputs")


def _list(title: str, lines: list[str], *, ordered: bool = False) -> Html:
    items = joined([Html(f"<li>{safe(printable(line))}</li>") for line in lines])
    kind = "ol" if ordered else "ul"
    return Html(f'<h3>{safe(title)}</h3><{kind} class="lines">{items}</{kind}>')


def _scenario(study: Study) -> Html:
    text = json.dumps(study.scenario, indent=1, ensure_ascii=False, default=str)
    cut = text if len(text) <= LONGEST_SCENARIO else f"{text[:LONGEST_SCENARIO]}\n… cut; the study holds all of it"
    return Html(f'<pre dir="ltr">{safe("".join(printable(line) + chr(10) for line in cut.splitlines()))}</pre>')


def _definitions() -> Html:
    parts = []
    for chapter in GLOSSARY:
        parts.append(f"<h4>{safe(chapter.title)}</h4><dl class='terms'>")
        for term in chapter.terms:
            formula = f' <span class="formula">{safe(term.formula)}</span>' if term.formula else ""
            parts.append(f"<dt>{safe(term.name)}</dt><dd>{safe(term.definition)}{formula}</dd>")
        parts.append("</dl>")
    return Html("".join(parts))


def _so_what(study: Study) -> str:
    files = len(study.provenance.inputs)
    what = f"{files} file{'s' if files != 1 else ''}" if files else "the same inputs"
    return f"The same command with seed {study.provenance.seed} and {what} of these hashes makes the same study."
