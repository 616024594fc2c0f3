"""`dsd-plan replay --whole`: what a recorded run would have seen, request by request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dsd_plan.cli.performance_table import METRICS, show_latency
from dsd_plan.cli.terminal import say, say_json, warn
from dsd_plan.report.numbers import number, share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dsd_plan.domain.plan import Plan
    from dsd_plan.domain.scenario import Scenario
    from dsd_plan.domain.whole_run import WholeRun

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

    run = planning.whole_run(scenario, plan, seed=seed, charged=requests_out is not None)
    names = [assignment.workload for assignment in plan.assignments]
    budgets = {workload.name: workload.budgets for workload in scenario.workloads}
    if requests_out is not None:
        write_table(requests_out, [{name: run.columns[name] for name in run.columns if name != "replication"}])
    if as_json:
        say_json({"whole_run": summary_of(run, names)})
        return
    for name in dict.fromkeys(names):
        mine = _of(run, names, name)
        say(f"{name} ({int(mine.sum()):,} requests, all of the recording)")
        show_latency({metric: statistics_of(values) for metric, values in _latency(run, mine).items()}, budgets[name])
        good = int(run.met_budgets[mine].sum())
        say(f"{share(good / mine.sum())} within budget, {number(_rate_per_s(good, run))} good requests/s")
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
        latency = {f"{metric}_ms": statistics_of(values) for metric, values in _latency(run, mine).items()}
        good, count = int(run.met_budgets[mine].sum()), int(mine.sum())
        kept = {"slo_attainment": good / count, "goodput_per_s": _rate_per_s(good, run)}
        workloads.append({"name": name, "requests": count, **latency, **kept})
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


def _rate_per_s(count: int, run: WholeRun) -> float | None:
    return count / run.makespan_s if run.makespan_s > 0.0 else None


def _latency(run: WholeRun, mine: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """By metric: of these requests, and of their gaps."""
    import numpy as np

    of_requests = {metric: getattr(run, f"{metric}_ms")[mine] for _, metric in METRICS if metric != "itl"}
    whose = np.unique(run.stream[mine])
    return {**of_requests, "itl": run.gap_ms[np.isin(run.gap_stream, whose)]}


def _of(run: WholeRun, names: list[str], name: str) -> NDArray[np.bool_]:
    import numpy as np

    mine: NDArray[np.bool_] = np.isin(run.stream, [i for i, other in enumerate(names) if other == name])
    return mine
