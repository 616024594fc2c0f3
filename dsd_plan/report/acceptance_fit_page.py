"""A fit of acceptance as one self-contained page: which law was taken, why, and what one rate would have cost."""

from __future__ import annotations

from dsd_plan.domain.acceptance_law import PositionEvidence
from dsd_plan.domain.acceptance_view import AcceptanceFitView, LawRow
from dsd_plan.report.blocks import Block, Chart, KeyEntry, Prose, Section
from dsd_plan.report.figures import axis, layout
from dsd_plan.report.law_figures import (
    COLOURS,
    TRACE,
    candidates_table,
    choices_chart,
    law_tokens_chart,
    likelihood_chart,
    variance_charts,
)
from dsd_plan.report.markup import Html, isolated, joined, printable, safe
from dsd_plan.report.numbers import count, number, share, signed_share
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Number, Table
from dsd_plan.report.trace_page import (
    IDENTITY,
    Chip,
    curve,
    facts_html,
    first_screen,
    points,
    trace_page_html,
)
from dsd_plan.report.trace_picture import Drawn, Frame, trace_picture
from dsd_plan.report.trace_words import LAW_MEANINGS, law_lines, law_name, pair_words, share_with, why_chosen

KINDS = {"independent": "independent", "positional": "positional", "beta": "beta", "markov": "markov-2"}


def render_acceptance_fit(file: str, view: AcceptanceFitView) -> str:
    """The page as one HTML text, to be opened from disk. `file` is shown as the trace's name."""
    sheet = Sheet(IDENTITY)
    first = _first_screen(view, sheet)
    found = [_candidates(view), _errors(view), _one_rate(view), _law(view), _provenance(view)]
    sections = [section for section in found if section is not None]
    return trace_page_html(file=file, heading="Acceptance law", first=first, sections=sections, sheet=sheet)


def taken(view: AcceptanceFitView) -> str:
    """The law's name among the candidates."""
    return view.chosen or KINDS[view.law.kind]


def _first_screen(view: AcceptanceFitView, sheet: Sheet) -> Html:
    name = taken(view)
    of = "" if view.law.task is None else f", task {isolated(view.law.task)}"
    sentences = [f"That is, {LAW_MEANINGS.get(name, name)}."]
    if view.laws:
        sentences.append(why_chosen(view))
        sentences.append(one_rate_words(view))
    else:
        sentences.append("Counters tell neither requests nor rounds: no laws can be compared.")
    return first_screen(
        sheet,
        tag="Acceptance law",
        made=f"{pair_words(view.law.metadata)}{of}",
        verdict=safe(f"{law_name(name).capitalize()}, up to window {view.law.largest_window}"),
        sentences=sentences,
        table=candidates_table(view) if view.laws else _tried_table(view.law.evidence.tried),
        picture=_picture(view),
        trust=_trust(view),
    )


def one_rate_words(view: AcceptanceFitView) -> str:
    """What assuming one alpha would have cost."""
    one = view.of("independent")
    worst, choice = one.worst, one.worst_choice
    words = f"One rate for every proposal would be off by {signed_share(worst.error)} of tokens a round"
    if choice.slower <= 0:
        return f"{words}, and would still choose the best window everywhere."
    return (
        f"{words}, and would at worst choose window {choice.window} where {choice.best} is best, "
        f"{share(choice.slower)} slower."
    )


def _picture(view: AcceptanceFitView) -> tuple[str, Html] | None:
    if len(view.recorded) < 2:
        return None
    frame = Frame(
        title="Tokens a round by window, recorded and by the laws",
        x_title="window",
        y_title="tokens a round",
        x=tuple(float(each.window) for each in view.recorded),
        marks=tuple((float(each.window), str(each.window)) for each in view.recorded),
    )
    recorded = Drawn(
        "recorded",
        TRACE,
        tuple(each.tokens_per_round for each in view.recorded),
        tuple(each.low for each in view.recorded),
        tuple(each.high for each in view.recorded),
        dots=True,
    )
    shown = [view.of("independent")] + ([view.of(view.chosen)] if view.chosen != "independent" else [])
    lines = [recorded, *(_drawn(one) for one in shown)]
    return "What do the laws say of tokens a round?", trace_picture(frame, lines, f"{IDENTITY}-picture")


def _drawn(one: LawRow) -> Drawn:
    values = tuple(each.tokens_per_round for each in one.windows)
    return Drawn(law_name(one.name), COLOURS.get(one.name, TRACE), values, dashed=True)


def _trust(view: AcceptanceFitView) -> list[Chip]:
    evidence = view.law.evidence
    of = f"{count(evidence.rounds)} rounds"
    chips = [(f"{count(evidence.requests)} requests", of) if evidence.requests else (of, "requests are not told")]
    if view.laws:
        passing = sum(not one.rejected for one in view.laws)
        verdict = "the law taken is one of them" if evidence.accepted_by_test else "the law taken does not"
        chips.append((f"{passing} of {len(view.laws)} laws pass", verdict))
    law = view.law
    if law.largest_window > law.measured_window:
        chips.append((f"Windows {law.measured_window + 1}–{law.largest_window} extrapolated", "nothing was measured"))
    if law.assumption is not None:
        chips.append(("Assumed", isolated(law.assumption)))
    return chips


