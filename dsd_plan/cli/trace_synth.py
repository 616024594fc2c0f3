"""`dsd-plan trace synth`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.synth_options import CLOSED, LIKE, OPEN, Arrivals, Given, arrival_law, lengths, weights
from dsd_plan.cli.terminal import say, say_json, say_wrapped, show_table, warn

if TYPE_CHECKING:
    from dsd_plan.calibrate.synthesis import ArrivalLaw
    from dsd_plan.calibrate.workload_fit import WorkloadFit
    from dsd_plan.domain.workload import RequestTrace


Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file to write.")]
SpanS = Annotated[float | None, typer.Option("--span-s", help="How many seconds of traffic.")]
RatePerS = Annotated[float | None, typer.Option("--rate-per-s", help="Mean rate of open requests.")]
How = Annotated[Arrivals | None, typer.Option("--arrivals", help="gamma: independent gaps; modulated: lasting bursts.")]
GapCv = Annotated[
    float | None, typer.Option("--gap-cv", min=0.0, help="With gamma: spread of the gaps; Poisson has 1.")
]
BurstRatio = Annotated[
    float | None, typer.Option("--burst-ratio", min=1.0, help="With modulated: rate in a burst over the mean rate.")
]
BurstS = Annotated[float | None, typer.Option("--burst-s", help="With modulated: how long a burst lasts on average.")]
QuietS = Annotated[float | None, typer.Option("--quiet-s", help="With modulated: how long the time between lasts.")]
ByHour = Annotated[
    str | None, typer.Option("--by-hour", metavar="W0,…,W23", help="Weights of the hours of a day, from the first on.")
]
Users = Annotated[int | None, typer.Option("--users", min=1, help="Closed users instead of a rate.")]
ThinkS = Annotated[float | None, typer.Option("--think-s", min=0.0, help="With users: mean time to the next question.")]
ResponseS = Annotated[float | None, typer.Option("--response-s", min=0.0, help="With users: how long an answer takes.")]
Tokens = "MEAN[:CV]"
Prompts = Annotated[str | None, typer.Option("--prompt-tokens", metavar=Tokens, help="Log-normal; CV 0: all alike.")]
Outputs = Annotated[str | None, typer.Option("--output-tokens", metavar=Tokens, help="Log-normal; CV 0: all alike.")]
Correlation = Annotated[float | None, typer.Option("--correlation", min=-1.0, max=1.0, help="Of the logs of lengths.")]
LengthsFrom = Annotated[
    Path | None, typer.Option("--lengths-from", metavar="TRACE", help="Draw lengths and cached prefixes.")
]
Like = Annotated[Path | None, typer.Option("--like", metavar="TRACE", help="Fit everything to a trace, and make more.")]


def run(
    output: Output,
    span_s: SpanS = None,
    rate_per_s: RatePerS = None,
    arrivals: How = None,
    gap_cv: GapCv = None,
    burst_ratio: BurstRatio = None,
    burst_s: BurstS = None,
    quiet_s: QuietS = None,
    by_hour: ByHour = None,
    users: Users = None,
    think_s: ThinkS = None,
    response_s: ResponseS = None,
    prompt_tokens: Prompts = None,
    output_tokens: Outputs = None,
    correlation: Correlation = None,
    lengths_from: LengthsFrom = None,
    like: Like = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Makes a workload trace from laws; the same seed gives the same requests. `--like` fits the laws to a recording.

    Prompts and outputs are log-normal, or drawn from a recording.
    """
    from dsd_plan.cli.workload_text import describe_requests, show_requests
    from dsd_plan.files import write_requests

    options = {
        "span_s": span_s,
        "rate_per_s": rate_per_s,
        "arrivals": arrivals,
        "gap_cv": gap_cv,
        "burst_ratio": burst_ratio,
        "burst_s": burst_s,
        "quiet_s": quiet_s,
        "by_hour": by_hour,
        "users": users,
        "think_s": think_s,
        "response_s": response_s,
        "prompt_tokens": prompt_tokens,
        "output_tokens": output_tokens,
        "correlation": correlation,
        "lengths_from": lengths_from,
        "like": like,
    }
    given = Given(options)
    fit = None
    notes: tuple[str, ...] = ()
    try:
        if like is not None:
            fit, trace, notes = more_like(like, given, seed)
        elif users is not None:
            trace = of_users(given, seed)
        else:
            trace, notes = open_requests(given, seed)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    write_requests(output, trace)
    for note in notes:
        warn(note)
    told = describe_requests(trace)
    if as_json:
        say_json({"file": str(output), **told, "notes": list(notes), "fit": None if fit is None else fitted(fit)})
    else:
        if fit is not None:
            show_fit(fit)
        show_requests(str(output), told)


