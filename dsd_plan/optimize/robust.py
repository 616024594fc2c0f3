"""A plan for the bad end of what was measured, against the plan for the inputs as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.hours import at_peak, peak_of
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.domain.study import Provenance, Study
from dsd_plan.domain.study_outlook import BadEnd, Robustness
from dsd_plan.domain.summary import summary
from dsd_plan.errors import UnstableError
from dsd_plan.optimize.choices.budgets import budget_checks
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import Evaluator, Predict
from dsd_plan.optimize.choices.objective import tpot_weights
from dsd_plan.optimize.choices.side_by_side import Beside, RunAll, one_by_one
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.confirmation.backcast import backcast
from dsd_plan.optimize.confirmation.bad_end import bad_end
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.observation import Observe
from dsd_plan.optimize.confirmation.todays_load import in_todays_load
from dsd_plan.optimize.decision import decide
from dsd_plan.optimize.run import Agree, OnProgress, optimize

ObserveIn = Callable[[Scenario], Observe]
"""How plans of a scenario are replayed."""


def plain_study(
    scenario: Scenario,
    predict: Predict,
    observe: ObserveIn,
    agree: Agree,
    provenance: Provenance,
    on_progress: OnProgress | None = None,
    pareto: Sequence[Objective] = (),
    run_all: RunAll = one_by_one,
    beside: Beside | None = None,
) -> tuple[Study, Scenario]:
    """The study of the scenario as it is, and that scenario, at its peak where loads follow the hours."""
    today, asked = backcast(scenario, predict, observe(scenario)), at_peak(scenario)
    peak = peak_of(scenario)
    study = optimize(
        asked, predict, observe(asked), agree, provenance, on_progress, today, peak, pareto, run_all, beside
    )
    return replace(study, scenario=summary(scenario)), asked


def robust_study(
    scenario: Scenario,
    predict: Predict,
    observe: ObserveIn,
    agree: Agree,
    provenance: Provenance,
    on_progress: OnProgress | None = None,
    pareto: Sequence[Objective] = (),
    run_all: RunAll = one_by_one,
    beside: Beside | None = None,
) -> tuple[Study, Scenario]:
    """The study of the scenario at its bad end, and that scenario. The plan keeps every budget there, replayed.

    Where loads follow the hours, its bad end is that of the peak. Raises InfeasibleError where no plan keeps every
    budget, at the bad end or even as measured.
    """
    today, peak = backcast(scenario, predict, observe(scenario)), peak_of(scenario)
    scenario = at_peak(scenario)
    moved, ends, exact = bad_end(scenario, scenario.search.robust_load)
    plain = _plain_plan(scenario, predict, observe(scenario), on_progress)
    study = optimize(
        moved, predict, observe(moved), agree, provenance, on_progress, today, peak, pareto, run_all, beside
    )
    robustness = _robustness(scenario, moved, predict, plain, study.plan, ends, exact)
    study = replace(study, robustness=robustness, story=(robustness.sentence, *study.story))
    return in_todays_load(study, scenario.search.robust_load or 1.0), moved


def _plain_plan(scenario: Scenario, predict: Predict, observe: Observe, on_progress: OnProgress | None) -> Plan:
    def tell(text: str) -> None:
        if on_progress is not None:
            on_progress(0, 1, f"for the inputs as measured: {text}")

    confirmation = Confirmation(Evaluator(scenario, predict), observe, tell)
    return decide(confirmation, space_of(scenario), tell).chosen.judged.trial.plan


def _robustness(
    scenario: Scenario,
    moved: Scenario,
    predict: Predict,
    plain: Plan,
    robust: Plan,
    ends: tuple[BadEnd, ...],
    exact: tuple[str, ...],
) -> Robustness:
    breaks = _broken(moved, predict, plain)
    costs = [deploy(scenario, plan).cost_per_hour for plan in (plain, robust)]
    now = [_asked(scenario, predict, plan) for plan in (plain, robust)]
    times = [_tpot_ms(scenario, one) for one in now]
    energies = [one.fleet.energy_j_per_token if isinstance(one, Performance) else None for one in now]
    same = (plain.assignments, plain.deployments) == (robust.assignments, robust.deployments)
    return Robustness(
        inputs=ends,
        exact=exact,
        plain_plan=plain,
        same_plan=same,
        plain_breaks=breaks,
        plain_cost_per_hour=costs[0],
        robust_cost_per_hour=costs[1],
        plain_tpot_ms=times[0],
        robust_tpot_ms=times[1],
        plain_energy_j_per_token=energies[0],
        robust_energy_j_per_token=energies[1],
        sentence=_sentence(ends, same, breaks, costs[1] - costs[0], times),
    )


def _asked(scenario: Scenario, predict: Predict, plan: Plan) -> Performance | UnstableError:
    try:
        return predict(deploy(scenario, plan))
    except UnstableError as error:
        return error


def _broken(scenario: Scenario, predict: Predict, plan: Plan) -> tuple[str, ...]:
    found = _asked(scenario, predict, plan)
    if isinstance(found, UnstableError):
        return (f"{found.device}: saturated",)
    return tuple(f"{check.scope}: {check.budget}" for check in budget_checks(scenario, found, None) if not check.kept)


def _tpot_ms(scenario: Scenario, found: Performance | UnstableError) -> float | None:
    if isinstance(found, UnstableError):
        return None
    weights = tpot_weights(scenario)
    total = sum(weights.values())
    known = [(weights[w.name], w.tpot_ms.mean) for w in found.workloads]
    if total <= 0.0 or any(ms is None for weight, ms in known if weight > 0.0):
        return None
    return sum(weight * (ms or 0.0) for weight, ms in known) / total


def _sentence(
    ends: tuple[BadEnd, ...], same: bool, breaks: tuple[str, ...], more: float, times: list[float | None]
) -> str:
    if not ends:
        return "No input has a measured interval, and no robust_load is given: the robust plan is the plain one"
    if same:
        return "The plan for the inputs as measured keeps every budget at their bad end, too: robustness costs nothing"
    price = f"costs {number(abs(more))} an hour {'more' if more > 0 else 'less'}" if abs(more) > 1e-9 else ""
    if not price:
        before, after = times
        change = "" if before is None or after is None else f", mean TPOT {number(after)} ms for {number(before)} ms"
        price = f"costs the same{change}"
    why = f"which breaks {', '.join(breaks[:3])} at the bad end" if breaks else "which is less good at the bad end"
    return f"Robustness {price}, against the plan for the inputs as measured, {why}"
