"""`dsd-plan trace synth`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import say, say_json, show_table

if TYPE_CHECKING:
    from dsd_plan.calibrate.synthesis import ArrivalLaw, LogNormal, Recorded
    from dsd_plan.calibrate.workload_fit import WorkloadFit
    from dsd_plan.domain.workload import RequestTrace


class Arrivals(StrEnum):
    """How open requests come."""

    POISSON = "poisson"
    GAMMA = "gamma"
    MODULATED = "modulated"


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
LengthsFrom = Annotated[Path | None, typer.Option("--lengths-from", metavar="TRACE", help="Draw lengths from a trace.")]
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
    given = {key: value for key, value in options.items() if value is not None}
    fit = None
    try:
        if like is not None:
            fit, trace = more_like(like, given, seed)
        elif users is not None:
            trace = of_users(given, seed)
        else:
            trace = open_requests(given, seed)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None
    write_requests(output, trace)
    told = describe_requests(trace)
    if as_json:
        say_json({"file": str(output), **told, "fit": None if fit is None else fitted(fit)})
        return
    if fit is not None:
        show_fit(fit)
    show_requests(str(output), told)


LENGTHS = ("prompt_tokens", "output_tokens", "correlation", "lengths_from")
MODULATED = ("burst_ratio", "burst_s", "quiet_s")


def open_requests(given: dict[str, Any], seed: int) -> RequestTrace:
    """Requests at a rate. Raises ValueError for options that are missing or do not belong together."""
    from dsd_plan.calibrate.synthesis import FLAT, synthesize

    only(given, ("span_s", "rate_per_s", "arrivals", "gap_cv", *MODULATED, "by_hour", *LENGTHS), "with --rate-per-s")
    prompts, outputs, recorded = lengths(given)
    return synthesize(
        needed(given, "rate_per_s"),
        needed(given, "span_s"),
        arrivals=arrival_law(given),
        prompts=prompts,
        outputs=outputs,
        correlation=given.get("correlation", 0.0),
        recorded=recorded,
        by_hour=weights(given["by_hour"]) if "by_hour" in given else FLAT,
        seed=seed,
    )


def of_users(given: dict[str, Any], seed: int) -> RequestTrace:
    """Requests of closed users, whose answers take a given time."""
    from dsd_plan.calibrate.synthesis import closed_users

    only(given, ("users", "think_s", "response_s", "span_s", "prompt_tokens", "output_tokens"), "with --users")
    prompts, outputs, _ = lengths(given)
    if prompts is None or outputs is None:
        raise ValueError("--users needs --prompt-tokens and --output-tokens")
    think_s, response_s = needed(given, "think_s", zero=True), needed(given, "response_s", zero=True)
    if think_s + response_s <= 0:
        raise ValueError("--think-s and --response-s are both 0: a user would ask without end")
    return closed_users(given["users"], think_s, response_s, needed(given, "span_s"), prompts, outputs, seed)


def more_like(like: Path, given: dict[str, Any], seed: int) -> tuple[WorkloadFit, RequestTrace]:
    """Laws fitted to a recording, and a stream that they make."""
    from dsd_plan.calibrate.synthesis import Recorded, synthesize
    from dsd_plan.calibrate.workload_fit import fit_workload
    from dsd_plan.files import load_requests

    only(given, ("like", "span_s", "rate_per_s"), "with --like")
    recording = load_requests(like)
    fit = fit_workload(recording, seed=seed)
    span_s = needed(given, "span_s") if "span_s" in given else float(recording.arrival_s[-1] - recording.arrival_s[0])
    made = synthesize(
        needed(given, "rate_per_s") if "rate_per_s" in given else fit.rate_per_s,
        span_s,
        arrivals=fit.arrivals,
        recorded=Recorded(recording),
        by_hour=fit.by_hour,
        seed=seed,
    )
    return fit, made


def arrival_law(given: dict[str, Any]) -> ArrivalLaw:
    """Poisson unless said."""
    from dsd_plan.calibrate.synthesis import Gaps, Modulated

    kind = given.get("arrivals", Arrivals.POISSON)
    extra = {Arrivals.POISSON: (), Arrivals.GAMMA: ("gap_cv",), Arrivals.MODULATED: MODULATED}[kind]
    for key in ("gap_cv", *MODULATED):
        if key in given and key not in extra:
            raise ValueError(f"{flag(key)} does not go with --arrivals {kind.value}")
    if kind is Arrivals.POISSON:
        return Gaps(1.0)
    if kind is Arrivals.GAMMA:
        return Gaps(needed(given, "gap_cv", zero=True))
    high, high_s, low_s = (needed(given, key) for key in MODULATED)
    low = (1.0 * (high_s + low_s) - high * high_s) / low_s
    if low < 0:
        most = (high_s + low_s) / high_s
        raise ValueError(f"--burst-ratio {high:g}: bursts alone would exceed the mean rate; at most {most:.3g} here")
    return Modulated(low=low, high=high, low_s=low_s, high_s=high_s)


def lengths(given: dict[str, Any]) -> tuple[LogNormal | None, LogNormal | None, Recorded | None]:
    """Two log-normal laws, or a recording."""
    from dsd_plan.calibrate.synthesis import LogNormal, Recorded
    from dsd_plan.files import load_requests

    if "lengths_from" in given:
        for key in ("prompt_tokens", "output_tokens", "correlation"):
            if key in given:
                raise ValueError(f"{flag(key)} does not go with --lengths-from, which brings them")
        return None, None, Recorded(load_requests(given["lengths_from"]))
    found = []
    for key in ("prompt_tokens", "output_tokens"):
        text = str(needed(given, key, number=False))
        mean, _, cv = text.partition(":")
        try:
            law = LogNormal(float(mean), float(cv or 0.0))
        except ValueError:
            raise ValueError(f"{flag(key)} {text}: expected MEAN or MEAN:CV, such as 300:0.8") from None
        if not (1 <= law.mean <= 2**31 and 0 <= law.cv <= 100):
            raise ValueError(f"{flag(key)} {text}: expected a mean of 1 or more and a CV from 0 to 100")
        found.append(law)
    return found[0], found[1], None


def weights(text: str) -> tuple[float, ...]:
    """24 weights of hours."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 24 or min(found) < 0 or sum(found) <= 0:
        raise ValueError(f"--by-hour {text[:60]}: expected 24 weights, 0 or more, divided by commas")
    return found


