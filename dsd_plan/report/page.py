"""One self-contained page for one study or several: no network, first screen without script, figures drawn later."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose, Section
from dsd_plan.report.capacity import capacity_section
from dsd_plan.report.choices import choices_section
from dsd_plan.report.decision import decision_html
from dsd_plan.report.maps import maps_section
from dsd_plan.report.markup import FirstUse, Html, json_for_script, name, printable, safe, script_hash
from dsd_plan.report.provenance import provenance_section
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.rounds import why_section
from dsd_plan.report.running import plan_section
from dsd_plan.report.tables import Table, table_html
from dsd_plan.report.trust import trust_section

SECTIONS = (
    plan_section,
    capacity_section,
    maps_section,
    why_section,
    choices_section,
    trust_section,
    provenance_section,
)
EARLY_SCRIPT = 'document.documentElement.classList.add("js")'
"""Runs before anything is drawn, so that parts which script folds away never flash up."""


def render_html(studies: Study | Sequence[Study], *, title: str | None = None) -> str:
    """The page as one HTML text, to be opened from disk. Several studies become parts that tabs switch between.

    Raises ValueError where there is no study.
    """
    every = (studies,) if isinstance(studies, Study) else tuple(studies)
    if not every:
        raise ValueError("a page needs at least one study; none was given")
    parts = [_Part(study, at, len(every)) for at, study in enumerate(every)]
    heading = title or " and ".join(printable(study.name) for study in every)
    specs = "".join(spec for part in parts for spec in part.specs)
    scripts = (EARLY_SCRIPT, plotly_source(), _asset("script.js"))
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        f"script-src {' '.join(script_hash(script) for script in scripts)}"
    )
    side = "".join(part.side for part in parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{safe(heading)} · dsd-plan</title>\n<style>\n{_asset('style.css')}</style>\n"
        f"<script>{EARLY_SCRIPT}</script>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the decision</a>\n'
        f'<nav class="side" aria-label="Sections"><p class="brand">dsd-plan</p>{side}</nav>\n'
        f'<main id="main">\n{_tabs(every)}{"".join(part.html for part in parts)}</main>\n'
        f"{specs}<script>{scripts[1]}</script>\n<script>{scripts[2]}</script>\n</body>\n</html>\n"
    )


def plotly_source() -> str:
    """plotly.js as it comes with plotly; it holds no text that would end a script element."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source


def _asset(file: str) -> str:
    return files("dsd_plan.report").joinpath("assets", file).read_text(encoding="utf-8")


def _tabs(studies: tuple[Study, ...]) -> Html:
    if len(studies) == 1:
        return Html("")
    links = "".join(
        f'<a href="#s{at + 1}"{" aria-current=" + chr(34) + "true" + chr(34) if at == 0 else ""}>'
        f"<strong>{name(study.name)}</strong> <span>{ANSWERS[study.verdict.answer]}</span></a>"
        for at, study in enumerate(studies)
    )
    return Html(f'<nav class="tabs" aria-label="Studies">{links}</nav>\n')


class _Part:
    """One study's part of the page; its terms are defined where it uses them first."""

    def __init__(self, study: Study, at: int, parts: int) -> None:
        self.identity = f"s{at + 1}"
        self.terms = FirstUse(self.identity)
        self.specs: list[str] = []
        self._tables = 0
        sections = [build(study) for build in SECTIONS]
        current = " active" if at == 0 else ""
        heading = "h1" if at == 0 else "h2"
        first = decision_html(study, self.terms, self.identity, heading)
        body = "".join(self._section(section, number) for number, section in enumerate(sections, 2))
        label = f'<p class="study">{name(study.name)}</p>' if parts > 1 else ""
        self.html = (
            f'<article class="part{current}" id="{self.identity}" aria-label="{safe(printable(study.name))}">\n'
            f'<section class="screen" id="{self.identity}-decision">{label}{first}</section>\n{body}</article>\n'
        )
        links = [("decision", "The decision"), *((section.slug, section.nav) for section in sections)]
        items = "".join(f'<li><a href="#{self.identity}-{slug}">{safe(text)}</a></li>' for slug, text in links)
        made = study.provenance
        self.side = (
            f'<div class="contents{current}" data-part="{self.identity}"><p class="study">{name(study.name)}</p>'
            f'<ol>{items}</ol><p class="made">version {name(made.version)}, seed {made.seed}</p></div>'
        )

    def _section(self, section: Section, number: int) -> str:
        blocks = "\n".join(self._block(block) for block in section.blocks)
        return (
            f'<section id="{self.identity}-{section.slug}"><h2><span class="ordinal">{number}</span>'
            f"{safe(section.title)}</h2>\n{blocks}\n"
            f'<p class="so-what"><strong>So what?</strong> {self.terms.mark(section.so_what)}</p></section>\n'
        )

    def _block(self, block: Block) -> str:
        if isinstance(block, Chart):
            return self._chart(block)
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, Prose):
            return f"<p>{self.terms.mark(block.text)}</p>"
        if isinstance(block, Folded):
            body = self._table(block.body) if isinstance(block.body, Table) else block.body
            return f"<details><summary>{safe(block.summary)}</summary>{body}</details>"
        return block

    def _table(self, table: Table) -> str:
        self._tables += 1
        return table_html(table, f"{self.identity}-table-{self._tables}")

    def _chart(self, chart: Chart) -> str:
        identity = f"{self.identity}-{chart.slug}"
        spec = json_for_script({"data": chart.data, "layout": chart.layout})
        self.specs.append(f'<script type="application/json" id="{identity}-spec">{spec}</script>\n')
        answer = self.terms.mark(chart.answer)
        key = f'<ul class="key">{"".join(_key_entry(entry) for entry in chart.key)}</ul>' if chart.key else ""
        numbers = ""
        if chart.numbers is not None:
            numbers = f"<details><summary>The numbers</summary>{self._table(chart.numbers)}</details>"
        return (
            f'<figure class="chart" id="{identity}"><figcaption><h3>{self.terms.mark(chart.question)}</h3>'
            f'<p>{answer}</p></figcaption>{key}<div class="plot" data-spec="{identity}-spec" role="img" '
            f'aria-label="{safe(chart.question)}" style="height:{chart.height_px}px">'
            f'<p class="pending">This figure is drawn by script; the answer above needs none.</p></div>'
            '<div class="under"><details><summary>How to read this</summary>'
            f'<p class="help">{safe(chart.how_to_read)}</p></details>'
            f"{numbers}</div></figure>"
        )


def _key_entry(entry: KeyEntry) -> str:
    return (
        f'<li><span class="swatch {entry.shape}" style="--swatch:var(--{entry.token})" aria-hidden="true"></span>'
        f"{safe(entry.text)}</li>"
    )
