"""Figures of recorded acceptance: by position, by window, from round to round, and from request to request."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.acceptance_view import AcceptanceView, GroupRow, LagRow, PositionRow, RequestSpread, WindowRow
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import count, number, share
from dsd_plan.report.tables import Cell, Number, Table, named
from dsd_plan.report.trace_page import band, curve, points, spanning
from dsd_plan.report.trace_words import after_words, bursts, ends_words, share_with, trend

RECORDED = "pair-1"
ONE_RATE = "pair-2"
ONE_RATE_KEY = KeyEntry(ONE_RATE, "if every proposal were kept at the mean rate", "dash")
OVER_REQUESTS = "95 % interval over requests"
SHOWN_WINDOWS = (2, 4, 8)


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
        curve(x, [r.tokens_per_round for r in rows], RECORDED, hover),
    ]
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


def shown_windows(rows: Sequence[WindowRow]) -> tuple[WindowRow, ...]:
    """Windows whose rounds are drawn: 2, 4 and 8, or the largest where it is smaller."""
    picked = [row for row in rows if row.window in SHOWN_WINDOWS]
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


def lags_chart(view: AcceptanceView) -> Chart:
    """Correlation of rounds of one request with those before."""
    rows = view.lags
    x = [row.lag for row in rows]
    own = [row.within for row in rows if row.within is not None]
    data = [points(x, [r.correlation for r in rows], [r.ends for r in rows], RECORDED, "%{x} apart: %{y:.3f}")]
    if len(own) == len(rows):
        data.append(curve(x, own, ONE_RATE, "%{x} apart, about the request's own mean: %{y:.3f}", dash="dash"))
    return Chart(
        slug="lags",
        question="Does a good round follow a good one?",
        answer=" ".join(words for words in (bursts(view), after_words(view)) if words),
        how_to_read=(
            "A dot is the correlation of what two rounds of one request keep that lie so far apart, with its 95 % "
            "interval over requests; at 0 rounds know nothing of one another. The dashed line takes each request "
            "about its own mean: where it falls to 0 while the dots stay up, requests differ and rounds within them "
            "hardly do. Short requests pull it a little below 0."
        ),
        data=data,
        layout=layout(
            axis("rounds apart", tickvals=x),
            axis("correlation", range=spanning(own, *(r.ends or (r.correlation,) for r in rows))),
            shapes=[straight(0, 0, 1, 0, xref="paper")],
        ),
        height_px=300,
        key=(
            KeyEntry(RECORDED, "about the mean of all", "dot"),
            KeyEntry(ONE_RATE, "about the request's own mean", "dash"),
        ),
        numbers=_lags_table(rows),
    )


def _lags_table(rows: Sequence[LagRow]) -> Table:
    cells: list[tuple[Cell, ...]] = [
        (
            Number(row.lag, "#"),
            Number(row.pairs, "#"),
            Number(row.correlation),
            Number(None if row.ends is None else row.ends[0]),
            Number(None if row.ends is None else row.ends[1]),
            Number(row.within),
        )
        for row in rows
    ]
    columns = ("Rounds apart", "Pairs", "Correlation", "from", "to", "About own mean")
    return Table("Correlation of rounds", columns, tuple(cells), file="correlation")


def spread_chart(told: RequestSpread) -> Chart:
    """Tokens a round, request by request."""
    middles = [(low + high) / 2.0 for low, high in zip(told.edges, told.edges[1:], strict=False)]
    wide = told.edges[1] - told.edges[0]
    between = (
        "" if told.between is None else f" {share(max(0.0, told.between))} of a round's variance lies between them."
    )
    beyond = "more" if told.p95 - told.p5 > told.chance_p95 - told.chance_p5 else "no more"
    return Chart(
        slug="spread",
        question="Do requests differ?",
        answer=(
            f"Nine in ten emit {number(told.p5)}–{number(told.p95)} tokens a round, {beyond} than the "
            f"{number(told.chance_p5)}–{number(told.chance_p95)} that chance would give.{between}"
        ),
        how_to_read=(
            "A bar counts the requests whose rounds emitted so many tokens on average. The line is what would be seen "
            "if all rounds were shuffled among the requests, so that only chance told them apart."
        ),
        data=[
            {
                "type": "bar",
                "x": middles,
                "y": list(told.requests),
                "width": [wide * 0.94] * len(middles),
                "marker": {"color": token(RECORDED)},
                "hovertemplate": "%{x:.2f} tokens a round: %{y} requests<extra></extra>",
            },
            curve(middles, told.by_chance, ONE_RATE, "%{x:.2f} by chance: %{y:.1f} requests", dots=False),
        ],
        layout=layout(
            axis("tokens a round of a request"), axis("requests", range=spanning(told.requests, told.by_chance))
        ),
        height_px=280,
        key=(KeyEntry(RECORDED, "recorded"), KeyEntry(ONE_RATE, "if rounds were shuffled", "line")),
    )


def groups_chart(rows: Sequence[GroupRow], window: int) -> Chart:
    """Tokens a round of parts of the rows."""
    ordered = sorted(rows, key=lambda row: row.tokens_per_round)
    best, worst = ordered[-1], ordered[0]
    apart = best.low > worst.high
    answer = (
        f"{'Yes' if apart else 'Not that the trace could tell'}: {isolated(best.name)} emits "
        f"{number(best.tokens_per_round)}{ends_words((best.low, best.high))} tokens a round, {isolated(worst.name)} "
        f"{number(worst.tokens_per_round)}{ends_words((worst.low, worst.high))}."
    )
    return Chart(
        slug="groups",
        question=f"Does acceptance depend on what is asked, at window {window}?",
        answer=answer,
        how_to_read=(
            "A dot is what rounds of a part emit on average, with the 95 % interval over its requests. Parts whose "
            "intervals lie apart want windows of their own: a workload's `task` takes only the rows of its task."
        ),
        data=[
            points(
                [row.tokens_per_round for row in ordered],
                list(range(len(ordered))),
                [(row.low, row.high) for row in ordered],
                RECORDED,
                "%{x:.3f} tokens a round",
                across=True,
            )
        ],
        layout=layout(
            axis("tokens a round", range=spanning(row.high for row in rows)),
            axis(
                "",
                tickvals=list(range(len(ordered))),
                ticktext=[chart_text(row.name) for row in ordered],
                range=[-0.6, len(ordered) - 0.4],
                showgrid=False,
            ),
        ),
        height_px=max(170, 84 + 34 * len(ordered)),
        numbers=Table(
            "Acceptance by part",
            ("Part", "Requests", "Rounds", "Tokens a round", "from", "to"),
            tuple(
                (
                    named(row.name),
                    Number(row.requests, "#"),
                    Number(row.rounds, "#"),
                    Number(row.tokens_per_round),
                    Number(row.low),
                    Number(row.high),
                )
                for row in rows
            ),
            file="parts",
        ),
    )
