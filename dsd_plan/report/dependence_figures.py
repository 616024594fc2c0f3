"""Figures of how acceptance hangs together: from round to round, from request to request, by task and by context."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.acceptance_view import AcceptanceView, GroupRow, LagRow, RequestSpread
from dsd_plan.report.acceptance_figures import ONE_RATE, RECORDED
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import number, share
from dsd_plan.report.tables import Cell, Number, Table, named
from dsd_plan.report.trace_page import curve, points, spanning
from dsd_plan.report.trace_words import after_words, bursts, ends_words

GROUPED = {
    "task": "Does acceptance depend on what is asked",
    "context": "Does acceptance depend on the tokens of context",
}


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
    """Tokens a round of parts of the rows: tasks, or contexts of some length."""
    of = rows[0].of
    ordered = sorted(rows, key=lambda row: row.tokens_per_round)
    best, worst = ordered[-1], ordered[0]
    apart = best.low > worst.high
    answer = (
        f"{'Yes' if apart else 'Not that the trace could tell'}: {of} {isolated(best.name)} emits "
        f"{number(best.tokens_per_round)}{ends_words((best.low, best.high))} tokens a round, {isolated(worst.name)} "
        f"{number(worst.tokens_per_round)}{ends_words((worst.low, worst.high))}."
    )
    return Chart(
        slug=f"by-{of}",
        question=f"{GROUPED[of]}, at window {window}?",
        answer=answer,
        how_to_read=(
            f"A dot is what rounds of one {of} emit on average, with the 95 % interval over its requests. Where "
            "intervals lie apart, one window does not suit all."
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
            f"Acceptance by {of}",
            (of.capitalize(), "Requests", "Rounds", "Tokens a round", "from", "to"),
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
            file=of,
        ),
    )
