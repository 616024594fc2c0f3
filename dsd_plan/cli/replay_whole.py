"""`dsd-plan replay --whole`: what a recorded run would have seen, request by request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dsd_plan.cli.terminal import say, say_json, show_table, warn
from dsd_plan.report.numbers import milliseconds, number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsd_plan.domain.plan import Plan
    from dsd_plan.domain.scenario import Scenario
    from dsd_plan.domain.whole_run import WholeRun

METRICS = ("ttft_ms", "tpot_ms", "e2e_ms")
STATISTICS = ("mean", "p50", "p95", "p99")


def refuse_others(given: dict[str, object]) -> None:
    """Options that a whole run cannot heed. Raises typer.BadParameter naming those that were given."""
    idle = [name for name, value in given.items() if value is not None]
    if idle:
        raise typer.BadParameter(f"--whole plays every recorded request once: leave out {', '.join(idle)}")


def replay_whole(scenario: Scenario, plan: Plan, seed: int, requests_out: Path | None, as_json: bool) -> None:
    """Play it, write its requests where asked, and show it."""
    from dsd_plan import planning
    from dsd_plan.files import write_table

    run = planning.whole_run(scenario, plan, seed=seed)
    names = [assignment.workload for assignment in plan.assignments]
    if requests_out is not None:
        write_table(requests_out, [_columns(run, names)])
    if as_json:
        say_json({"whole_run": summary_of(run, names)})
        return
    for name in dict.fromkeys(names):
        mine = _of(run, names, name)
        say(f"{name} ({int(mine.sum()):,} requests, all of the recording)")
        rows = []
        for metric in METRICS:
            values = statistics_of(getattr(run, metric)[mine])
            rows.append((metric.removesuffix("_ms").upper(), *(milliseconds(values[key]) for key in STATISTICS)))
        show_table(("", *STATISTICS), rows)
        say()
    known = [f"makespan {number(run.makespan_s)} s"]
    if run.running_mean is not None:
        known.append(f"{number(run.running_mean)} sessions in a step")
    if run.mean_batch is not None:
        known.append(f"{number(run.mean_batch)} jobs in an iteration")
    say(", ".join(known))
    if run.preemptions is not None:
        say(f"{run.preemptions:,} preemptions")
    for note in run.notes:
        warn(note)


def summary_of(run: WholeRun, names: list[str]) -> dict[str, Any]:
    """What --json prints."""
    workloads = []
    for name in dict.fromkeys(names):
        mine = _of(run, names, name)
        latencies = {metric: statistics_of(getattr(run, metric)[mine]) for metric in METRICS}
        workloads.append({"name": name, "requests": int(mine.sum()), **latencies})
    return {
        "workloads": workloads,
        "makespan_s": run.makespan_s,
        "running_mean": run.running_mean,
        "mean_batch": run.mean_batch,
        "preemptions": run.preemptions,
        "notes": list(run.notes),
    }


def statistics_of(values: NDArray[np.float64]) -> dict[str, float | None]:
    """Mean and quantiles of the requests that have the metric; null where none has."""
    import numpy as np

    known = values[~np.isnan(values)]
    if not known.size:
        return dict.fromkeys(STATISTICS)
    p50, p95, p99 = (float(value) for value in np.percentile(known, (50, 95, 99)))
    return {"mean": float(known.mean()), "p50": p50, "p95": p95, "p99": p99}


def _of(run: WholeRun, names: list[str], name: str) -> NDArray[np.bool_]:
    import numpy as np

    mine: NDArray[np.bool_] = np.isin(run.stream, [i for i, other in enumerate(names) if other == name])
    return mine


def _columns(run: WholeRun, names: list[str]) -> dict[str, Any]:
    import numpy as np

    return {
        "workload": np.array(names)[run.stream],
        "arrival_s": run.arrival_ms / 1000.0,
        "prompt_tokens": run.prompt_tokens,
        "output_tokens": run.output_tokens,
        "ttft_ms": run.ttft_ms,
        "tpot_ms": run.tpot_ms,
        "e2e_ms": run.e2e_ms,
    }
