"""What a section of the page is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dsd_plan.report.markup import Html
from dsd_plan.report.tables import Table


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One entry of a chart's colour key."""

    token: str
    """Name of the colour token in the stylesheet, e.g. "mode-fused"."""
    text: str
    shape: str = "block"
    """"block", "line", "dash", "dot" or "hatch"."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure that script draws: its question, the answer in words, how to read it, and its numbers as a table."""

    slug: str
    question: str
    answer: str | Html
    how_to_read: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height_px: int
    key: tuple[KeyEntry, ...] = ()
    numbers: Table | None = None


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str | Html


@dataclass(frozen=True, slots=True)
class Folded:
    """Something that opens on demand."""

    summary: str
    body: Html | Table


@dataclass(frozen=True, slots=True)
class Cases:
    """The same blocks for one workload after the other: script shows one at a time, paper all of them."""

    what: str
    """What they are cases of, e.g. "Workload"."""
    cases: tuple[tuple[str, tuple[Chart | Table | Prose | Folded | Html, ...]], ...]
    """Name (text from a file) and blocks; the first is shown first."""


Block = Chart | Table | Prose | Folded | Cases | Html


def by_case(what: str, cases: tuple[tuple[str, tuple[Chart | Table | Prose | Folded | Html, ...]], ...]) -> list[Block]:
    """Cases to choose from; where there is one alone, its blocks as they are."""
    return list(cases[0][1]) if len(cases) == 1 else [Cases(what, cases)] if cases else []


@dataclass(frozen=True, slots=True)
class Section:
    """One of the page's questions, what answers it, and what follows from it in one line."""

    slug: str
    nav: str
    title: str
    so_what: str
    blocks: tuple[Block, ...] = field(default=())
