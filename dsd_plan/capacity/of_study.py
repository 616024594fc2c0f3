"""How much more the plan of a study can carry, kept in the study where the model tells it quickly."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.capacity.run import OnProgress, capacity_of
from dsd_plan.domain.capacity import Capacity
from dsd_plan.domain.hours import at_peak
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.study import Study
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.evaluate import Predict
from dsd_plan.optimize.confirmation.bad_end import bad_end

FEWEST_LEFT_OUT = 12
"""Workloads from which on a study is left without: every one is grown alone."""


def with_capacity(study: Study, scenario: Scenario, predict: Predict, on_progress: OnProgress | None = None) -> Study:
    """`study` with the capacity of its plan, by the analytic model; where it is left out, a line of the story says why.

    `scenario` has today's loads, also where the plan was chosen for more.
    """
    return with_found(study, capacity_or_why(study.plan, scenario, predict, on_progress))


def capacity_or_why(
    plan: Plan, scenario: Scenario, predict: Predict, on_progress: OnProgress | None = None
) -> Capacity | str:
    """The plan's capacity, or why a study is left without."""
    reason = _left_out(scenario)
    if reason is not None:
        return reason
    try:
        return capacity_of(scenario, plan, predict, None, _told(on_progress))
    except (PlanError, UnstableError) as error:
        return f"the model cannot grow this plan's load ({error})"


def with_found(study: Study, found: Capacity | str) -> Study:
    """`study` with what `capacity_or_why` found."""
    if isinstance(found, Capacity):
        return replace(study, capacity=found)
    line = f"how much more load the plan carries was left out: {found}; `dsd-plan capacity` tells it"
    return replace(study, story=(*study.story, line))


def todays(scenario: Scenario, *, robust: bool) -> Scenario:
    """The scenario at its peak hour; with `robust` at the bad end of its inputs, its loads as they are today."""
    peak = at_peak(scenario)
    return bad_end(peak, None)[0] if robust else peak


def _left_out(scenario: Scenario) -> str | None:
    many = len(scenario.workloads)
    if many >= FEWEST_LEFT_OUT:
        return f"growing each of {many:,} workloads alone takes long"
    return None


def _told(on_progress: OnProgress | None) -> OnProgress | None:
    if on_progress is None:
        return None

    def told(done: int, total: int, text: str) -> None:
        on_progress(done, total, f"how much more load the plan carries: {text}")

    return told
