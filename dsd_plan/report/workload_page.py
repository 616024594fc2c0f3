"""A request stream as one self-contained page: how much comes, how steadily, how long it is, and who asks."""

from __future__ import annotations

from dsd_plan.domain.workload_statistics import Lengths
from dsd_plan.domain.workload_view import WorkloadView
from dsd_plan.report.blocks import Block, Section
from dsd_plan.report.figures import ticks
from dsd_plan.report.length_figures import (
    STRONG,
    WEAK,
    groups_chart,
    joint_chart,
    lengths_chart,
    lengths_table,
)
from dsd_plan.report.markup import Html, safe
from dsd_plan.report.numbers import count, multiple, number, share
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Cell, Number, Table, named, table_html
from dsd_plan.report.trace_page import IDENTITY, Chip, facts_html, first_screen, trace_page_html
from dsd_plan.report.trace_picture import Drawn, Frame, trace_picture
from dsd_plan.report.trace_words import span_words
from dsd_plan.report.workload_figures import (
    COARSE,
    RECORDED,
    burst_words,
    dispersion_chart,
    gaps_chart,
    hours_chart,
    rates_chart,
    time_unit,
)

STEADY_CV, BURSTY_INDEX = 1.1, 2.0
"""Gap CV up to which, and dispersion from which, arrivals are called steady and bursty."""
ENOUGH = 1000
"""Requests from which a p99 rests on ten."""


def render_workload(file: str, view: WorkloadView) -> str:
    """The page as one HTML text, to be opened from disk. `file` is shown as the trace's name."""
    sheet = Sheet(IDENTITY)
    first = _first_screen(view, sheet)
    found = [rates_section(view), bursts_section(view), _lengths(view), _who(view)]
    sections = [section for section in found if section is not None]
    return trace_page_html(file=file, heading="Workload", first=first, sections=sections, sheet=sheet)


def _first_screen(view: WorkloadView, sheet: Sheet) -> Html:
    told = view.told
    prompts, outputs = told.prompt_tokens, told.output_tokens
    sentences = [
        burst_words(view),
        _lengths_sentence(prompts, outputs),
    ]
    return first_screen(
        sheet,
        tag="Workload trace",
        made=f"{count(told.requests)} requests in {span_words(told.span_s)}",
        verdict=headline(view),
        sentences=sentences,
        table=lengths_table(prompts, outputs),
        below=table_html(_arrivals_table(view), f"{IDENTITY}-arrivals"),
        picture=rate_picture(view),
        trust=trust_chips(view),
    )


def _lengths_sentence(prompts: Lengths, outputs: Lengths) -> str:
    return (
        f"A prompt has {count(prompts.p50)} tokens in the middle and {count(prompts.p95)} at p95, an output "
        f"{count(outputs.p50)} and {count(outputs.p95)}."
    )


