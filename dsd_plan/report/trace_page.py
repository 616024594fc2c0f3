"""What the pages of traces have in common: the frame, the first screen, bands, and tables of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsd_plan.report.blocks import Section
from dsd_plan.report.figures import token
from dsd_plan.report.markup import Html, joined, name, printable, safe
from dsd_plan.report.sheet import Sheet, document_html
from dsd_plan.report.tables import Table, table_html

IDENTITY = "s1"
NOTHING = Html("")
Chip = tuple[str, str]
"""A fact in bold, and what is said of it."""


def trace_page_html(
    *, file: str, heading: str, first: Html, sections: Sequence[Section], sheet: Sheet, skip: str = "Skip to the trace"
) -> str:
    """A whole page: what is told at once, then a section a question. `file` is the trace's name."""
    body = "".join(sheet.section(section, number) for number, section in enumerate(sections, 2))
    links = [("short", "In short"), *((section.slug, section.nav) for section in sections)]
    items = "".join(f'<li><a href="#{IDENTITY}-{slug}">{safe(text)}</a></li>' for slug, text in links)
    return document_html(
        heading=f"{heading}: {printable(file)}",
        skip=skip,
        side=(
            f'<div class="contents active" data-part="{IDENTITY}"><p class="study">{name(file)}</p>'
            f"<ol>{items}</ol></div>"
        ),
        main=(
            f'<article class="part active" id="{IDENTITY}" aria-label="{safe(printable(file))}">\n'
            f'<section class="screen" id="{IDENTITY}-short">{first}</section>\n{body}</article>\n'
        ),
        specs="".join(sheet.specs),
    )


def first_screen(
    sheet: Sheet,
    *,
    tag: str,
    made: str,
    verdict: Html | str,
    sentences: Sequence[str],
    table: Table | None,
    picture: tuple[str, Html] | None,
    trust: Sequence[Chip],
    below: Html = NOTHING,
) -> Html:
    """The answer, its table (and what stands below) beside one picture (title, drawing), and how far to trust it."""
    lead = ""
    if picture is not None:
        lead = f'<figure class="lead"><h3>{safe(picture[0])}</h3>{picture[1]}</figure>'
    shown = "" if table is None else table_html(table, f"{IDENTITY}-summary")
    chips = "".join(f"<li><strong>{safe(big)}</strong> {safe(small)}</li>" for big, small in trust)
    return Html(
        f'<div class="answer"><span class="tag">{safe(tag)}</span><span class="small">{safe(made)}</span></div>'
        f'<h1 class="verdict">{safe(verdict)}</h1><p class="rest">{sheet.terms.mark(" ".join(sentences))}</p>'
        f'<div class="first"><div>{shown}{below}</div>{lead}</div>'
        '<div class="trust"><p><strong>How far to trust it</strong></p>'
        f"<ul>{chips}</ul></div>"
    )


def facts_html(facts: Sequence[tuple[str, object]]) -> Html:
    """Names and values; a value that is None is left out."""
    rows = [Html(f"<dt>{safe(printable(key))}</dt><dd>{name(value)}</dd>") for key, value in facts if value is not None]
    return Html(f'<dl class="facts">{joined(rows)}</dl>')


def band(x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str = "pair-band") -> dict[str, Any]:
    """A filled band behind a line."""
    return {
        "type": "scatter",
        "x": [*x, *reversed(x)],
        "y": [*high, *reversed(low)],
        "fill": "toself",
        "fillcolor": token(colour),
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
    }


def spanning(*values: Iterable[float]) -> list[float]:
    """An axis' range that holds 0 and all values with some air; told, because plotly may hunt for its own in vain."""
    every = [0.0, *(each for some in values for each in some)]
    low, high = min(every), max(every)
    air = 0.06 * (high - low) or 1.0
    return [low - air if low < 0 else 0.0, high + air if high > 0 else 0.0]


def curve(
    x: Sequence[float], y: Sequence[float], colour: str, hover: str, *, dash: str = "solid", dots: bool = True
) -> dict[str, Any]:
    """A line; `hover` is a template of plotly's, in which no name may stand."""
    return {
        "type": "scatter",
        "mode": "lines+markers" if dots else "lines",
        "x": list(x),
        "y": list(y),
        "line": {"color": token(colour), "width": 2, "dash": dash},
        "marker": {"size": 7, "color": token(colour)},
        "hovertemplate": f"{hover}<extra></extra>",
    }


def points(
    x: Sequence[Any],
    y: Sequence[float],
    ends: Sequence[tuple[float, float] | None],
    colour: str,
    hover: str,
    *,
    across: bool = False,
) -> dict[str, Any]:
    """Dots with their intervals as bars; `across` puts the intervals on x."""
    middle = x if across else y
    reach = [(0.0, 0.0) if e is None else (e[1] - at, at - e[0]) for at, e in zip(middle, ends, strict=True)]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [more for more, _ in reach],
        "arrayminus": [less for _, less in reach],
        "color": token(colour),
        "thickness": 1.5,
        "width": 4,
    }
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(x),
        "y": list(y),
        "marker": {"size": 8, "color": token(colour)},
        "error_x" if across else "error_y": bars,
        "hovertemplate": f"{hover}<extra></extra>",
    }