def needed(given: dict[str, Any], key: str, *, zero: bool = False, number: bool = True) -> Any:
    """An option that has to be there, and above 0 (or at least 0)."""
    if key not in given:
        raise ValueError(f"{flag(key)} is missing")
    if number and (given[key] < 0 or (given[key] == 0 and not zero)):
        raise ValueError(f"{flag(key)} {given[key]:g}: expected a number {'0 or more' if zero else 'above 0'}")
    return given[key]


def only(given: dict[str, Any], allowed: tuple[str, ...], where: str) -> None:
    """No option is ignored: one that has no meaning here is an error."""
    strangers = [flag(key) for key in given if key not in allowed]
    if strangers:
        raise ValueError(f"{', '.join(strangers)} has no meaning {where}")


def flag(key: str) -> str:
    """The option of a parameter."""
    return f"--{key.replace('_', '-')}"


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
    from dsd_plan.report.numbers import number, share

    law = ", ".join(f"{key} {number(value)}" for key, value in fitted(fit)["arrivals"].items() if key != "law")
    say(f"fitted: {fitted(fit)['arrivals']['law']} arrivals ({law}); lengths as recorded")
    show_table(
        ("  figure", "recorded", "made", "error"),
        [
            (f"  {row.what}", number(row.recorded), number(row.made), "" if row.error is None else share(row.error))
            for row in fit.rows
        ],
    )
