"""Figures of acceptance laws beside the trace they were fitted to: likelihood, errors, and what each would choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsd_plan.domain.acceptance_view import AcceptanceFitView, LawAtWindow, LawRow, WindowChosen
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, straight, token
from dsd_plan.report.numbers import given, number, share, signed_share
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import band, curve, points, spanning
from dsd_plan.report.trace_words import law_name, why_rejected

COLOURS = {
    "independent": "pair-2",
    "beta": "mode-distributed",
    "positional": "pair-1",
    "markov-2": "mode-pipelined",
    "markov-3": "mode-target-only",
}
TRACE = "pair-0"
ONE_SIDED = 1.645
WITHIN = "At zero a law tells what was recorded. "


def law_key(laws: Sequence[LawRow], shape: str = "line") -> tuple[KeyEntry, ...]:
    """Every law in its colour."""
    return tuple(KeyEntry(_colour(one), law_name(one.name), shape) for one in laws)


def _colour(one: LawRow) -> str:
    return COLOURS.get(one.name, TRACE)


def candidates_table(view: AcceptanceFitView) -> Table:
    """What was tried, and what speaks against it."""
    rows: list[tuple[Cell, ...]] = [
        (
            law_name(one.name).capitalize(),
            Number(one.parameters, "#"),
            "rejected" if one.rejected else "passes",
            Number(one.bits_behind),
            Number(one.worst.error, "%"),
            Number(one.worst_choice.slower, "%"),
        )
        for one in view.laws
    ]
    chosen = frozenset(at for at, one in enumerate(view.laws) if one.name == view.chosen)
    columns = ("Law", "Numbers", "Test", "Bits behind", "Tokens, worst", "Slower, worst")
    return Table("Laws tried, simplest first", columns, tuple(rows), chosen, file="laws")


def likelihood_chart(view: AcceptanceFitView) -> Chart:
    """Held-out bits behind the best law."""
    best = min(view.laws, key=lambda one: one.bits_behind)
    worst = max(view.laws, key=lambda one: one.bits_behind)
    order = list(reversed(view.laws))
    return Chart(
        slug="likelihood",
        question="Which law foresees requests that it has not seen?",
        answer=(
            f"The best is {law_name(best.name)}; the last, {law_name(worst.name)}, is {number(worst.bits_behind)} bits "
            f"a round behind (standard error {number(worst.standard_error)})."
        ),
        how_to_read=(
            "Every law was fitted to four fifths of the requests and asked how likely the others were, five times "
            "over. A dot is how many bits a round it falls behind the best one; its bar reaches 1.645 standard "
            "errors, over requests, either way. A law whose bar stays clear of zero is rejected."
        ),
        data=[
            points(
                [one.bits_behind],
                [at],
                [(one.bits_behind - _reach(one), one.bits_behind + _reach(one))],
                _colour(one),
                "%{x:.4f} bits a round behind",
                across=True,
            )
            for at, one in enumerate(order)
        ],
        layout=layout(
            axis(
                "bits a round behind the best",
                range=spanning(one.bits_behind + sign * _reach(one) for one in order for sign in (-1, 1)),
            ),
            axis(
                "",
                tickvals=list(range(len(order))),
                ticktext=[law_name(one.name) for one in order],
                range=[-0.6, len(order) - 0.4],
                showgrid=False,
            ),
            shapes=[straight(0, 0, 0, 1, yref="paper")],
        ),
        height_px=250,
        numbers=_reasons_table(view.laws),
    )


def _reach(one: LawRow) -> float:
    return ONE_SIDED * one.standard_error


def _reasons_table(laws: Sequence[LawRow]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            law_name(one.name).capitalize(),
            Number(one.parameters, "#"),
            Number(one.bits_behind),
            Number(one.standard_error),
            why_rejected(one),
        )
        for one in laws
    ]
    columns = ("Law", "Numbers in it", "Bits behind", "Standard error", "What speaks against it")
    return Table("Held-out likelihood and the verdict", columns, tuple(rows), file="likelihood")


def law_tokens_chart(view: AcceptanceFitView) -> Chart:
    """Error of tokens a round by window."""
    x = [each.window for each in view.recorded]
    low = [100.0 * (each.low / each.tokens_per_round - 1.0) for each in view.recorded]
    high = [100.0 * (each.high / each.tokens_per_round - 1.0) for each in view.recorded]
    errors = [[100.0 * each.error for each in law.windows] for law in view.laws]
    one, taken = view.of("independent"), view.of(view.chosen)
    answer = f"{law_name(one.name).capitalize()} is off by {_at_worst(one)}"
    if taken is not one:
        answer += f", the law taken, {law_name(taken.name)}, by {_at_worst(taken)}"
    hover = "window %{x}: %{y:+.2f} %"
    return Chart(
        slug="tokens-error",
        question="How far off are tokens a round?",
        answer=f"{answer}.",
        how_to_read=(
            f"{WITHIN}The band is the 99 % interval of what was recorded, over requests: a line that leaves it is "
            "wrong at that window, and its law is rejected."
        ),
        data=[
            band(x, low, high),
            *(
                curve(x, own, _colour(law), f"{hover}, {law_name(law.name)}")
                for law, own in zip(view.laws, errors, strict=True)
            ),
        ],
        layout=layout(
            axis("window", tickvals=x),
            axis("law over recorded, %", range=spanning(low, high, *errors)),
            shapes=[straight(0, 0, 1, 0, xref="paper")],
        ),
        height_px=320,
        key=(*law_key(view.laws), KeyEntry("pair-band", "99 % interval of the trace")),
        numbers=_tokens_table(view),
    )


def _at_worst(one: LawRow) -> str:
    worst = one.worst
    return f"{signed_share(worst.error)} at window {worst.window}"


def _tokens_table(view: AcceptanceFitView) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            Number(each.window, "#"),
            Number(each.tokens_per_round),
            Number(each.low),
            Number(each.high),
            *(Number(law.windows[at].tokens_per_round) for law in view.laws),
        )
        for at, each in enumerate(view.recorded)
    ]
    columns = ("Window", "Recorded", "from", "to (99 %)", *(law_name(law.name).capitalize() for law in view.laws))
    return Table("Tokens a round, recorded and by each law", columns, tuple(rows), file="tokens")


def variance_charts(view: AcceptanceFitView) -> tuple[Chart, ...]:
    """Errors of variances by window: of one round, and of the rounds that a request takes."""
    rounds = _variance_chart(
        view,
        slug="variance",
        question="Do laws tell how much a round varies?",
        what="the variance of what a round keeps",
        value=lambda each: each.variance_error,
        more="",
    )
    request = _variance_chart(
        view,
        slug="rounds-variance",
        question="Do laws tell how much a request's rounds vary?",
        what=f"the variance of the rounds in which a request emits {view.emitted_tokens:,} tokens",
        value=lambda each: each.rounds_variance_error,
        more=" Laws without requests or states of their own take rounds as independent: they miss what bursts add.",
    )
    return tuple(chart for chart in (rounds, request) if chart is not None)


def _variance_chart(
    view: AcceptanceFitView,
    *,
    slug: str,
    question: str,
    what: str,
    value: Callable[[LawAtWindow], float | None],
    more: str,
) -> Chart | None:
    told = [at for at, each in enumerate(view.laws[0].windows) if value(each) is not None]
    if not told:
        return None
    x = [view.laws[0].windows[at].window for at in told]
    errors = {law.name: [100.0 * (value(law.windows[at]) or 0.0) for at in told] for law in view.laws}
    answer = f"At window {x[-1]}, {what} is {signed_share(errors['independent'][-1] / 100.0)} off by one rate"
    if view.chosen != "independent":
        answer += f", {signed_share(errors[view.chosen][-1] / 100.0)} by {law_name(view.chosen)}"
    return Chart(
        slug=slug,
        question=question,
        answer=f"{answer}.",
        how_to_read=f"{WITHIN}Below it, the law has fewer long and short requests than there are.{more}",
        data=[
            curve(x, errors[law.name], _colour(law), f"window %{{x}}: %{{y:+.1f}} %, {law_name(law.name)}")
            for law in view.laws
        ],
        layout=layout(
            axis("window", tickvals=x),
            axis("law over recorded, %", range=spanning(*errors.values())),
            shapes=[straight(0, 0, 1, 0, xref="paper")],
        ),
        height_px=280,
        key=law_key(view.laws),
    )


def choices_chart(one: LawRow) -> Chart:
    """The window that a law would choose, against the trace's own best, by what drafting and the network cost."""
    drafts = sorted({each.draft_cost for each in one.choices})
    trips = sorted({each.round_trip for each in one.choices})
    at = {(each.draft_cost, each.round_trip): each for each in one.choices}
    tiles = [[at[draft, trip] for draft in drafts] for trip in trips]
    worst = one.worst_choice
    wrong = sum(each.slower > 0 for each in one.choices)
    answer = f"{law_name(one.name).capitalize()} would choose the best window everywhere, {len(one.choices)} times."
    if wrong:
        answer = (
            f"{law_name(one.name).capitalize()} would choose another window than the best in {wrong} of "
            f"{len(one.choices)} cases; at worst {worst.window} instead of {worst.best}, {share(worst.slower)} slower."
        )
    return Chart(
        slug=f"choices-{one.name}",
        question=f"Which windows would {law_name(one.name)} choose?",
        answer=answer,
        how_to_read=(
            "A tile is a world in which a draft step and a round trip cost so many verify steps. It shows the window "
            "that the law would choose, the best one by the trace where it is another, and how much slower tokens "
            "come for it. The darker, the slower."
        ),
        data=[
            {
                "type": "heatmap",
                "z": [[100.0 * each.slower for each in row] for row in tiles],
                "zmin": 0,
                "zmax": max(5.0, 100.0 * worst.slower),
                "colorscale": [[0, token("wash")], [1, token("part-draft")]],
                "showscale": False,
                "xgap": 1,
                "ygap": 1,
                "text": [[_tile(each) for each in row] for row in tiles],
                "meta": {"narrow": [[_short_tile(each) for each in row] for row in tiles]},
                "texttemplate": "%{text}",
                "textfont": {"size": 12, "color": token("ink")},
                "customdata": [[_hover(each) for each in row] for row in tiles],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=layout(_places("draft step, in verify steps", drafts), _places("round trip, in verify steps", trips)),
        height_px=84 + 56 * len(trips),
    )


def _places(title: str, values: Sequence[float]) -> dict[str, object]:
    return axis(
        title,
        tickvals=list(range(len(values))),
        ticktext=[given(value) for value in values],
        range=[-0.5, len(values) - 0.5],
        showgrid=False,
        ticks="",
    )


def _tile(each: WindowChosen) -> str:
    if each.slower <= 0:
        return f"{each.window}"
    return f"{each.window} instead of {each.best}<br>{share(each.slower)} slower"


def _short_tile(each: WindowChosen) -> str:
    return f"{each.window}" if each.slower <= 0 else f"{each.window} for {each.best}<br>{100.0 * each.slower:.1f} %"


def _hover(each: WindowChosen) -> str:
    return (
        f"draft step {given(each.draft_cost)}, round trip {given(each.round_trip)} verify steps<br>"
        f"chooses {each.window}, best is {each.best}, {share(each.slower)} slower"
    )
