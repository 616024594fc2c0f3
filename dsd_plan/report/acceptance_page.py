"""Recorded acceptance as one self-contained page: how much is kept, where, how it comes in bursts, and for whom."""

from __future__ import annotations

from dsd_plan.domain.acceptance_view import AcceptanceView
from dsd_plan.report.acceptance_figures import (
    ONE_RATE,
    RECORDED,
    histogram_chart,
    positions_chart,
    shown_windows,
    survival_chart,
    tokens_chart,
)
from dsd_plan.report.blocks import Block, Prose, Section
from dsd_plan.report.dependence_figures import groups_chart, lags_chart, spread_chart
from dsd_plan.report.markup import Html, isolated
from dsd_plan.report.numbers import count, given, number, share
from dsd_plan.report.sheet import Sheet
from dsd_plan.report.tables import Cell, Number, Table
from dsd_plan.report.trace_page import IDENTITY, Chip, facts_html, first_screen, trace_page_html
from dsd_plan.report.trace_picture import Drawn, Frame, trace_picture
from dsd_plan.report.trace_words import ends_words, pair_words, trend

SHOWN_WINDOW = 4
"""Stands for all in the headline."""
SMALL_REQUESTS = 30
"""Fewer say little of the next one."""


def render_acceptance(file: str, view: AcceptanceView) -> str:
    """The page as one HTML text, to be opened from disk. `file` is shown as the trace's name."""
    sheet = Sheet(IDENTITY)
    first = _first_screen(view, sheet)
    found = [_windows(view), _positions(view), _bursts(view), _parts(view), _provenance(view)]
    sections = [section for section in found if section is not None]
    return trace_page_html(file=file, heading="Acceptance", first=first, sections=sections, sheet=sheet)


def _first_screen(view: AcceptanceView, sheet: Sheet) -> Html:
    sentences = []
    if view.rate is not None:
        sentences.append(f"Of the proposals whose turn came {share(view.rate)} are kept.")
    if view.positions:
        sentences.append(f"Does that fall with position? {trend(view.positions)}")
    else:
        sentences.append("These counters tell no positions: nothing is known of how windows would differ.")
    meta = view.metadata
    return first_screen(
        sheet,
        tag=view.form.capitalize(),
        made=pair_words(meta),
        verdict=f"{isolated(meta.draft)} for {isolated(meta.target)}{_headline(view)}",
        sentences=sentences,
        table=_summary(view),
        picture=_picture(view),
        trust=_trust(view),
    )


def _headline(view: AcceptanceView) -> str:
    if view.windows:
        played = [row for row in view.windows if row.played]
        row = min(played, key=lambda each: abs(each.window - SHOWN_WINDOW))
        return f": {number(row.tokens_per_round)}{ends_words(row.ends)} tokens a round with window {row.window}"
    if view.mean_tokens_per_round is not None:
        return f": {number(view.mean_tokens_per_round)} tokens a round"
    return ""


def _summary(view: AcceptanceView) -> Table | None:
    if not view.windows:
        return None
    picked = [row for row in view.windows if row.window in (1, 2, 3, 4, 6, 8, 12) or row is view.windows[-1]]
    rows: list[tuple[Cell, ...]] = [
        (
            Number(row.window, "#"),
            Number(row.tokens_per_round),
            Number(None if row.ends is None else row.ends[0]),
            Number(None if row.ends is None else row.ends[1]),
            Number(row.histogram[-1] / row.rounds, "%"),
        )
        for row in picked
    ]
    columns = ("Window", "Tokens a round", "from", "to", "All kept")
    return Table("By window, with 95 % intervals over requests", columns, tuple(rows), file="summary")


def _picture(view: AcceptanceView) -> tuple[str, Html] | None:
    rows = view.positions
    if len(rows) < 2:
        return None
    frame = Frame(
        title="Share of proposals kept, by position in the window",
        x_title="position in the window",
        y_title="kept, where all before were",
        x=tuple(float(row.position) for row in rows),
        marks=tuple((float(row.position), str(row.position)) for row in rows),
        per_cent=True,
    )
    lines = [
        Drawn(
            "recorded",
            RECORDED,
            tuple(row.share for row in rows),
            tuple(row.ends[0] for row in rows),
            tuple(row.ends[1] for row in rows),
            dots=True,
        )
    ]
    if view.rate is not None:
        lines.append(Drawn("one rate", ONE_RATE, tuple(view.rate for _ in rows), dashed=True))
    return "Does acceptance fall with position?", trace_picture(frame, lines, f"{IDENTITY}-picture")


