"""Figures of request lengths: how long prompts and outputs are, and whether the one tells the other."""

from __future__ import annotations

from math import log10
from typing import Any

from dsd_plan.domain.workload_statistics import Lengths
from dsd_plan.domain.workload_view import Joint, LawLengths, LengthCurve, PromptGroup, WorkloadView
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, layout, token
from dsd_plan.report.numbers import MINUS, count, number, share
from dsd_plan.report.profile_figures import log_axis, ones_twos_fives
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import band, curve, points, spanning

PROMPT, OUTPUT = "pair-1", "pair-2"
QUANTILES = ("mean", "p5", "p50", "p95", "p99", "most")
STRONG, WEAK = 0.5, 0.1
"""Rank correlations from which lengths are called bound, and below which free of one another."""


def lengths_chart(view: WorkloadView) -> Chart:
    """Share of requests no longer than so many tokens."""
    told = view.told
    data: list[dict[str, Any]] = []
    for lengths, colour, what in ((view.prompts, PROMPT, "prompts"), (view.outputs, OUTPUT, "outputs")):
        data += _rising(lengths, colour, what)
    return Chart(
        slug="lengths",
        question="How long are prompts and outputs?",
        answer=(
            f"Half of the prompts have {count(told.prompt_tokens.p50)} tokens or fewer and one in twenty more than "
            f"{count(told.prompt_tokens.p95)}; of the outputs {count(told.output_tokens.p50)} and "
            f"{count(told.output_tokens.p95)}."
        ),
        how_to_read=(
            "The height is the share of requests that are no longer than so many tokens; a steep line means that all "
            "are alike. Tokens are on a logarithmic scale. The band is a 95 % band on the whole curve."
        ),
        data=data,
        layout=layout(_tokens_axis("tokens", view.prompts, view.outputs), _share_axis()),
        height_px=320,
        key=(
            KeyEntry(PROMPT, "prompts", "line"),
            KeyEntry(OUTPUT, "outputs", "line"),
            KeyEntry("pair-band", "95 % band"),
        ),
        numbers=lengths_table(told.prompt_tokens, told.output_tokens),
    )


def _rising(lengths: LengthCurve, colour: str, what: str) -> list[dict[str, Any]]:
    half = lengths.half_width
    line = curve(lengths.tokens, lengths.share, colour, f"{what}: %{{y:.1%}} up to %{{x:,}} tokens", dots=False)
    if len(lengths.tokens) == 1:
        line |= {"mode": "markers"}
    low, high = [max(0.0, at - half) for at in lengths.share], [min(1.0, at + half) for at in lengths.share]
    return [band(lengths.tokens, low, high), line]


def _tokens_axis(title: str, *curves: LengthCurve) -> dict[str, Any]:
    ends = [min(one.tokens[0] for one in curves), max(one.tokens[-1] for one in curves)]
    marks = ones_twos_fives(ends)
    return log_axis(title, marks) if len(marks) > 1 else axis(title, rangemode="tozero")


def _share_axis() -> dict[str, Any]:
    return axis("of requests", range=[0, 1.02], tickformat=".0%")


def lengths_table(prompts: Lengths, outputs: Lengths) -> Table:
    """Means and quantiles of both."""
    rows: list[tuple[Cell, ...]] = [
        (name, *(Number(getattr(lengths, key), "#") for key in QUANTILES), Number(lengths.cv))
        for name, lengths in (("Prompt", prompts), ("Output", outputs))
    ]
    columns = ("Tokens", "Mean", "p5", "p50", "p95", "p99", "Most", "CV")
    return Table("Lengths in tokens", columns, tuple(rows), file="lengths")


def correlation_words(view: WorkloadView) -> str:
    """Whether the prompt tells the output."""
    value = view.told.correlation
    if value is None:
        return "One of them never changes, so that it tells nothing of the other."
    told = f"the rank correlation is {correlation_text(value)}"
    if view.correlation_ends is not None:
        low, high = view.correlation_ends
        told += f" ({correlation_text(low)} to {correlation_text(high)})"
    if abs(value) >= STRONG:
        return f"Yes: {told}."
    if abs(value) < WEAK:
        return f"Hardly: {told}."
    return f"A little: {told}."


