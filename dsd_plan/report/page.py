"""One self-contained page for one study or several: no network, first screen without script, figures drawn later."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.study import Study
from dsd_plan.report.capacity import capacity_section
from dsd_plan.report.choices import choices_section
from dsd_plan.report.decision import decision_html
from dsd_plan.report.maps import maps_section
from dsd_plan.report.markup import Html, name, printable, safe
from dsd_plan.report.provenance import provenance_section
from dsd_plan.report.reading import ANSWERS
from dsd_plan.report.replay_section import replay_section
from dsd_plan.report.rounds import why_section
from dsd_plan.report.running import plan_section
from dsd_plan.report.sheet import Sheet, document_html
from dsd_plan.report.trust import trust_section

SECTIONS = (
    plan_section,
    capacity_section,
    maps_section,
    why_section,
    choices_section,
    trust_section,
    replay_section,
    provenance_section,
)


def render_html(studies: Study | Sequence[Study], *, title: str | None = None) -> str:
    """The page as one HTML text, to be opened from disk. Several studies become parts that tabs switch between.

    Raises ValueError where there is no study.
    """
    every = (studies,) if isinstance(studies, Study) else tuple(studies)
    if not every:
        raise ValueError("a page needs at least one study; none was given")
    parts = [_Part(study, at, len(every)) for at, study in enumerate(every)]
    heading = title or " and ".join(printable(study.name) for study in every)
    return document_html(
        heading=heading,
        skip="Skip to the decision",
        side="".join(part.side for part in parts),
        main=f"{_tabs(every)}{''.join(part.html for part in parts)}",
        specs="".join(spec for part in parts for spec in part.sheet.specs),
    )


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
        self.sheet = Sheet(self.identity)
        sections = [build(study) for build in SECTIONS]
        current = " active" if at == 0 else ""
        heading = "h1" if at == 0 else "h2"
        first = decision_html(study, self.sheet.terms, self.identity, heading)
        body = "".join(self.sheet.section(section, number) for number, section in enumerate(sections, 2))
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
