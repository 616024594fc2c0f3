"""Figures of recorded acceptance: by position, and what rounds of each window yield and keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.acceptance_view import PositionRow, WindowRow
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.numbers import count, number, share
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import band, curve, points, spanning
from dsd_plan.report.trace_words import ends_words, share_with, trend

RECORDED = "pair-1"
ONE_RATE = "pair-2"
ONE_RATE_KEY = KeyEntry(ONE_RATE, "if every proposal were kept at the mean rate", "dash")
OVER_REQUESTS = "95 % interval over requests"
SHOWN_WINDOWS = (2, 4, 8)
CUT_SHORT = (
    " Hollow dots cut the recorded rounds short; really played at a smaller window, rounds would begin elsewhere, and "
    "a little more of them might be kept or lost."
)


def positions_chart(rows: Sequence[PositionRow], rate: float | None) -> Chart:
    """Acceptance of each position, given that all before it were kept."""
    x = [row.position for row in rows]
    data = []
    over = [row.over_requests for row in rows if row.over_requests is not None]
    if len(over) == len(rows) > 1:
        data.append(band(x, [low for low, _ in over], [high for _, high in over]))
    data.append(curve(x, [row.share for row in rows], RECORDED, "position %{x}: %{y:.3f} kept", dots=False))
    data.append(
        points(x, [row.share for row in rows], [row.wilson for row in rows], RECORDED, "position %{x}: %{y:.3f} kept")
    )
    key = [KeyEntry(RECORDED, "kept, with Wilson's 95 % interval", "dot")]
    key += [KeyEntry("pair-band", OVER_REQUESTS)] if over else []
    shapes = []
    if rate is not None:
        shapes = [{**straight(0, rate, 1, rate, "dash", xref="paper"), "line": _dashed()}]
        key.append(KeyEntry(ONE_RATE, "one rate for every proposal", "dash"))
    return Chart(
        slug="positions",
        question="Does acceptance fall with position?",
        answer=trend(rows),
        how_to_read=(
            "A dot at position i is the share of rounds which kept proposal i, of those that had kept all before it. "
            "Its bar is Wilson's interval, which takes proposals for independent; the band draws whole requests and "
            "is the more honest one. If one rate told everything, all dots would lie on the dashed line."
        ),
        data=data,
        layout=layout(
            axis("position in the window", tickvals=x, range=[0.6, x[-1] + 0.4]),
            axis("kept, where all before were", range=[0, 1.02], tickformat=".0%"),
            shapes=shapes,
        ),
        height_px=320,
        key=tuple(key),
        numbers=_positions_table(rows),
    )


def _dashed() -> dict[str, object]:
    return {"color": token(ONE_RATE), "width": 2, "dash": "dash"}


def _positions_table(rows: Sequence[PositionRow]) -> Table:
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        over = row.over_requests or (None, None)
        cells.append(
            (
                Number(row.position, "#"),
                Number(row.tried, "#"),
                Number(row.kept, "#"),
                Number(row.share, "%"),
                Number(row.wilson[0], "%"),
                Number(row.wilson[1], "%"),
                Number(over[0], "%"),
                Number(over[1], "%"),
                Number(row.survival, "%"),
            )
        )
    columns = (
        *("Position", "Tried", "Kept", "Share", "Wilson from", "Wilson to", "Over requests from", "Over requests to"),
        "First i all kept",
    )
    return Table("Acceptance by position", columns, tuple(cells), file="positions")


def survival_chart(rows: Sequence[PositionRow]) -> Chart:
    """How often the first i proposals are all kept."""
    x = [row.position for row in rows]
    last = rows[-1]
    return Chart(
        slug="survival",
        question="How far does a round get?",
        answer=(
            f"The first {last.position} proposals are all kept in {share_with(last.survival, last.survival_ends)} of "
            f"rounds; at one rate it would be {share(last.survival_at_one_rate)}."
            if last.position > 1
            else f"The one proposal is kept in {share_with(last.survival, last.survival_ends)} of rounds."
        ),
        how_to_read=(
            "The height at i is the share of rounds whose first i proposals were all kept, of those that proposed as "
            "many. A round emits one token more than the sum of these heights. The dashed line multiplies one rate."
        ),
        data=[
            band(x, [row.survival_ends[0] for row in rows], [row.survival_ends[1] for row in rows]),
            curve(
                x,
                [row.survival_at_one_rate for row in rows],
                ONE_RATE,
                "first %{x} at one rate: %{y:.3f}",
                dash="dash",
                dots=False,
            ),
            curve(x, [row.survival for row in rows], RECORDED, "first %{x} all kept: %{y:.3f}"),
        ],
        layout=layout(
            axis("first proposals", tickvals=x, range=[0.6, x[-1] + 0.4]),
            axis(
                "all kept",
                range=spanning(max(row.survival_ends[1], row.survival_at_one_rate) for row in rows),
                tickformat=".0%",
            ),
        ),
        height_px=300,
        key=(KeyEntry(RECORDED, "recorded", "line"), KeyEntry("pair-band", "95 % interval"), ONE_RATE_KEY),
    )


def tokens_chart(rows: Sequence[WindowRow]) -> Chart:
    """Tokens a round by window."""
    x = [row.window for row in rows]
    told = [row for row in rows if row.ends is not None]
    data = []
    if len(told) == len(rows):
        data.append(band(x, [r.ends[0] for r in told if r.ends], [r.ends[1] for r in told if r.ends]))
    hover = "window %{x}: %{y:.3f} tokens a round"
    data += [
        curve(x, [r.at_one_rate for r in rows], ONE_RATE, f"{hover} at one rate", dash="dash", dots=False),
        _hollow_where_cut(rows, curve(x, [r.tokens_per_round for r in rows], RECORDED, hover)),
    ]
    cut = any(not r.played for r in rows)
    first, last = rows[0], rows[-1]
    worst = max(rows, key=lambda r: abs(r.at_one_rate - r.tokens_per_round))
    return Chart(
        slug="tokens",
        question="How many tokens does a round emit?",
        answer=(
            f"{number(first.tokens_per_round)}{ends_words(first.ends)} with window {first.window}, "
            f"{number(last.tokens_per_round)}{ends_words(last.ends)} with {last.window}; one rate would tell "
            f"{number(worst.at_one_rate)} instead of {number(worst.tokens_per_round)} at window {worst.window}."
        ),
        how_to_read=(
            "The line is what a round emits on average: its kept proposals and one token of the target's own. Where "
            "it goes level, a larger window only costs. Every token above 1 has to pay for the draft's time."
            + (CUT_SHORT if cut else "")
        ),
        data=data,
        layout=layout(
            axis("window", tickvals=x),
            axis(
                "tokens a round", range=spanning(max(r.at_one_rate, *(r.ends or (r.tokens_per_round,))) for r in rows)
            ),
        ),
        height_px=300,
        key=(
            KeyEntry(RECORDED, "recorded", "line"),
            *((KeyEntry(RECORDED, "cut short from larger windows", "ring"),) if cut else ()),
            *((KeyEntry("pair-band", OVER_REQUESTS),) if told else ()),
            ONE_RATE_KEY,
        ),
        numbers=Table(
            "Tokens a round by window",
            ("Window", "Rounds", "Tokens a round", "from", "to", "At one rate", "All kept"),
            tuple(
                (
                    Number(row.window, "#"),
                    Number(row.rounds, "#"),
                    Number(row.tokens_per_round),
                    Number(None if row.ends is None else row.ends[0]),
                    Number(None if row.ends is None else row.ends[1]),
                    Number(row.at_one_rate),
                    Number(row.histogram[-1] / row.rounds, "%"),
                )
                for row in rows
            ),
            file="windows",
        ),
    )


def _hollow_where_cut(rows: Sequence[WindowRow], line: dict[str, Any]) -> dict[str, Any]:
    fills = [token(RECORDED if row.played else "paper") for row in rows]
    return {**line, "marker": {"size": 8, "color": fills, "line": {"color": token(RECORDED), "width": 2}}}


def shown_windows(rows: Sequence[WindowRow]) -> tuple[WindowRow, ...]:
    """Windows whose rounds are drawn: 2, 4 and 8 as far as they were played, or the largest where it is smaller."""
    picked = [row for row in rows if row.window in SHOWN_WINDOWS and row.played]
    return tuple(picked) if rows[-1] in picked or len(picked) == len(SHOWN_WINDOWS) else (*picked, rows[-1])


def histogram_chart(row: WindowRow) -> Chart:
    """Proposals that rounds of one window keep."""
    x = list(range(row.window + 1))
    shares = [kept / row.rounds for kept in row.histogram]
    expected = [kept / row.rounds for kept in row.histogram_at_one_rate]
    return Chart(
        slug=f"rounds-{row.window}",
        question=f"What does a round of window {row.window} keep?",
        answer=(
            f"{share(shares[0])} of {count(row.rounds)} rounds keep nothing and {share(shares[-1])} keep all; at one "
            f"rate it would be {share(expected[0])} and {share(expected[-1])}."
        ),
        how_to_read=(
            "A bar is the share of rounds that kept so many proposals; the ring is what one rate for every proposal "
            "would give. More at both ends than the rings say means that acceptance comes in bursts."
        ),
        data=[
            {
                "type": "bar",
                "x": x,
                "y": shares,
                "customdata": [count(kept) for kept in row.histogram],
                "marker": {"color": token(RECORDED)},
                "hovertemplate": "%{x} kept: %{y:.1%} of rounds, %{customdata}<extra></extra>",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": x,
                "y": expected,
                "marker": {
                    "size": 9,
                    "color": "rgba(0,0,0,0)",
                    "line": {"color": token(ONE_RATE), "width": 2},
                },
                "hovertemplate": "%{x} kept, at one rate: %{y:.1%}<extra></extra>",
            },
        ],
        layout=layout(
            axis("proposals kept", tickvals=x),
            axis("of rounds", range=spanning(shares, expected), tickformat=".0%"),
            bargap=0.35,
        ),
        height_px=250,
        key=(KeyEntry(RECORDED, "recorded"), KeyEntry(ONE_RATE, "at one rate", "ring")),
    )