def open_requests(given: Given, seed: int) -> tuple[RequestTrace, tuple[str, ...]]:
    """Requests at a rate, and what to know of them. Raises ValueError for options that do not belong together."""
    from dsd_plan.calibrate.synthesis import Recorded, synthesize
    from dsd_plan.files import load_requests

    given.only(OPEN, "with --rate-per-s")
    rate_per_s, span_s = given.number("rate_per_s"), given.number("span_s")
    arrivals, by_hour, laws = arrival_law(given), weights(given), lengths(given)
    given.refuse()
    recorded = Recorded(load_requests(given.values["lengths_from"])) if laws is None else None
    prompts, outputs = laws or (None, None)
    made = synthesize(
        rate_per_s,
        span_s,
        arrivals=arrivals,
        prompts=prompts,
        outputs=outputs,
        correlation=given.values.get("correlation", 0.0),
        recorded=recorded,
        by_hour=by_hour,
        seed=seed,
    )
    return made, by_chance(made, rate_per_s, span_s, arrivals)


def of_users(given: Given, seed: int) -> RequestTrace:
    """Requests of closed users, whose answers take a given time."""
    from dsd_plan.calibrate.synthesis import closed_users

    given.only(CLOSED, "with --users")
    think_s, response_s = given.number("think_s", zero=True), given.number("response_s", zero=True)
    span_s, laws = given.number("span_s"), lengths(given)
    if think_s + response_s <= 0:
        given.problems.append("--think-s and --response-s are both 0: a user would ask without end")
    given.refuse()
    assert laws is not None, "lengths notes a problem, or gives two laws"
    return closed_users(given.values["users"], think_s, response_s, span_s, *laws, seed)


def more_like(like: Path, given: Given, seed: int) -> tuple[WorkloadFit, RequestTrace, tuple[str, ...]]:
    """Laws fitted to a recording with the figures of the stream that they made, that stream, and what to know of it."""
    from dataclasses import replace

    from dsd_plan.calibrate.synthesis import Recorded, synthesize
    from dsd_plan.calibrate.workload_fit import compared, fit_workload
    from dsd_plan.files import load_requests

    given.only(LIKE, "with --like")
    asked = {key: given.number(key) for key in ("span_s", "rate_per_s") if key in given}
    given.refuse()
    recording = load_requests(like)
    fit = fit_workload(recording, seed=seed)
    span_s = asked.get("span_s", float(recording.arrival_s[-1] - recording.arrival_s[0]))
    rate_per_s = asked.get("rate_per_s", fit.rate_per_s)
    made = synthesize(
        rate_per_s, span_s, arrivals=fit.arrivals, recorded=Recorded(recording), by_hour=fit.by_hour, seed=seed
    )
    notes = [*by_chance(made, rate_per_s, span_s, fit.arrivals), *left_out(recording)]
    return replace(fit, rows=compared(recording, made, fit.rate_per_s / rate_per_s)), made, tuple(notes)


NOTICED = 0.05
"""Relative difference of the rate from which it is said."""


def by_chance(made: RequestTrace, rate_per_s: float, span_s: float, arrivals: ArrivalLaw) -> tuple[str, ...]:
    """A note where chance made another rate than the one asked for."""
    from dsd_plan.calibrate.synthesis import Modulated
    from dsd_plan.cli.workload_text import counted
    from dsd_plan.report.numbers import number

    requests = int(made.arrival_s.size)
    if abs(requests / span_s / rate_per_s - 1.0) <= NOTICED:
        return ()
    made_of = f"asked {number(rate_per_s)} a second, made {number(requests / span_s)}"
    if isinstance(arrivals, Modulated):
        bursts = span_s / (arrivals.low_s + arrivals.high_s)
        return (f"{made_of}: few bursts in {number(span_s)} s, {number(bursts)} on average; ask for a longer span",)
    return (f"{made_of}: {counted(requests, 'request')} in {number(span_s)} s, by chance; ask for a longer span",)


def left_out(recording: RequestTrace) -> tuple[str, ...]:
    """A note of what the recording tells and a stream made like it does not."""
    names = [name for name in ("workload", "task", "user", "conversation") if getattr(recording, name) is not None]
    return (f"not kept of the recording: {', '.join(f'{name}s' for name in names)}",) if names else ()


def fitted(fit: WorkloadFit) -> dict[str, Any]:
    """The laws, and how well they tell the recording."""
    from dataclasses import asdict

    return {
        "rate_per_s": fit.rate_per_s,
        "arrivals": {"law": type(fit.arrivals).__name__.lower(), **asdict(fit.arrivals)},
        "quality": [{**asdict(row), "error": row.error} for row in fit.rows],
    }


def show_fit(fit: WorkloadFit) -> None:
    """The laws, and beside each figure of the recording that of a stream made by them."""
    from dsd_plan.report.numbers import UNKNOWN, number, signed_share

    law = ", ".join(f"{key} {number(value)}" for key, value in fitted(fit)["arrivals"].items() if key != "law")
    say_wrapped(f"fitted: {fitted(fit)['arrivals']['law']} arrivals ({law}); lengths as recorded")
    if fit.clock_s is not None:
        say(f"  the recording's clock steps {number(fit.clock_s)} s: its gaps, and their CV, are the clock's")
    show_table(
        ("  figure", "recorded", "made", "error"),
        [
            (
                f"  {row.what}",
                number(row.recorded),
                number(row.made),
                UNKNOWN if row.error is None else signed_share(row.error),
            )
            for row in fit.rows
        ],
    )