def correlation_text(value: float) -> str:
    """Two digits after the point: a third is never known."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", MINUS)


def joint_chart(view: WorkloadView, joint: Joint) -> Chart:
    """Requests by prompt and output as tiles."""
    most = max(max(row) for row in joint.requests)
    return Chart(
        slug="joint",
        question="Does the prompt's length tell the output's?",
        answer=correlation_words(view),
        how_to_read=(
            "A tile holds the requests whose prompt and output have about these lengths; the darker, the more, on a "
            f"logarithmic scale: the darkest has {count(most)}. Tiles along a rising diagonal would mean that "
            "longer prompts get longer outputs. Tokens on both axes are logarithmic too."
        ),
        data=[
            {
                "type": "heatmap",
                "x": [log10(edge) for edge in joint.prompt_edges],
                "y": [log10(edge) for edge in joint.output_edges],
                "z": [[log10(1.0 + each) if each else None for each in row] for row in joint.requests],
                "customdata": [
                    [_tile(joint, at, up, each) for at, each in enumerate(row)] for up, row in enumerate(joint.requests)
                ],
                "hoverongaps": False,
                "colorscale": [[0, token("wash")], [1, token("mode-fused")]],
                "zmin": 0,
                "showscale": False,
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        ],
        layout=layout(
            _log_marks("prompt, tokens (log scale)", joint.prompt_edges),
            _log_marks("output, tokens (log scale)", joint.output_edges),
        ),
        height_px=380,
    )


def _tile(joint: Joint, at: int, up: int, requests: int) -> str:
    prompt = f"prompts {count(joint.prompt_edges[at] + 0.5)}–{count(joint.prompt_edges[at + 1] - 0.5)}"
    output = f"outputs {count(joint.output_edges[up] + 0.5)}–{count(joint.output_edges[up + 1] - 0.5)}"
    return f"{prompt}, {output}<br>{count(requests)} requests"


def _log_marks(title: str, edges: tuple[float, ...]) -> dict[str, Any]:
    marks = ones_twos_fives([edges[0], edges[-1]])
    if len(marks) < 2:
        marks = [edges[0] + 0.5, edges[-1] - 0.5]
    return axis(
        title,
        tickvals=[log10(mark) for mark in marks],
        ticktext=[f"{mark:,.10g}" for mark in marks],
        range=[log10(edges[0]), log10(edges[-1])],
        showgrid=False,
    )


def groups_chart(rows: tuple[PromptGroup, ...]) -> Chart:
    """The output's median by the prompt's length."""
    least, most = min(rows, key=lambda row: row.output_p50), max(rows, key=lambda row: row.output_p50)
    apart = most.ends[0] > least.ends[1]
    return Chart(
        slug="by-prompt",
        question="How long is the output that a prompt of this length gets?",
        answer=(
            f"Half of the outputs have {count(least.output_p50)} tokens or fewer after prompts of about "
            f"{count(least.prompt_p50)}, {count(most.output_p50)} after those of about {count(most.prompt_p50)}"
            f"{'' if apart else ', no further apart than chance puts them'}."
        ),
        how_to_read=(
            "Requests are put into parts of like size by the length of their prompts. A dot is the median output of a "
            "part, its bar the 95 % interval of that median."
        ),
        data=[
            points(
                [row.prompt_p50 for row in rows],
                [row.output_p50 for row in rows],
                [row.ends for row in rows],
                OUTPUT,
                "prompts about %{x:,}: median output %{y:,}",
            )
        ],
        layout=layout(
            _prompts_axis([row.prompt_p50 for row in rows]),
            axis("median output, tokens", range=spanning(row.ends[1] for row in rows)),
        ),
        height_px=280,
    )


def _prompts_axis(values: list[float]) -> dict[str, Any]:
    title, marks = "median prompt of the part, tokens", ones_twos_fives(values)
    return log_axis(title, marks) if len(marks) > 1 else axis(title)


def law_lengths_chart(slug: str, what: str, told: LawLengths, mean: float, cv: float) -> Chart:
    """Recorded lengths and the log-normal law of the same mean and spread."""
    colour = PROMPT if slug == "prompts" else OUTPUT
    fits = told.farthest <= told.recorded.half_width
    return Chart(
        slug=f"law-{slug}",
        question=f"Are {what} log-normal?",
        answer=(
            f"{'They may be' if fits else 'Not exactly' if told.farthest < 0.05 else 'No'}: recorded and law part by "
            f"at most {share(told.farthest)} of requests, where chance allows {share(told.recorded.half_width)}."
        ),
        how_to_read=(
            "The solid line is recorded, with a 95 % band; the dashed one is the log-normal law of the same mean "
            f"({number(mean)} tokens) and coefficient of variation ({number(cv)}). Where it leaves the band, the law "
            "is wrong."
        ),
        data=[
            *_rising(told.recorded, colour, what),
            curve(
                told.recorded.tokens, told.law, "pair-0", "law: %{y:.1%} up to %{x:,} tokens", dash="dash", dots=False
            ),
        ],
        layout=layout(_tokens_axis("tokens", told.recorded), _share_axis()),
        height_px=280,
        key=(
            KeyEntry(colour, "recorded", "line"),
            KeyEntry("pair-band", "95 % band"),
            KeyEntry("pair-0", "log-normal law", "dash"),
        ),
    )
