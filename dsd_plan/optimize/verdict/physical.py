"""What a budget cannot be brought below: a workload alone on everything there is, and what forces that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.network import mean_delay_ms
from dsd_plan.domain.performance import WorkloadPerformance
from dsd_plan.optimize.choices.budgets import Limit
from dsd_plan.optimize.choices.candidates import AnySpace, Space, full_counts
from dsd_plan.optimize.choices.choice import Choice
from dsd_plan.optimize.choices.evaluate import PLAIN, Evaluator, Lens, Trial
from dsd_plan.optimize.choices.objective import Judge, spelling
from dsd_plan.optimize.choices.variation import stream_of, with_load
from dsd_plan.optimize.choices.words import number
from dsd_plan.optimize.search.search import search

ALONE = 1e-6
"""Share of today's load at which requests hardly ever meet."""
MOST_TRIED = 80
"""Ways to serve a workload that are looked at."""
LOADS = (0.8, 0.6, 0.4, 0.2, 0.1)
"""Shares that are tried in turn."""
REFINEMENTS = 3
STEPS_DOWN = (1.0, 0.95, 0.9, 0.8, 0.65, 0.5)
"""Shares of the load that the model bears, at which its plan is replayed in turn."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that any device can do for a budget, with nothing else to serve."""

    value: float
    words: str


def floor_of(evaluator: Evaluator, space: AnySpace, limit: Limit) -> Floor | None:
    """Of a workload's latency budget; None where it is no such, or where nothing could be predicted."""
    if not isinstance(space, Space) or not limit.of_workload or limit.at_least:
        return None
    alone = Evaluator(evaluator.scenario, lambda deployed: evaluator.predict(with_load(deployed, ALONE)))
    group = next(group for group in space.by_workload if group and group[0].workload == limit.scope)
    least: tuple[float, Trial] | None = None
    for candidate in group[:: max(1, len(group) // MOST_TRIED)]:
        trial = alone.trial(Choice((candidate,), full_counts(evaluator.scenario, (candidate,))))
        value = trial.reading.get((limit.scope, limit.quantity))
        if value is not None and (least is None or value < least[0]):
            least = value, trial
    if least is None or least[1].performance is None:
        return None
    return Floor(least[0], _why(limit, least[0], least[1], evaluator))


def _why(limit: Limit, value: float, trial: Trial, evaluator: Evaluator) -> str:
    assert trial.performance is not None
    seen = trial.performance.workload(limit.scope)
    metric = limit.quantity.split("_")[0]
    parts = ""
    if metric == "ttft":
        parts = _first_token(deploy(evaluator.scenario, trial.plan), seen)
    elif metric in ("tpot", "itl"):
        parts = _round(seen)
    elif seen.tpot_ms.mean is not None:
        parts = f": {number(seen.ttft_ms.mean)} ms to the first token, {number(seen.tpot_ms.mean)} ms for each further"
    return (
        f"no device that is there brings it below {number(value)}, not even with a single request to serve "
        f"({spelling(trial.choice, evaluator.scenario)}{parts})"
    )


def _first_token(deployed: Deployed, seen: WorkloadPerformance) -> str:
    stream = stream_of(deployed, seen.name)
    network_ms = mean_delay_ms(stream.up, stream.messages.prompt_up)
    network_ms += mean_delay_ms(stream.down, stream.messages.first_down)
    rest_ms = max((seen.ttft_ms.mean or 0.0) - network_ms, 0.0)
    return f": {number(network_ms)} ms of the mean is the network, {number(rest_ms)} ms the prompt"


def _round(seen: WorkloadPerformance) -> str:
    parts, tokens = seen.round_parts, seen.tokens_per_round
    if tokens is None or parts is None:
        return ": a token is a step of the target"
    names = ("draft", "uplink", "wait", "verify", "downlink")
    drafting, up_ms, wait_ms, verify_ms, down_ms = (getattr(parts, f"{name}_ms") for name in names)
    return (
        f": a round of {number(tokens)} tokens drafts {number(drafting)} ms, travels {number(up_ms + down_ms)} ms and "
        f"is verified in {number(wait_ms + verify_ms)} ms"
    )


@dataclass(frozen=True, slots=True)
class BearableLoad:
    """A share of today's load at which some plan keeps every budget, in as many digits as are told."""

    share: float
    replayed: bool
    """Whether that plan was replayed there; the model's word alone otherwise."""


def bearable_load(
    evaluator: Evaluator,
    space: AnySpace,
    lens: Lens,
    most: float = 1.0,
    bears: Callable[[Choice, float], bool] | None = None,
) -> BearableLoad | None:
    """The largest share of today's load tried, below `most`, at which a plan keeps every budget; None: at none.

    `bears`: whether the replay of a plan under a share of the load keeps every budget. The model is then asked as it
    is, for what replays of too much load taught does not hold for less, and less is tried until a replay agrees.
    """
    if not isinstance(space, Space):
        return None

    def best(load: float, seen: Lens) -> Choice | None:
        at = Evaluator(evaluator.scenario, lambda deployed: evaluator.predict(with_load(deployed, load)))
        found = search(Judge(at, seen), space).best
        return None if found is None else found.choice

    if bears is not None:
        load = _most_borne(lambda load: best(load, PLAIN) is not None, most)
        for share in STEPS_DOWN if load is not None else ():
            assert load is not None
            told = rounded_down(load * share)
            choice = best(told, PLAIN) if told > 0.0 else None
            if choice is not None and bears(choice, told):
                return BearableLoad(told, True)
    corrected = replace(lens, observed={})
    load = _most_borne(lambda load: best(load, corrected) is not None, most)
    if load is None or best(told := rounded_down(load), corrected) is None:
        return None
    return BearableLoad(told, False)


def rounded_down(load: float) -> float:
    """A load to two digits that are no more than it."""
    written = Decimal(repr(float(load)))
    return float(written.quantize(Decimal(1).scaleb(written.adjusted() - 1), rounding=ROUND_FLOOR))


def _most_borne(bears: Callable[[float], bool], most: float) -> float | None:
    above = most
    for load in (most * share for share in LOADS):
        if bears(load):
            for _ in range(REFINEMENTS):
                middle = (load + above) / 2.0
                load, above = (middle, above) if bears(middle) else (load, middle)
            return load
        above = load
    return None