def _candidates(view: AcceptanceFitView) -> Section | None:
    if not view.laws:
        return None
    taken_row = view.of(view.chosen)
    so_what = f"Taken: {law_name(view.chosen)}, with {taken_row.parameters} number{'s' * (taken_row.parameters > 1)}."
    if taken_row.rejected and not view.asked_for:
        so_what = "No law passes: give scenarios the trace itself, and take this law for a summary of it."
    return Section(
        "candidates",
        "Which law?",
        "Which law does the trace not reject?",
        so_what,
        (Prose(why_chosen(view)), likelihood_chart(view), law_tokens_chart(view)),
    )


def _errors(view: AcceptanceFitView) -> Section | None:
    charts = variance_charts(view) if view.laws else ()
    if not charts:
        return None
    so_what = (
        "Means come from tokens a round, percentiles from variances: a law that misses the second can be right on "
        "average and wrong about p95."
    )
    return Section("spread", "Spread", "Do the laws tell how much requests spread?", so_what, charts)


def _one_rate(view: AcceptanceFitView) -> Section | None:
    if not view.laws:
        return None
    one = view.of("independent")
    blocks: list[Block] = [choices_chart(one)]
    if view.chosen != "independent":
        blocks.append(choices_chart(view.of(view.chosen)))
    title = "What would assuming one rate have cost?"
    return Section("one-rate", "One rate?", title, one_rate_words(view), tuple(blocks))


def _law(view: AcceptanceFitView) -> Section:
    law = view.law
    blocks: list[Block] = []
    if law.evidence.tried:
        blocks.append(positions_beside_law(view))
    lines = [Html(f"<li>{safe(printable(words))}</li>") for words in (*law_lines(law), *view.warnings)]
    if law.assumption is not None:
        lines.append(Html(f"<li>assumed: {safe(isolated(law.assumption))}</li>"))
    blocks.append(Html(f'<h3>The law</h3><ul class="lines">{joined(lines)}</ul>'))
    so_what = 'A scenario takes it: `acceptance = "law.json"`, written by `-o law.json`.'
    return Section("law", "The law", "What does the law say?", so_what, tuple(blocks))


def positions_beside_law(view: AcceptanceFitView) -> Chart:
    """Acceptance of each position as it was recorded, and as the law has it over all rounds."""
    law, tried = view.law, view.law.evidence.tried
    x = [row.position for row in tried]
    survival = (1.0, *law.survival)
    told = [survival[i] / survival[i - 1] if survival[i - 1] > 0 else None for i in x if i < len(survival)]
    ends = [(row.low, row.high) for row in tried]
    apart = [
        row.position for row, at in zip(tried, told, strict=False) if at is not None and not row.low <= at <= row.high
    ]
    first = tried[0]
    answer = f"{share_with(first.kept / first.tried, ends[0])} of first proposals are kept; "
    answer += (
        f"the law lies outside the interval at {len(apart)} of {len(tried)} positions."
        if apart
        else "the law lies inside every interval."
    )
    hover = "position %{x}: %{y:.3f}"
    return Chart(
        slug="law-positions",
        question="Does the law tell acceptance by position?",
        answer=answer,
        how_to_read=(
            "Dots are recorded: kept, of those whose turn came, with the wider of Wilson's interval and the one over "
            "requests (95 %). The dashed line is what the law has on average over all rounds."
        ),
        data=[
            points(x, [row.kept / max(1, row.tried) for row in tried], ends, TRACE, hover),
            curve(
                x[: len(told)],
                [at or 0.0 for at in told],
                _colour(view),
                f"{hover} by the law",
                dash="dash",
                dots=False,
            ),
        ],
        layout=layout(
            axis("position in the window", tickvals=x, range=[0.6, x[-1] + 0.4]),
            axis("kept, where all before were", range=[0, 1.02], tickformat=".0%"),
        ),
        height_px=300,
        key=(KeyEntry(TRACE, "recorded", "dot"), KeyEntry(_colour(view), law_name(taken(view)), "dash")),
        numbers=_tried_table(tried),
    )


def _colour(view: AcceptanceFitView) -> str:
    return COLOURS.get(taken(view), TRACE)


def _tried_table(tried: tuple[PositionEvidence, ...]) -> Table | None:
    if not tried:
        return None
    return Table(
        "Proposals kept where all before them were",
        ("Position", "Tried", "Kept", "Share", "from", "to"),
        tuple(
            (
                Number(row.position, "#"),
                Number(row.tried, "#"),
                Number(row.kept, "#"),
                Number(row.kept / max(1, row.tried), "%"),
                Number(row.low, "%"),
                Number(row.high, "%"),
            )
            for row in tried
        ),
        file="positions",
    )


def _provenance(view: AcceptanceFitView) -> Section:
    law = view.law
    meta = law.metadata
    facts: list[tuple[str, object]] = [
        ("Draft", meta.draft),
        ("Target", meta.target),
        ("Proposals", meta.proposal),
        ("Temperature", None if meta.temperature is None else number(meta.temperature)),
        ("Task", law.task),
        ("Recorder", f"{meta.recorder} {meta.version}"),
        ("Requests", count(law.evidence.requests) if law.evidence.requests else None),
        ("Rounds", count(law.evidence.rounds)),
        ("Measured to window", law.measured_window),
    ]
    so_what = "The law holds where the trace does: this pair, this temperature, texts like these."
    return Section("provenance", "Where from?", "Where does it come from?", so_what, (facts_html(facts),))