def _arrivals_table(view: WorkloadView) -> Table:
    told = view.told
    rows: list[tuple[Cell, ...]] = []
    if told.gap_cv is not None:
        rows.append(("Coefficient of variation of gaps", Number(told.gap_cv), "1"))
    rows += [
        (f"Variance of counts over {span_words(row.window_s)}, over their mean", Number(row.index), "1")
        for row in view.dispersion[:: max(1, len(view.dispersion) // 3)]
    ]
    if told.correlation is not None:
        rows.append(("Rank correlation of prompt and output", Number(round(told.correlation, 2), given=True), "0"))
    return Table("How arrivals hang together", ("Figure", "Recorded", "Independent"), tuple(rows), file="arrivals")


def headline(view: WorkloadView) -> Html:
    """Rate and peak."""
    told = view.told
    if told.rate_per_s is None:
        return safe(f"{count(told.requests)} requests, all at one time")
    peak = ""
    if view.rates is not None:
        peak = f", up to {number(max(view.rates.per_s))} over {span_words(view.rates.bin_s)}"
    return safe(f"{number(told.rate_per_s)} requests a second{peak}")


def rate_picture(view: WorkloadView) -> tuple[str, Html] | None:
    """The rate over time, without script."""
    rates = view.rates
    if rates is None:
        return None
    size, unit = time_unit(view.told.span_s)
    x = tuple((at + 0.5) * rates.bin_s / size for at in range(len(rates.per_s)))
    frame = Frame(
        title="Requests a second over the span of the trace",
        x_title=f"since the first request, {unit}",
        y_title="requests a second",
        x=x,
        marks=tuple((at, multiple(at)) for at in ticks(x[-1])),
    )
    low, high = rates.chance
    ends = tuple(low for _ in x), tuple(high for _ in x)
    lines = [Drawn("recorded", RECORDED, rates.per_s), Drawn("", "pair-band", (), *ends)]
    return "How steady is the traffic?", trace_picture(frame, lines, f"{IDENTITY}-picture")


def trust_chips(view: WorkloadView) -> list[Chip]:
    """How far the trace can tell of other days."""
    told = view.told
    few = "" if told.requests >= ENOUGH else "too few for a p99"
    chips = [(f"{count(told.requests)} requests", few or "a p99 rests on at least ten of them")]
    if view.days >= 1:
        chips.append((f"{view.days} whole day{'s' * (view.days > 1)}", "hours of the day are told"))
    else:
        chips.append((f"{span_words(told.span_s)} only", "less than a day: says nothing of other hours"))
    if view.dispersion:
        last = view.dispersion[-1]
        chips.append((f"Bursts up to {span_words(last.window_s)}", "longer ones happen too rarely here to be told"))
    return chips


def rates_section(view: WorkloadView) -> Section | None:
    """How much comes, and when."""
    told = view.told
    if view.rates is None or told.rate_per_s is None:
        return None
    blocks: list[Block] = [rates_chart(view.rates, told.rate_per_s)]
    if view.hours:
        blocks.append(hours_chart(view.hours, view.days))
    peak = max(view.rates.per_s)
    so_what = (
        f"A fleet for the mean of {number(told.rate_per_s)} a second meets {number(peak)} for "
        f"{span_words(view.rates.bin_s)}: plan for the peak, or say how long it may queue."
    )
    title = "How much comes, and when?"
    return Section("over-time", "Over time", title, so_what, tuple(blocks))


def bursts_section(view: WorkloadView) -> Section | None:
    """How bursty it is."""
    told = view.told
    if view.gaps is None or told.gap_cv is None:
        return None
    blocks: list[Block] = [gaps_chart(view.gaps, told.gap_cv)]
    if view.dispersion:
        blocks.append(dispersion_chart(view.dispersion))
    last = view.dispersion[-1].index if view.dispersion else 1.0
    if view.gaps.at_once >= COARSE:
        so_what = "Trust counts over stretches longer than the clock's step; the gaps themselves tell of the clock."
    elif last >= BURSTY_INDEX:
        so_what = "Queues will be longer than a Poisson stream of this rate would make them; replay the trace as it is."
    elif told.gap_cv <= STEADY_CV:
        so_what = "A Poisson stream of this rate stands for it well."
    else:
        so_what = "Gaps spread more than a Poisson stream's, but bursts do not last: mostly short queues will differ."
    return Section("bursts", "Bursts", "How bursty is it?", so_what, tuple(blocks))


def _lengths(view: WorkloadView) -> Section:
    blocks: list[Block] = [lengths_chart(view)]
    if view.joint is not None:
        blocks.append(joint_chart(view, view.joint))
    if len(view.groups) > 1:
        blocks.append(groups_chart(view.groups))
    told = view.told
    heavy = told.output_tokens.p95 / max(1.0, told.output_tokens.p50)
    so_what = f"One request in twenty emits more than {number(heavy)} times the median's tokens"
    if view.joint is not None:
        so_what += (
            f" and holds its place in the batch as much longer; its prompt tells {_told(told.correlation)} of that"
        )
    title = "How long are prompts and outputs?"
    return Section("sizes", "Lengths", title, f"{so_what}.", tuple(blocks))


def _told(correlation: float | None) -> str:
    size = abs(correlation or 0.0)
    return "much" if size >= STRONG else "next to nothing" if size < WEAK else "a little"


def _who(view: WorkloadView) -> Section | None:
    told = view.told
    talks = told.conversations
    facts: list[tuple[str, object]] = [
        ("Prompt tokens in the cache already", None if told.cached_share is None else share(told.cached_share)),
        ("Conversations", None if talks is None else count(talks.count)),
        ("Turns", None if talks is None else f"{number(talks.mean_turns)} on average, {talks.most_turns} at most"),
        ("Users", None if told.users is None else count(told.users)),
    ]
    blocks: list[Block] = [facts_html(facts)] if any(value is not None for _, value in facts) else []
    for title, groups in (("Workload", told.workloads), ("Task", told.tasks)):
        if groups:
            rows = tuple(
                (named(name), Number(size, "#"), Number(size / told.requests, "%"))
                for name, size in sorted(groups.items(), key=lambda item: -item[1])
            )
            blocks.append(Table(f"Requests by {title.lower()}", (title, "Requests", "Share"), rows, file=title.lower()))
    if not blocks:
        return None
    so_what = "Users alone change nothing in a plan; cached prefixes would."
    if told.workloads or told.tasks:
        so_what = "What is tagged can be planned apart: a scenario's workload takes the rows of its own name."
    elif told.cached_share is not None:
        so_what = f"{share(told.cached_share)} of the prompt tokens take memory, but no prefill."
    elif talks is not None:
        so_what = "Turns share a prefix, but the trace does not tell how much of it was cached."
    return Section("who", "Who asks?", "Who asks, and what is there already?", so_what, tuple(blocks))
