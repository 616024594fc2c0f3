"""`dsd-plan trace fit`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say, say_json, warn
from dsd_plan.errors import TraceError

if TYPE_CHECKING:
    from dsd_plan.calibrate.acceptance_fit import AcceptanceFit
    from dsd_plan.domain.acceptance import RoundTrace, TokenTrace
    from dsd_plan.domain.acceptance_law import FittedLaw

LONG_TOKENS = 20_000
"""Rows from which the fit shows its progress."""
DEFAULT_WINDOW = 12


class Kind(StrEnum):
    """Laws that can be asked for."""

    INDEPENDENT = "independent"
    BETA = "beta"
    POSITIONAL = "positional"
    MARKOV = "markov"


TracePath = Annotated[
    Path, typer.Argument(metavar="TRACE", help="Acceptance trace, counters (JSON), or workload trace.")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="LAW", help="JSON file to write.")]
Task = Annotated[str | None, typer.Option("--task", help="Only the rows of this task.")]
Largest = Annotated[
    int | None, typer.Option("--largest-window", min=1, help="Fit up to this window; token traces: 12 unless told.")
]
Law = Annotated[Kind | None, typer.Option("--law", help="Take this law whatever the test says.")]
Extrapolate = Annotated[bool, typer.Option("--extrapolate", help="Let windows pass those measured, and mark it.")]
Assume = Annotated[
    bool, typer.Option("--assume-independent", help="Make one rate of totals that tell no positions, and mark it.")
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write an HTML page of it.")]


def run(
    trace: TracePath,
    output: Output = None,
    task: Task = None,
    largest_window: Largest = None,
    law: Law = None,
    extrapolate: Extrapolate = False,
    assume_independent: Assume = False,
    html: Html = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Takes the simplest law that the trace does not reject, and says what assuming one rate would have cost.

    A scenario takes an independent or positional law in place of a trace; where no law passes, give it the trace.
    Of a workload trace: laws of its arrivals and lengths, beside streams that they make.
    """
    from dsd_plan.cli.trace_describe import is_workload
    from dsd_plan.cli.trace_fit_text import fit_told, law_told, show_fit, show_law
    from dsd_plan.files import load_acceptance, write_acceptance_law

    if trace.suffix.lower() != ".json" and is_workload(trace):
        from dsd_plan.cli.trace_fit_workload import fit_requests

        asked = {"--output": output, "--task": task, "--largest-window": largest_window, "--law": law}
        told = [flag for flag, value in asked.items() if value is not None]
        told += [
            flag
            for flag, set_ in (("--extrapolate", extrapolate), ("--assume-independent", assume_independent))
            if set_
        ]
        fit_requests(trace, html, told, seed, as_json)
        return
    fit = None
    try:
        if trace.suffix.lower() == ".json":
            if task is not None:
                raise ValueError(f"counters tell no tasks, found --task {task}; leave it out")
            fitted = from_counts(trace, None if law is None else law.value, assume_independent)
            fitted = widened(fitted, largest_window, extrapolate)
        elif assume_independent:
            raise ValueError("--assume-independent is for counters; this trace tells rounds: use --law independent")
        else:
            rows = load_acceptance(trace)
            if task is not None:
                rows = of_task(rows, task)
            fit = from_trace(rows, task, largest_window, law, extrapolate, seed)
            fitted = widened(fit.law, largest_window, extrapolate)
    except ValueError as refused:
        raise TraceError(str(trace), str(refused)) from refused
    if output is not None:
        write_acceptance_law(output, fitted)
    if html is not None:
        from dsd_plan.cli.trace_html import write_acceptance_fit

        write_acceptance_fit(html, trace, fitted, fit, asked_for=law is not None, warnings=warnings(fitted))
    if as_json:
        say_json({"file": str(trace), **law_told(fitted), **({} if fit is None else fit_told(fit))})
    else:
        show_law(str(trace), fitted)
        if fit is not None:
            show_fit(fit)
        if output is not None:
            say(f"Wrote {output}.")
        if html is not None:
            say(f"wrote {html}")
    for text in warnings(fitted):
        warn(text)


