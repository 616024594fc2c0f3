"""A stretch of a replay as charts: requests round by round, a target's iterations, its queue and the windows."""

from __future__ import annotations

from typing import Any

from dsd_plan.domain.excerpt import Excerpt, SessionExcerpt
from dsd_plan.report.blocks import Chart, KeyEntry
from dsd_plan.report.figures import axis, bar_marker, layout, token
from dsd_plan.report.markup import chart_text, isolated
from dsd_plan.report.numbers import count, milliseconds, multiple
from dsd_plan.report.reading import mode_name
from dsd_plan.report.tables import Cell, Number, Table, named

PARTS = (
    ("draft", "part-draft", "", "asked_ms", "sent_ms", 0.0),
    ("uplink", "part-network", "", "sent_ms", "joined_ms", 0.0),
    ("wait", "part-wait", "/", "joined_ms", "began_ms", 0.0),
    ("target step", "part-verify", "", "began_ms", "verified_ms", 0.0),
    ("tokens on their way to the user", "part-network", "", "verified_ms", "arrived_ms", 0.38),
)
"""A round's parts: name, colour token, hatching, when it began and ended, and how far below its row it is drawn: tokens
are on their way while the next round has begun."""
SESSIONS_HELP = (
    "A row is one request, from left to right in time; each round is drafted, sent up, waits for the target's next "
    "iteration and is verified; the thin line below is its tokens' way to the user. The first is the prompt. Fused "
    "drafting is inside the target's step. Drag to look closer, double-click for the beginning."
)
BATCHES_HELP = (
    "A bar is one iteration of the target: as wide as it lasted, as high as the jobs it served together. Prompts make "
    "an iteration long. Drag to look closer, double-click for the beginning."
)
QUEUE_HELP = "Jobs that wait for the target's next iteration, at each moment. They join all at once when it begins."
WINDOW_HELP = (
    "The mean window of the jobs in each iteration. A fixed window is a level line; a policy that adapts moves it."
)
KEY = (
    KeyEntry("part-draft", "draft"),
    KeyEntry("part-network", "network; below: to the user"),
    KeyEntry("part-wait", "wait for the target", "hatch"),
    KeyEntry("part-verify", "target step"),
)
FIRST_ITERATIONS, MOST_SESSIONS = 60, 12
"""Iterations that are in view before a reader moves, and requests that are drawn."""


def excerpt_charts(found: Excerpt, at: int) -> tuple[Chart, ...]:
    """Requests, iterations, queue, and windows where they change; `at` tells several excerpts apart."""
    charts = [_sessions(found, at)] if found.sessions else []
    if found.iteration_began_ms:
        charts.append(_batches(found, at))
    if found.queue:
        charts.append(_queue(found, at))
    if len({window for window in found.mean_window if window is not None}) > 1:
        charts.append(_windows(found, at))
    return tuple(charts)


def _time_axis(found: Excerpt) -> dict[str, Any]:
    """In view: the first iterations. A reader may move it."""
    ends = found.iteration_ended_ms
    end = ends[min(FIRST_ITERATIONS, len(ends)) - 1] if ends else found.lasts_ms
    return axis("time, ms", range=[0, end], fixedrange=False)


def _label(session: SessionExcerpt) -> str:
    return f"{chart_text(session.workload)} #{session.request}"


def _sessions(found: Excerpt, at: int) -> Chart:
    sessions = found.sessions[:MOST_SESSIONS]
    data: list[dict[str, Any]] = []
    for name, colour, hatch, began, ended, below in PARTS:
        bars = [
            (row, start, end, number, session)
            for row, session in enumerate(sessions)
            for number, (start, end) in enumerate(zip(getattr(session, began), getattr(session, ended), strict=True))
            if end > start
        ]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "base": [start for _, start, _, _, _ in bars],
                "x": [round(end - start, 2) for _, start, end, _, _ in bars],
                "y": [row + below for row, *_ in bars],
                "width": 0.14 if below else 0.62,
                "marker": bar_marker(colour, hatch, line_width=0.5),
                "customdata": [_told(session, number) for _, _, _, number, session in bars],
                "hovertemplate": f"{name}: %{{x:.3g}} ms<br>%{{customdata}}<extra></extra>",
            }
        )
    rows = list(range(len(sessions)))
    frame = layout(
        _time_axis(found),
        axis(
            "",
            tickvals=rows,
            ticktext=[_label(s) for s in sessions],
            range=[len(rows) - 0.5, -0.5],
            ticks="",
            showgrid=False,
        ),
        barmode="overlay",
        dragmode="pan",
    )
    return Chart(
        slug=f"replay-sessions-{at}",
        question=f"What happens to the requests that come to one replica of {isolated(found.device)}?",
        answer=_sessions_answer(found, sessions),
        how_to_read=SESSIONS_HELP,
        data=data,
        layout=frame,
        height_px=90 + 30 * len(sessions),
        key=KEY,
        numbers=_session_table(found),
    )


def _told(session: SessionExcerpt, at: int) -> str:
    if at == 0:
        return f"prompt of {session.prompt_tokens:,} tokens"
    accepted = f", {session.accepted[at]} of {session.window[at]} accepted" if session.window[at] else ""
    tokens = session.tokens[at]
    return f"round {at}{accepted}, {tokens} token{'s' if tokens != 1 else ''}"


