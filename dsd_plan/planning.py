"""The public API: scenario in, answers out. Everything here is deterministic for a seed.

from dsd_plan import load_scenario, optimize
study = optimize(load_scenario("metro.toml"), seed=1)
print(study.verdict.sentence)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dsd_plan import __version__
from dsd_plan.crosscheck import Crosscheck, agreements
from dsd_plan.domain.admission import check_predictable, check_scenario, deployed_in, lasting_in
from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.hours import at_peak, peak_notes
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import InputHash, Provenance, Study
from dsd_plan.errors import InputError
from dsd_plan.files import check_table_path, load_plan, load_scenario, table_parts, write_table
from dsd_plan.optimize.choices.side_by_side import Beside, RunAll, one_by_one
from dsd_plan.optimize.confirmation.observation import Observation, Observe
from dsd_plan.optimize.run import OnProgress

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from dsd_plan.domain.capacity import Capacity
    from dsd_plan.domain.excerpt import Excerpt
    from dsd_plan.domain.study_decision import Backcast
    from dsd_plan.domain.whole_run import WholeRun
    from dsd_plan.replay.collecting import Chunk

__all__ = ["capacity", "crosscheck", "load_plan", "load_scenario", "optimize", "predict", "replay"]

REPLICATIONS = 8


def predict(scenario: Scenario, plan: Plan) -> Performance:
    """What the analytic model says of a plan: latency in ms, rates a second, energy in J a token, cost an hour.

    Each workload's `ci` holds about 95 %: the inputs' measured errors, and the model's own, known for its regime; with
    `[present]` also the error with which the system of today is reproduced.
    Raises ScenarioError or PlanError listing everything that does not fit, UnstableError naming the device that the
    offered work saturates.
    """
    from dsd_plan.model import predict as predicted
    from dsd_plan.model import with_intervals
    from dsd_plan.optimize.confirmation.backcast import widened

    deployed = deployed_in(scenario, plan)
    check_predictable(scenario, plan)
    found = widened(with_intervals(deployed, predicted(deployed), predicted), backcast(scenario))
    return replace(found, notes=(*found.notes, *peak_notes(scenario)))


def backcast(scenario: Scenario) -> Backcast | None:
    """What the model says of the system as it is today, beside what was measured of it; None without `[present]`.

    Raises ScenarioError, and PlanError where the model cannot predict that plan.
    """
    from dsd_plan.model import predict as predicted
    from dsd_plan.optimize.confirmation.backcast import backcast as laid_beside

    if scenario.present is None:
        return None
    check_scenario(scenario)
    check_predictable(scenario, scenario.present.plan)
    return laid_beside(scenario, predicted)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a replay: what the replications say that had ended, and their tables are written."""

    def __init__(self, performance: Performance) -> None:
        super().__init__("interrupted")
        self.performance = performance