def from_counts(trace: Path, law: str | None, assume: bool) -> FittedLaw:
    """The law of counters."""
    from dsd_plan.calibrate.counts_fit import assume_independent, fit_counts
    from dsd_plan.files import load_acceptance_counts

    counts = load_acceptance_counts(trace)
    return assume_independent(counts) if assume else fit_counts(counts, law)


def of_task(rows: TokenTrace | RoundTrace, task: str) -> TokenTrace | RoundTrace:
    """The rows of one task. Raises ValueError naming the tasks there are."""
    try:
        return rows.for_task(task)
    except KeyError as missing:
        raise ValueError(missing.args[0]) from missing


def from_trace(
    rows: TokenTrace | RoundTrace,
    task: str | None,
    largest_window: int | None,
    law: Kind | None,
    extrapolate: bool,
    seed: int,
) -> AcceptanceFit:
    """Fit at the window asked for, or at the largest measured where it lies past that."""
    from dsd_plan.calibrate.acceptance_fit import fit_acceptance

    measured = measured_window(rows)
    window = min(measured, largest_window or (measured if is_rounds(rows) else DEFAULT_WINDOW))
    if largest_window is not None and largest_window > measured and not extrapolate:
        raise ValueError(past(largest_window, measured))
    asked = None if law is None else law.value
    if (rows.proposed if is_rounds(rows) else rows.match).size < LONG_TOKENS:  # type: ignore[union-attr]
        return fit_acceptance(rows, window, task=task, law=asked, seed=seed)
    with progress("Fitting laws") as move:
        return fit_acceptance(rows, window, task=task, law=asked, seed=seed, on_progress=move)


def is_rounds(rows: TokenTrace | RoundTrace) -> bool:
    """Whether the trace tells rounds rather than tokens."""
    from dsd_plan.domain.acceptance import RoundTrace

    return isinstance(rows, RoundTrace)


def measured_window(rows: TokenTrace | RoundTrace) -> int:
    """The largest window proposed; of tokens the longest that every request could have played."""
    import numpy as np

    from dsd_plan.domain.acceptance import RoundTrace

    if isinstance(rows, RoundTrace):
        return int(rows.proposed.max())
    return int(np.diff(np.append(rows.request_starts(), rows.match.size)).min())


def widened(law: FittedLaw, largest_window: int | None, extrapolate: bool) -> FittedLaw:
    """The law up to the window asked for. Raises ValueError past those measured, unless told to extrapolate."""
    from dataclasses import replace

    from dsd_plan.calibrate.counts_fit import extrapolated

    if largest_window is None or largest_window == law.largest_window:
        return law
    if largest_window < law.largest_window:
        return replace(law, largest_window=largest_window, survival=law.survival[:largest_window])
    if not extrapolate:
        raise ValueError(past(largest_window, law.measured_window))
    return extrapolated(law, largest_window)


def past(window: int, measured: int) -> str:
    """Why a window is refused."""
    return (
        f"--largest-window {window} lies past the {measured} measured; record larger windows, "
        "or say --extrapolate with a law that has few parameters"
    )


def warnings(law: FittedLaw) -> list[str]:
    """What a user must know before using the law."""
    found = []
    if not law.evidence.accepted_by_test and law.evidence.compared:
        found.append(f"the trace rejects the {law.kind} law; a scenario had better take the trace itself")
    elif not law.evidence.accepted_by_test and law.assumption is None:
        found.append(f"the data rejects the {law.kind} law")
    if law.assumption is not None:
        found.append(f"assumed: {law.assumption}")
    if law.largest_window > law.measured_window:
        found.append(f"windows {law.measured_window + 1}–{law.largest_window} are extrapolated")
    return found