def _trust(view: AcceptanceView) -> list[Chip]:
    unit = {"token trace": "tokens"}.get(view.form, "rounds")
    amount = "an unknown number of rounds" if view.entries is None else f"{count(view.entries)} {unit}"
    chips = []
    if view.requests is None:
        chips.append((f"Counters over {amount}", "requests are not told, so that intervals take rounds as independent"))
    else:
        few = f"fewer than {SMALL_REQUESTS} say little of the next one" if view.requests < SMALL_REQUESTS else amount
        chips.append((f"{count(view.requests)} request{'s' * (view.requests != 1)}", few))
    if view.positions:
        last = view.positions[-1]
        half = (last.ends[1] - last.ends[0]) / 2.0
        chips.append((f"±{share(half)} at position {last.position}", f"from {count(last.tried)} trials"))
    meta = view.metadata
    if meta.temperature is None:
        chips.append(("Temperature not told", "acceptance depends on it"))
    else:
        chips.append((f"Temperature {given(meta.temperature)}", "holds for no other"))
    return chips


def _windows(view: AcceptanceView) -> Section | None:
    if not view.windows:
        return None
    last = view.windows[-1]
    blocks: list[Block] = [tokens_chart(view.windows)]
    blocks += [histogram_chart(row) for row in shown_windows(view.windows)]
    so_what = f"Up to window {last.window} a round emits at most {number(last.tokens_per_round)} tokens"
    full = next((r.window for r in view.windows if r.tokens_per_round >= 0.95 * last.tokens_per_round), last.window)
    if full < last.window:
        so_what += f"; window {full} already emits 95 % of that"
    return Section("by-window", "By window", "What does each window yield?", f"{so_what}.", tuple(blocks))


def _positions(view: AcceptanceView) -> Section | None:
    if not view.positions:
        return None
    blocks: list[Block] = [positions_chart(view.positions, view.rate), survival_chart(view.positions)]
    if view.windows:
        blocks.insert(0, Prose(f"Rounds of window {view.window}, each request from its first token."))
    off = [
        row.position
        for row in view.positions
        if not row.survival_ends[0] <= row.survival_at_one_rate <= row.survival_ends[1]
    ]
    so_what = "One rate tells these positions as well as they are known."
    if off:
        so_what = (
            f"One rate lies outside what was recorded at {len(off)} of {len(view.positions)} positions; "
            "`dsd-plan trace fit` tells what assuming it would cost."
        )
    title = "Where in the window is acceptance lost?"
    return Section("by-position", "By position", title, so_what, tuple(blocks))


def _bursts(view: AcceptanceView) -> Section | None:
    if not view.lags:
        return None
    first = view.lags[0]
    so_what = "Rounds can be taken as independent of one another."
    if first.ends is None:
        so_what = "Record several requests: one alone cannot tell bursts from its own ups and downs."
    elif first.ends[0] > 0 and (first.within or 0.0) <= 0:
        so_what = (
            "It is requests that differ, not rounds within them: a window for each request gains something, changing "
            "it within one does not."
        )
    elif first.ends[0] > 0:
        so_what = (
            "Means stay true, but a request's time spreads more than independent rounds would say; a policy that "
            "adapts the window has something to follow."
        )
    title = "Does acceptance come in bursts?"
    return Section("bursts", "Bursts", title, so_what, (lags_chart(view),))


def _parts(view: AcceptanceView) -> Section | None:
    blocks: list[Block] = []
    for of in ("task", "context"):
        rows = [row for row in view.groups if row.of == of]
        if len(rows) > 1:
            blocks.append(groups_chart(rows, view.window))
    if view.spread is not None:
        blocks.append(spread_chart(view.spread))
    if not blocks:
        return None
    so_what = "Requests are alike enough to be planned for together."
    tasks = sorted((row for row in view.groups if row.of == "task"), key=lambda row: row.tokens_per_round)
    if tasks:
        if tasks[-1].low > tasks[0].high:
            so_what = "Give each workload the `task` it asks for: planned on the mean of all, both ends get it wrong."
    elif view.spread is not None and view.spread.p95 - view.spread.p5 > view.spread.chance_p95 - view.spread.chance_p5:
        so_what = "Some requests gain far less than the mean: look at percentiles, not at means alone."
    title = "Whom does it serve?"
    return Section("parts", "By task and request", title, so_what, tuple(blocks))


def _provenance(view: AcceptanceView) -> Section:
    meta = view.metadata
    facts: list[tuple[str, object]] = [
        ("Draft", meta.draft),
        ("Target", meta.target),
        ("Tokenizer", meta.tokenizer_hash or None),
        ("Proposals", meta.proposal),
        ("Temperature", None if meta.temperature is None else given(meta.temperature)),
        ("Top-p", None if meta.top_p is None else given(meta.top_p)),
        ("Candidate paths", meta.candidates),
        ("Recorder", f"{meta.recorder} {meta.version}"),
        ("Form", view.form),
    ]
    so_what = "Acceptance holds for this pair, this temperature and texts like these; record again where they differ."
    return Section("provenance", "Where from?", "Where does it come from?", so_what, (facts_html(facts),))
