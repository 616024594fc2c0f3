"""The modes against each other on what is deployed: the chosen plan with one workload served another way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Mode, Scenario
from dsd_plan.errors import PlanError, UnstableError
from dsd_plan.optimize.choices.candidates import AnySpace, full_counts, plan_of
from dsd_plan.optimize.choices.choice import SIMPLEST_FIRST, Candidate, Choice, same_but_window
from dsd_plan.optimize.choices.evaluate import Predict, Trial


@dataclass(frozen=True, slots=True)
class Contender:
    """One mode for one workload, with every window that it may have, ascending; the others stay as chosen."""

    mode: Mode
    windows: tuple[int, ...]
    choices: tuple[Choice, ...]


def contenders(
    space: AnySpace, scenario: Scenario, chosen: Choice, bests: Mapping[Mode, Choice]
) -> dict[str, tuple[Contender, ...]]:
    """By workload, every mode it could run in on the devices of the chosen plan; pipelined where `bests` has it.

    Where a mode needs a device type that the plan does not deploy, it gets what the mode's own best plan deploys.
    """
    found: dict[str, tuple[Contender, ...]] = {}
    for position, (candidate, group) in enumerate(zip(chosen.candidates, space.by_workload, strict=True)):
        found[candidate.workload] = tuple(
            contender
            for mode in SIMPLEST_FIRST
            if mode != "edge_only"
            and (mode != "pipelined" or mode in bests)
            and (contender := _contender(scenario, chosen, position, group, mode, bests.get(mode))) is not None
        )
    return found


def _contender(
    scenario: Scenario,
    chosen: Choice,
    position: int,
    group: tuple[Candidate, ...],
    mode: Mode,
    best: Choice | None,
) -> Contender | None:
    model = _model_candidate(chosen.candidates[position], position, group, mode, best)
    if model is None:
        return None
    family = sorted((c for c in group if same_but_window(c, model)), key=lambda c: c.window or 0)
    choices, windows = [], []
    for candidate in family:
        others = (*chosen.candidates[:position], candidate, *chosen.candidates[position + 1 :])
        known = {**dict(full_counts(scenario, others)), **dict(best.counts if best else ()), **dict(chosen.counts)}
        used = {name for c in others for name in c.devices}
        counts = tuple((d.name, known[d.name]) for d in scenario.devices if d.name in used)
        choice = Choice(others, counts)
        try:
            deploy(scenario, plan_of(scenario, choice))
        except PlanError:
            continue
        choices.append(choice)
        windows.append(candidate.window or 0)
    return Contender(mode, tuple(windows), tuple(choices)) if choices else None


def _model_candidate(
    chosen: Candidate, position: int, group: tuple[Candidate, ...], mode: Mode, best: Choice | None
) -> Candidate | None:
    """The candidate of this mode to compare with: the plan's own, else the mode's best plan's, else on its target."""
    if chosen.mode == mode:
        return chosen
    if best is not None and best.candidates[position].mode == mode:
        return best.candidates[position]
    same = [c for c in group if c.mode == mode]
    return min(same, key=lambda c: c.target_device != chosen.target_device, default=None)


class Explorer:
    """Asks the model about deployments under changed conditions."""

    def __init__(self, scenario: Scenario, predict: Predict, known: Iterable[Trial] = ()) -> None:
        self.scenario = scenario
        self.predict = predict
        self.known = tuple(known)
        """What the model was asked about the scenario as it is."""
        self._deployed: dict[Choice, Deployed] = {}

    def deployed(self, choice: Choice) -> Deployed:
        """The choice, deployed; kept, because it is asked for under many conditions."""
        if choice not in self._deployed:
            self._deployed[choice] = deploy(self.scenario, plan_of(self.scenario, choice))
        return self._deployed[choice]

    def performance(self, deployed: Deployed) -> Performance | UnstableError:
        """What the model says, or its error where there is no steady state."""
        try:
            return self.predict(deployed)
        except UnstableError as error:
            return error
