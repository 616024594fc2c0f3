"""What every page is made with: one self-contained file without a network, whose sections hold drawn blocks."""

from __future__ import annotations

from importlib.resources import files

from dsd_plan.report.blocks import Block, Cases, Chart, Folded, KeyEntry, Prose, Section
from dsd_plan.report.markup import FirstUse, json_for_script, printable, safe, script_hash, short
from dsd_plan.report.tables import Table, table_html

EARLY_SCRIPT = 'document.documentElement.classList.add("js")'
"""Runs before anything is drawn, so that parts which script folds away never flash up."""


def document_html(*, heading: str, skip: str, side: str, main: str, specs: str) -> str:
    """The page as one HTML text, to be opened from disk: no script but its own may run, and nothing be asked for.

    `heading` is text, the others are HTML: the words of the link to the page's content, what stands in the column of
    navigation, the content itself, and its figures' data.
    """
    scripts = (EARLY_SCRIPT, plotly_source(), _asset("script.js"))
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        f"script-src {' '.join(script_hash(script) for script in scripts)}"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{safe(heading)} · dsd-plan</title>\n<style>\n{_asset('style.css')}</style>\n"
        f"<script>{EARLY_SCRIPT}</script>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">{safe(skip)}</a>\n'
        f'<nav class="side" aria-label="Sections"><p class="brand">dsd-plan</p>{side}</nav>\n'
        f'<main id="main">\n{main}</main>\n'
        f"{specs}<script>{scripts[1]}</script>\n<script>{scripts[2]}</script>\n</body>\n</html>\n"
    )


def plotly_source() -> str:
    """plotly.js as it comes with plotly; it holds no text that would end a script element."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source


def _asset(file: str) -> str:
    return files("dsd_plan.report").joinpath("assets", file).read_text(encoding="utf-8")


class Sheet:
    """One part of a page: its sections as HTML; terms are defined where they are used first, figures' data gathered."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.terms = FirstUse(identity)
        self.specs: list[str] = []
        self._tables = 0

    def section(self, section: Section, number: int) -> str:
        """A section under its number."""
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
        if isinstance(block, Cases):
            return self._cases(block)
        return block

    def _cases(self, found: Cases) -> str:
        parts = []
        for label, blocks in found.cases:
            inside = "\n".join(self._block(block) for block in blocks)
            full = safe(printable(label))
            parts.append(f'<div class="case" data-short="{safe(short(label, 24))}" data-label="{full}">{inside}</div>')
        return f'<div class="cases" data-what="{safe(found.what)}">{"".join(parts)}</div>'

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
