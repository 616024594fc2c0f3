"""`dsd-plan trace fit` of a workload trace."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.cli.terminal import progress, say, say_json, say_wrapped, show_table
from dsd_plan.cli.trace_html import LONG
from dsd_plan.errors import TraceError


def fit_requests(trace: Path, html: Path | None, refused: list[str], seed: int, as_json: bool) -> None:
    """Laws of arrivals and lengths, beside streams that they make.

    Raises TraceError for options that only acceptance has, and for a trace too short to fit.
    """
    from dataclasses import asdict

    from dsd_plan.calibrate.workload_fit_view import workload_fit_view
    from dsd_plan.files import load_requests
    from dsd_plan.report.numbers import number, signed_share
    from dsd_plan.report.workload_fit_page import law_words

    if refused:
        raise TraceError(
            str(trace),
            f"is a workload trace, for which {', '.join(refused)} has no meaning; leave it out "
            "(`dsd-plan trace synth --like` makes more of a trace)",
        )
    requests = load_requests(trace)
    try:
        with progress("Fitting") as move:
            long = requests.arrival_s.size >= LONG
            fit, view = workload_fit_view(requests, seed, on_progress=move if long else None)
    except ValueError as short:
        raise TraceError(str(trace), str(short)) from short
    if html is not None:
        from dsd_plan.cli.trace_html import write_workload_fit

        write_workload_fit(html, trace, view)
    if as_json:
        say_json(
            {
                "file": str(trace),
                "kind": "workload law",
                "rate_per_s": fit.rate_per_s,
                "arrivals": {"law": view.law, **dict(view.parameters)},
                "prompt_tokens": {**asdict(fit.prompts), "farthest": view.prompts.farthest},
                "output_tokens": {**asdict(fit.outputs), "farthest": view.outputs.farthest},
                "correlation": fit.correlation,
                "clock_s": fit.clock_s,
                "streams": view.streams,
                "figures": [{**asdict(row), "error": row.error, "inside": row.inside} for row in view.rows],
                "dispersion": [asdict(row) for row in view.dispersion],
            }
        )
        return
    say(f"{trace}: {view.law} arrivals")
    say_wrapped(f"  {law_words(view)}")
    if fit.clock_s is not None:
        say(f"  the recording's clock steps {number(fit.clock_s)} s: its gaps, and their CV, are the clock's")
    if view.view.told.cached_share is not None:
        say("  no law of cached prefixes is fitted; `dsd-plan trace synth --like` keeps them")
    show_table(
        ("  figure", "recorded", "made", "least", "most", "error"),
        [
            (
                f"  {row.what}",
                *(number(value) for value in (row.recorded, row.made, row.low, row.high)),
                "" if row.error is None else signed_share(row.error),
            )
            for row in view.rows
        ],
        title=f"  recorded, and middle, least and most of {view.streams} streams that the laws made:",
    )
    if html is not None:
        say(f"wrote {html}")
