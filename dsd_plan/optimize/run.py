"""From a scenario, a model and a way to observe plans, to a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dsd_plan.domain.hours import peaks_apart
from dsd_plan.domain.ngrams import with_ngrams
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Objective, Scenario
from dsd_plan.domain.study import Agreement, Provenance, Study
from dsd_plan.domain.study_decision import Backcast
from dsd_plan.optimize.abridged import abridged
from dsd_plan.optimize.choices.candidates import AnySpace, Space, WideSpace, searched_modes, space_of, tried_ahead
from dsd_plan.optimize.choices.evaluate import Evaluator, Predict
from dsd_plan.optimize.choices.side_by_side import Beside, RunAll, one_by_one
from dsd_plan.optimize.confirmation.backcast import backcast
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.observation import Observe
from dsd_plan.optimize.decision import decide
from dsd_plan.optimize.search.split import splittable
from dsd_plan.optimize.study import OUTLOOK, study_of

OnProgress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what is going on or was found."""

Agree = Callable[[Performance, Performance], Sequence[Agreement]]

STAGES_AFTER_MODES = 4
"""Runners-up, verdict, what lies around the decision, and the end."""
STEPS_AROUND = 10
"""What lies around the decision takes as long as many modes: its parts move on by these steps."""


def optimize(
    scenario: Scenario,
    predict: Predict,
    observe: Observe,
    agree: Agree,
    provenance: Provenance,
    on_progress: OnProgress | None = None,
    today: Backcast | None = None,
    peak: float = 1.0,
    pareto: Sequence[Objective] = (),
    run_all: RunAll = one_by_one,
    beside: Beside | None = None,
) -> Study:
    """The best plan of `scenario` with everything that speaks for and against it.

    `predict` is the model; `observe` replays a plan; `agree` compares what the two say of the chosen plan.
    Where loads follow the hours, `scenario` is that of the peak (`domain.hours.at_peak`), `peak` times what the user
    wrote, and `today` the present system under that. A front of the
    axes in `pareto` is searched for. `run_all` works out what lies around the decision, and what is asked for `beside`.
    Raises InfeasibleError where no plan keeps every budget under the model and in the replay.
    """
    scenario = with_ngrams(scenario)
    space = space_of(scenario)
    progress = _Progress(scenario, on_progress, may_split=isinstance(space, Space) and splittable(space))
    story = [*space.notes, _size(space, scenario)]

    def tell(line: str) -> None:
        story.append(line)
        progress.found(line)

    if peaks_apart(scenario):
        tell("peaks fall into different hours: planned for all of them at once, which is more than any hour asks")
    present = today or backcast(scenario, predict, observe)
    if present is not None:
        tell(present.sentence)
    confirmation = Confirmation(Evaluator(scenario, predict, run_all=run_all), observe, tell, present)
    decision = decide(confirmation, space, progress.stage, peak)
    chosen = decision.chosen
    study = study_of(
        confirmation,
        decision.space,
        decision,
        agreements=agree(chosen.predicted, chosen.observed.pooled),
        story=story,
        provenance=provenance,
        stage=progress.stage,
        pareto=pareto,
        run_all=run_all,
        ended=progress.part,
        beside=beside,
    )
    progress.end()
    return abridged(study)


def _size(space: AnySpace, scenario: Scenario) -> str:
    if isinstance(space, WideSpace):
        return f"{len(scenario.workloads)} workloads: ways to serve them are not listed, and prices guide the search"
    ways = ", ".join(
        f"{len(group)} for {workload.name}"
        for workload, group in zip(scenario.workloads, space.by_workload, strict=True)
    )
    return f"ways to serve each workload, replicas aside: {ways}"


class _Progress:
    """Steps are the stages of the search, and parts of its last; what is found in between moves nothing."""

    def __init__(self, scenario: Scenario, on_progress: OnProgress | None, *, may_split: bool) -> None:
        modes = len(searched_modes(scenario)) + tried_ahead(scenario)
        self._total = modes + may_split + (len(scenario.workloads) > 1) + STAGES_AFTER_MODES + STEPS_AROUND
        self._done = 0
        self._on_progress = on_progress

    def stage(self, text: str) -> None:
        self._say(text)
        self._done += 1

    def found(self, text: str) -> None:
        self._say(text)

    def part(self, done: int, total: int) -> None:
        self._say(f"{OUTLOOK}: {done} of {total}", STEPS_AROUND * done // total)

    def end(self) -> None:
        self._done = self._total
        self._say("done")

    def _say(self, text: str, more: int = 0) -> None:
        if self._on_progress is not None:
            self._on_progress(self._done + more, self._total, text)