def replay(
    scenario: Scenario,
    plan: Plan,
    *,
    seed: int = 0,
    requests: int | None = None,
    replications: int = REPLICATIONS,
    requests_out: str | Path | None = None,
    rounds_out: str | Path | None = None,
    series_out: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> Performance:
    """Replay a plan event by event; same seed, same result. Intervals need two replications or more.

    `requests` in one replication, in total: 4,000 if not given, or as many as play recorded streams to their end.
    `requests_out`, `rounds_out` and `series_out` name tables to write (Parquet, CSV or JSONL by their endings): a row a
    request, a round, a stretch of time. They are written while the replay runs, so memory follows the sessions that are
    live at once. `on_progress(done, total, text)` is called every now and then, in requests.
    A run that is saturated or does not settle has `steady` false and no latencies. Raises ScenarioError, PlanError,
    InputError where a table cannot be written, Interrupted where Ctrl-C came when a replication had ended.
    """
    from dsd_plan.replay.listing import request_columns, round_columns
    from dsd_plan.replay.recordings import requests_for
    from dsd_plan.replay.run import replayed
    from dsd_plan.replay.threads import Threads

    deployed = lasting_in(scenario, plan)
    many = requests_for(deployed) if requests is None else requests
    threads = Threads(many, on_progress)
    if series_out is not None:
        check_table_path(series_out)
    with ExitStack() as stack:
        of_requests = None if requests_out is None else stack.enter_context(table_parts(requests_out))
        of_rounds = None if rounds_out is None else stack.enter_context(table_parts(rounds_out))

        def keep(replication: int, chunk: Chunk) -> None:
            if of_requests is not None:
                of_requests.add(replication, request_columns(deployed, replication, chunk))
            if of_rounds is not None:
                of_rounds.add(replication, round_columns(replication, chunk))

        found = replayed(
            deployed,
            seed=seed,
            requests=many,
            replications=replications,
            run_all=threads.run_all,
            watch=threads.watch,
            on_chunk=None if of_requests is None and of_rounds is None else keep,
            keep_rounds=of_rounds is not None,
            keep_bills=of_requests is not None,
        )
        if found.measured:
            if of_requests is not None:
                of_requests.finish(found.measured)
            if of_rounds is not None:
                of_rounds.finish(found.measured)
            if series_out is not None:
                write_table(series_out, found.series)
    asked = [str(path) for path in (requests_out, rounds_out, series_out) if path is not None]
    performance = found.pooled
    if asked and not found.measured:
        performance = replace(
            performance, notes=(*performance.notes, f"nothing was replayed: {', '.join(asked)} not written")
        )
    if threads.interrupted:
        raise Interrupted(performance)
    return performance


def timeline(
    scenario: Scenario,
    plan: Plan,
    *,
    seed: int = 0,
    requests: int | None = None,
    sessions: int = 40,
    seconds: float | None = None,
) -> tuple[dict[str, Any], ...]:
    """A stretch of a replay as trace events for Perfetto: iterations, draft jobs, messages, queues, live sessions.

    It begins behind the warm-up of the first replication that `replay` makes, and lasts until the first `sessions`
    that begin in it have ended, or `seconds`. Times are µs. Raises ScenarioError, PlanError, ValueError.
    """
    from dsd_plan.replay.recordings import requests_for
    from dsd_plan.replay.timeline import timeline as drawn

    deployed = lasting_in(scenario, plan)
    many = requests_for(deployed) if requests is None else requests
    return drawn(deployed, seed=seed, requests=many, sessions=sessions, seconds=seconds)


def whole_run(scenario: Scenario, plan: Plan, *, seed: int = 0, charged: bool = False) -> WholeRun:
    """Every request of recorded workloads, from the first arrival to the last token, also where they overload a device.

    `charged`: with each request's share of energy and cost. Raises ScenarioError, and PlanError where a workload is no
    recording.
    """
    from dsd_plan.replay.whole_run import whole_run as played

    return played(deployed_in(scenario, plan), seed=seed, charged=charged)


def crosscheck(
    scenario: Scenario,
    plan: Plan,
    *,
    seed: int = 0,
    requests: int | None = None,
    replications: int = REPLICATIONS,
    tolerance: float | None = None,
) -> Crosscheck:
    """Predict and replay a plan, and judge every metric: agrees, disagrees, or undecided.

    Where fewer `requests` are asked for than recordings hold, the model is asked about the part that is replayed.
    The model knows no faults: the scenario's are left out of the replay too, which its notes say.
    `tolerance`: one relative error for all metrics, instead of 5 % for means and 10 % for p95 and p99.
    Raises ScenarioError, PlanError, UnstableError.
    """
    from dsd_plan.model import predict as predict_deployed
    from dsd_plan.model import with_intervals

    deployed = deployed_in(scenario, plan)
    check_predictable(scenario, plan)
    part, share = _played_part(deployed, requests)
    predicted = with_intervals(part, predict_deployed(part), predict_deployed)
    if share < 1.0:
        note = f"predicted for the first {share:.0%} of the shortest recording, which is what was replayed"
        predicted = replace(predicted, notes=(*predicted.notes, note))
    replayed = _replayed(deployed, seed, requests, replications).pooled
    return Crosscheck(predicted, replayed, agreements(predicted, replayed, tolerance))


def capacity(
    scenario: Scenario,
    plan: Plan,
    *,
    growth: str | None = None,
    start: date | None = None,
    until: str | None = None,
    confirm: bool = False,
    seed: int = 0,
    requests: int | None = None,
    replications: int = REPLICATIONS,
    on_progress: OnProgress | None = None,
) -> Capacity:
    """The load at which each budget breaks by the model, why, and what one more or one less of each device changes.

    `growth` ("5%/month", from `start` until the ISO date `until`) adds dates; `confirm` replays the plan a tenth below
    and a tenth above the first breaking load, without the scenario's faults. Where loads follow the hours of the day
    today's load is that of the busiest one. Raises ScenarioError, PlanError, and
    InputError for the growth.
    """
    from dsd_plan.capacity.confirm import confirmed
    from dsd_plan.capacity.growth import growing
    from dsd_plan.capacity.run import capacity_of
    from dsd_plan.model import predict as predict_deployed

    asked = None
    if growth is not None or until is not None or start is not None:
        if growth is None or until is None or start is None:
            raise InputError("--growth", "growth needs a rate, a first and a last day; give --growth and --until")
        asked = growing(growth, start, until)
    scenario = at_peak(scenario)
    deployed = deployed_in(scenario, plan)
    check_predictable(scenario, plan)
    found = capacity_of(scenario, plan, predict_deployed, asked, on_progress)
    if not confirm:
        return found

    def observe(changed: Deployed) -> Performance:
        return _replayed(changed, seed, requests, replications, on_progress).pooled

    notes = (*found.notes, *_left_out(deployed))
    return replace(found, replayed=confirmed(found, deployed, observe), notes=notes)


def optimize(
    scenario: Scenario,
    *,
    seed: int = 0,
    requests: int | None = None,
    replications: int = REPLICATIONS,
    on_progress: OnProgress | None = None,
    command: str = "",
    machine: Mapping[str, str] | None = None,
    created_at: str | None = None,
    robust: bool = False,
    pareto: Sequence[str] = (),
    run_all: RunAll = one_by_one,
    on_answer: Callable[[str], None] = lambda sentence: None,
) -> Study:
    """Choose mode, draft, window and replicas for every workload; replay the winner before believing it.

    The model knows no faults: the scenario's are left out of the replay too, which its notes say.

    `robust`: for the bad end of the inputs' measured intervals, and the scenario's `search.robust_load`; the study's
    `robustness` tells what each was set to and what that costs. `pareto`: a front of two or three of cost, energy, tpot
    and devices is searched for too.
    `on_progress(done, total, text)` is called as the search goes. `command`, `machine` and `created_at` go into the
    study's provenance as they are: nothing here looks at clock or machine, so that a seed gives the same bytes.
    `run_all(tasks, ended)` works out the parts of the study that do not wait for each other: one after the other,
    unless the caller has processes for them. `on_answer` is told the verdict before that, without what it hangs on.
    Raises ScenarioError, and InfeasibleError where no plan keeps every budget.
    """
    from dsd_plan.capacity.as_replayed import as_replayed
    from dsd_plan.capacity.of_study import capacity_or_why, todays, with_found
    from dsd_plan.model import predict as predict_deployed
    from dsd_plan.model import with_intervals
    from dsd_plan.optimize.confirmation.backcast import widened
    from dsd_plan.optimize.confirmation.closer import Replays
    from dsd_plan.optimize.pareto import front_axes
    from dsd_plan.optimize.robust import plain_study, robust_study

    axes = front_axes(pareto)
    check_scenario(scenario)
    check_predictable(scenario, None if scenario.present is None else scenario.present.plan)

    def observe_in(within: Scenario) -> Observe:
        return Replays(within, lambda deployed, n: _replayed(deployed, seed, n, replications), requests, replications)

    provenance = Provenance(
        version=__version__,
        command=command,
        seed=seed,
        inputs=tuple(InputHash(path=file.path, sha256=file.sha256) for file in scenario.inputs),
        machine=dict(machine or {}),
        created_at=created_at,
    )
    optimized = robust_study if robust else plain_study
    today = todays(scenario, robust=robust)
    growing = Beside(
        lambda plan, expected, seen: capacity_or_why(plan, today, as_replayed(predict_deployed, expected, seen)),
        answered=on_answer,
    )
    study, asked = optimized(
        scenario, predict_deployed, observe_in, agreements, provenance, on_progress, axes, run_all, growing
    )
    predicted = with_intervals(deploy(asked, study.plan), study.predicted, predict_deployed)
    predicted = widened(predicted, study.backcast)
    study = replace(study, predicted=predicted, timeline=_excerpts(asked, study, seed, requests))
    return with_found(study, growing.found[0])


def _excerpts(scenario: Scenario, study: Study, seed: int, requests: int | None) -> tuple[Excerpt, ...]:
    """Of the chosen plan's replay, where that settled."""
    if not study.replayed.steady:
        return ()
    from dsd_plan.replay.excerpt import excerpts
    from dsd_plan.replay.recordings import requests_for

    deployed = _undisturbed(deploy(scenario, study.plan))
    return excerpts(deployed, seed=seed, requests=requests_for(deployed) if requests is None else requests)


def _replayed(
    deployed: Deployed, seed: int, requests: int | None, replications: int, on_progress: OnProgress | None = None
) -> Observation:
    """All replications together, in parallel threads, and each alone: plans are compared on the same luck.

    Without the scenario's faults: this is set beside what the model says, which knows none.
    """
    from dsd_plan.replay.recordings import requests_for
    from dsd_plan.replay.run import replayed
    from dsd_plan.replay.threads import Threads

    many = requests_for(deployed) if requests is None else requests
    threads = Threads(many, on_progress)
    found = replayed(
        _undisturbed(deployed),
        seed=seed,
        requests=many,
        replications=replications,
        run_all=threads.run_all,
        watch=threads.watch,
        keep_series=False,
    )
    if threads.interrupted:
        raise KeyboardInterrupt
    pooled = replace(found.pooled, notes=(*found.pooled.notes, *_left_out(deployed)))
    return Observation(pooled, found.each, found.energy_parts, found.attribution, found.prices)


def _undisturbed(deployed: Deployed) -> Deployed:
    return replace(deployed, scenario=replace(deployed.scenario, faults=()))


def _left_out(deployed: Deployed) -> tuple[str, ...]:
    """What is said where `_undisturbed` left something out."""
    if not deployed.scenario.faults:
        return ()
    return ("replayed without the scenario's faults, as the model predicts; `dsd-plan replay` plays them",)


def _played_part(deployed: Deployed, requests: int | None) -> tuple[Deployed, float]:
    from dsd_plan.replay.recordings import played_part, requests_for

    return played_part(deployed, requests_for(deployed) if requests is None else requests)
