"""Laws of a request stream as one self-contained page: which they are, and what streams they make look like."""

from __future__ import annotations

from collections.abc import Sequence

from dsd_plan.domain.workload_view import MadeDispersion, MadeRow, WorkloadFitView
from dsd_plan.report.blocks import Block, Chart, KeyEntry, Prose, Section
from dsd_plan.report.figures import layout, straight
from dsd_plan.report.length_figures import law_lengths_chart
from dsd_plan.report.markup import Html, joined, safe
from dsd_plan.report.numbers import count, number, share, signed_share
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import IDENTITY, Chip, band, curve, first_screen, trace_page_html
from dsd_plan.report.trace_picture import Drawn, Frame, trace_picture
from dsd_plan.report.trace_words import span_words
from dsd_plan.report.workload_figures import (
    RECORDED,
    dispersion_axis,
    gaps_chart,
    poisson_line,
    rates_chart,
    stretch_axis,
)
from dsd_plan.report.workload_page import trust_chips

LAWS = {
    "poisson": "Independent arrivals (Poisson)",
    "gamma": "Independent gaps (gamma)",
    "modulated": "A rate that jumps between two levels",
}
MADE = "pair-0"


def render_workload_fit(file: str, fitted: WorkloadFitView) -> str:
    """The page as one HTML text, to be opened from disk. `file` is shown as the trace's name."""
    sheet = Sheet(IDENTITY)
    first = _first_screen(fitted, sheet)
    sections = [_arrivals(fitted), _lengths(fitted), _figures(fitted)]
    return trace_page_html(file=file, heading="Workload laws", first=first, sections=sections, sheet=sheet)


def law_words(fitted: WorkloadFitView) -> str:
    """The arrival law with its numbers."""
    told = dict(fitted.parameters)
    if fitted.law == "modulated":
        mean = fitted.view.told.rate_per_s or 0.0
        return (
            f"Requests come at {number(told['high'] * mean)} a second for {span_words(told['high_s'])} on average, "
            f"then at {number(told['low'] * mean)} a second for {span_words(told['low_s'])}."
        )
    if fitted.law == "gamma":
        return f"Gaps are independent of one another, with a coefficient of variation of {number(told['cv'])}."
    return "Gaps are independent of one another and exponential."


def _first_screen(fitted: WorkloadFitView, sheet: Sheet) -> Html:
    view = fitted.view
    missed = _missed(fitted.rows)
    sentences = [law_words(fitted)]
    sentences.append(
        f"{len(fitted.rows) - len(missed)} of {len(fitted.rows)} figures of the recording lie among those of "
        f"{fitted.streams} streams that the laws made."
    )
    if missed:
        worst = max(missed, key=lambda row: abs(row.error or 0.0))
        sentences.append(
            f"Worst is {worst.what}: {number(worst.recorded)} recorded, {number(worst.low)}–{number(worst.high)} made."
        )
    return first_screen(
        sheet,
        tag="Workload laws",
        made=f"{count(view.told.requests)} requests in {span_words(view.told.span_s)}",
        verdict=LAWS[fitted.law],
        sentences=sentences,
        table=_rows_table(fitted.rows[:6], "Recorded, and made by the laws"),
        picture=_picture(fitted),
        trust=_trust(fitted),
    )


def _missed(rows: Sequence[MadeRow]) -> list[MadeRow]:
    return [row for row in rows if not row.inside]


def _trust(fitted: WorkloadFitView) -> list[Chip]:
    farthest = max(fitted.prompts.farthest, fitted.outputs.farthest)
    chip = (f"Lengths {share(farthest)} off", "of requests, log-normal laws at their farthest")
    return [*trust_chips(fitted.view)[:2], chip]


def _picture(fitted: WorkloadFitView) -> tuple[str, Html] | None:
    rows = fitted.dispersion
    if len(rows) < 2:
        return None
    frame = Frame(
        title="Variance over mean of counts, by the stretch of time over which they are counted",
        x_title="stretch of time (each three times the one before)",
        y_title="variance over mean",
        x=tuple(float(at) for at in range(len(rows))),
        marks=tuple((float(at), span_words(row.window_s)) for at, row in enumerate(rows) if at % 2 == 0),
    )
    lines = [
        Drawn(
            "made",
            MADE,
            tuple(row.made for row in rows),
            tuple(row.low for row in rows),
            tuple(row.high for row in rows),
            dashed=True,
        ),
        Drawn("recorded", RECORDED, tuple(row.recorded for row in rows), dots=True),
    ]
    return "Do the laws make bursts that last as long?", trace_picture(frame, lines, f"{IDENTITY}-picture")