def _sessions_answer(found: Excerpt, sessions: tuple[SessionExcerpt, ...]) -> str:
    rounds = max(sessions, key=lambda session: len(session.asked_ms))
    more = f"{len(sessions)} of {len(found.sessions)} requests" if len(sessions) < len(found.sessions) else ""
    shown = more or f"{len(sessions)} request{'s' if len(sessions) != 1 else ''}"
    return (
        f"{shown}; the one with most rounds took {len(rounds.asked_ms) - 1} of them in "
        f"{mode_name(rounds.mode)} mode for {count(rounds.output_tokens)} tokens."
    )


def _session_table(found: Excerpt) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            Number(s.request, "#"),
            named(s.workload),
            mode_name(s.mode),
            Number(s.prompt_tokens, "#"),
            Number(s.output_tokens, "#"),
            Number(len(s.asked_ms) - 1, "#"),
            Number(s.came_ms / 1000, "s"),
            Number(None if s.ended_ms is None else s.ended_ms / 1000, "s", unknown="after the stretch"),
        )
        for s in found.sessions
    ]
    columns = ("Request", "Workload", "Mode", "Prompt tokens", "Output tokens", "Rounds", "Came at", "Ended at")
    return Table("Requests of the stretch", columns, tuple(rows), file="replay-requests")


def _batches(found: Excerpt, at: int) -> Chart:
    spans = list(zip(found.iteration_began_ms, found.iteration_ended_ms, strict=True))
    middles = [round((began + ended) / 2, 2) for began, ended in spans]
    widths = [round(ended - began, 2) for began, ended in spans]
    drafted = [round(d - b, 2) for d, b in zip(found.iteration_drafted_ms, found.iteration_began_ms, strict=True)]
    told = [
        f"{wide:.3g} ms{f', of them {draft:.3g} ms drafting' if draft > 0 else ''}, {tokens} tokens"
        for wide, draft, tokens in zip(widths, drafted, found.tokens, strict=True)
    ]
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": name,
            "x": middles,
            "width": widths,
            "y": list(values),
            "marker": {"color": token(colour), "line": {"color": token("paper"), "width": 0.5}},
            "customdata": told,
            "hovertemplate": f"%{{y}} {name}<br>%{{customdata}}<extra></extra>",
        }
        for name, colour, values in (
            ("rounds or tokens", "part-verify", found.rounds),
            ("prompts", "part-network", found.prefills),
        )
    ]
    jobs = [prompts + rounds for prompts, rounds in zip(found.prefills, found.rounds, strict=True)]
    longest = max(range(len(widths)), key=widths.__getitem__)
    prompts = found.prefills[longest]
    with_prompts = f", with {prompts} prompt{'s' if prompts != 1 else ''} in it" if prompts else ""
    frame = layout(_time_axis(found), axis("jobs in the iteration", rangemode="tozero"), barmode="stack", bargap=0)
    return Chart(
        slug=f"replay-batches-{at}",
        question=f"How full are the iterations of {isolated(found.device)}?",
        answer=f"{len(jobs)} iterations, with at most {max(jobs)} jobs in one; the longest took "
        f"{milliseconds(widths[longest])}{with_prompts}.",
        how_to_read=BATCHES_HELP,
        data=data,
        layout={**frame, "dragmode": "pan"},
        height_px=280,
        key=(KeyEntry("part-verify", "rounds, or tokens of plain decoding"), KeyEntry("part-network", "prompts")),
        numbers=_iteration_table(found, widths),
    )


def _iteration_table(found: Excerpt, widths: list[float]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            Number(found.iteration_began_ms[at], "ms"),
            Number(widths[at], "ms"),
            Number(found.prefills[at], "#"),
            Number(found.rounds[at], "#"),
            Number(found.mean_window[at]),
            Number(found.tokens[at], "#"),
        )
        for at in range(len(widths))
    ]
    columns = ("Began", "Lasted", "Prompts", "Rounds", "Mean window", "Tokens")
    return Table("Iterations of the stretch", columns, tuple(rows), file="replay-iterations")


def _queue(found: Excerpt, at: int) -> Chart:
    most = max(found.queue)
    return Chart(
        slug=f"replay-queue-{at}",
        question=f"How many jobs wait for {isolated(found.device)}?",
        answer=f"At most {most} at once in this stretch of {multiple(found.lasts_ms / 1000)} s.",
        how_to_read=QUEUE_HELP,
        data=[_steps(found.queue_at_ms, found.queue, "part-verify", "%{y} waiting at %{x:.4g} ms<extra></extra>")],
        layout=layout(axis("time, ms", range=[0, found.lasts_ms]), axis("jobs waiting", rangemode="tozero")),
        height_px=220,
    )


def _windows(found: Excerpt, at: int) -> Chart:
    points = [(t, w) for t, w in zip(found.iteration_began_ms, found.mean_window, strict=True) if w is not None]
    times, windows = tuple(t for t, _ in points), tuple(w for _, w in points)
    return Chart(
        slug=f"replay-window-{at}",
        question=f"How does the window of requests on {isolated(found.device)} change?",
        answer=f"Between {multiple(min(windows))} and {multiple(max(windows))} on average over an iteration's jobs.",
        how_to_read=WINDOW_HELP,
        data=[_steps(times, windows, "part-draft", "window %{y:.3g} at %{x:.4g} ms<extra></extra>")],
        layout=layout(axis("time, ms", range=[0, found.lasts_ms]), axis("mean window γ", rangemode="tozero")),
        height_px=220,
    )


def _steps(times: tuple[float, ...], values: tuple[float, ...], colour: str, hover: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "line": {"shape": "hv", "width": 1.5, "color": token(colour)},
        "x": list(times),
        "y": list(values),
        "hovertemplate": hover,
    }