def _arrivals(fitted: WorkloadFitView) -> Section:
    view = fitted.view
    blocks: list[Block] = []
    if fitted.dispersion:
        blocks.append(dispersion_fit_chart(fitted.dispersion, fitted.streams))
    if view.gaps is not None and view.told.gap_cv is not None:
        blocks.append(gaps_chart(view.gaps, view.told.gap_cv, fitted.gaps_made))
    if view.rates is not None and view.told.rate_per_s is not None:
        blocks.append(rates_chart(view.rates, view.told.rate_per_s, fitted.rates_made))
    lines = joined([Html(f"<li>{safe(words)}</li>") for words in _law_lines(fitted)])
    blocks.append(Html(f'<h3>The law</h3><ul class="lines">{lines}</ul>'))
    out = [row for row in fitted.dispersion if not row.low <= row.recorded <= row.high]
    so_what = "Queues behind streams of this law will be like those behind the recording, as far as bursts go."
    if out:
        listed = " and ".join(span_words(row.window_s) for row in (out if len(out) < 3 else (out[0], out[-1])))
        so_what = (
            f"Over {listed} the law's bursts are not the recording's: replay the trace itself where queues matter."
        )
    title = "Does the law make arrivals like these?"
    return Section("arrivals", "Arrivals", title, so_what, tuple(blocks))


def _law_lines(fitted: WorkloadFitView) -> list[str]:
    mean = fitted.view.told.rate_per_s
    lines = [f"{number(mean)} requests a second on average", law_words(fitted)]
    if fitted.view.hours:
        lines.append("hours of the day are weighed as they were recorded")
    return lines


def dispersion_words(rows: Sequence[MadeDispersion]) -> str:
    """Whether the law's streams spread as the recording does."""
    inside = sum(row.low <= row.recorded <= row.high for row in rows)
    last = rows[-1]
    return (
        f"Over {inside} of {len(rows)} stretches of time the recording lies among the law's streams; over "
        f"{span_words(last.window_s)} its counts vary {number(last.recorded)} times their mean, the law's "
        f"{number(last.low)}–{number(last.high)}."
    )


def dispersion_fit_chart(rows: Sequence[MadeDispersion], streams: int) -> Chart:
    """Dispersion by stretch, of the recording and of the law's streams."""
    x = [row.window_s for row in rows]
    hover = "stretches of %{x:.3g} s: %{y:.3g}"
    low, high = [max(row.low, 1e-3) for row in rows], [max(row.high, 1e-3) for row in rows]
    ends = [(min(a, row.recorded), max(b, row.recorded)) for a, b, row in zip(low, high, rows, strict=True)]
    return Chart(
        slug="dispersion-fit",
        question="Do the laws make bursts that last as long?",
        answer=dispersion_words(rows),
        how_to_read=(
            "The variance of counts over their mean, by the stretch of time over which they are counted; 1 for "
            f"independent arrivals. The band reaches from the least to the most of {streams} streams that the law "
            "made, the dashed line is the middle one. Both axes are logarithmic."
        ),
        data=[
            band(x, low, high),
            curve(x, [row.made for row in rows], MADE, f"{hover} made", dash="dash", dots=False),
            curve(x, [row.recorded for row in rows], RECORDED, f"{hover} recorded"),
        ],
        layout=layout(
            stretch_axis(x),
            dispersion_axis(ends),
            shapes=[{**straight(0, 1, 1, 1, "dash", xref="paper"), "line": poisson_line()}],
        ),
        height_px=300,
        key=(
            KeyEntry(RECORDED, "recorded", "line"),
            KeyEntry(MADE, "made by the law, middle", "dash"),
            KeyEntry("pair-band", f"{streams} streams of the law"),
        ),
    )


def _lengths(fitted: WorkloadFitView) -> Section:
    told = fitted.view.told
    blocks = (
        law_lengths_chart("prompts", "prompts", fitted.prompts, told.prompt_tokens.mean, told.prompt_tokens.cv),
        law_lengths_chart("outputs", "outputs", fitted.outputs, told.output_tokens.mean, told.output_tokens.cv),
    )
    wrong = [
        what
        for what, law in (("prompts", fitted.prompts), ("outputs", fitted.outputs))
        if law.farthest > law.recorded.half_width
    ]
    so_what = "Two log-normal laws stand for these lengths as well as they are known."
    if wrong:
        so_what = f"Draw {' and '.join(wrong)} from the recording, as `trace synth --like` does, not from a law."
    return Section("sizes", "Lengths", "Would a law of lengths do?", so_what, blocks)


def _figures(fitted: WorkloadFitView) -> Section:
    missed = _missed(fitted.rows)
    so_what = f"The recording is one of the streams that these laws make, in all {len(fitted.rows)} figures."
    if missed:
        worst = max(missed, key=lambda row: abs(row.error or 0.0))
        so_what = (
            f"The laws miss {len(missed)} of {len(fitted.rows)} figures; {worst.what} by {signed_share(worst.error)}."
        )
    table = _rows_table(fitted.rows, "Every figure")
    return Section(
        "figures",
        "All figures",
        "How well do the laws fit, figure by figure?",
        so_what,
        (Prose(_streams_words(fitted)), table),
    )


def _streams_words(fitted: WorkloadFitView) -> str:
    return (
        f"Each figure of the recording beside the least, middle and most of {fitted.streams} streams that the laws "
        "made over the same span."
    )


def _rows_table(rows: Sequence[MadeRow], title: str) -> Table:
    cells: list[tuple[Cell, ...]] = [
        (
            row.what,
            Number(row.recorded),
            Number(row.made),
            Number(row.low),
            Number(row.high),
            "inside" if row.inside else "outside",
        )
        for row in rows
    ]
    return Table(title, ("Figure", "Recorded", "Made", "least", "most", "Recording"), tuple(cells), file="fit")
