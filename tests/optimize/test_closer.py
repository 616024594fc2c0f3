"""Where budgets hang in the balance their targets are replayed for longer, and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.performance import Performance, Quantiles, WorkloadPerformance
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.workload import Budgets
from dsd_plan.model import predict
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.confirmation.closer import Replays
from dsd_plan.optimize.confirmation.confirm import Confirmation
from dsd_plan.optimize.confirmation.observation import Observation
from dsd_plan.optimize.search.search import search
from tests.optimize.wide.fleets import fleet

RUNS = 8


class Noisy:
    """Replays of the model's own numbers with noise a target and run, less of it the longer they are."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int | None]] = []

    def __call__(self, deployed: Deployed, requests: int | None) -> Observation:
        self.asked.append((len(deployed.streams), requests))
        noise = 0.2 if requests is None else 0.01
        rng = np.random.default_rng(len(self.asked))
        each = {pool.device.name: rng.normal(0.0, noise, RUNS) for pool in deployed.targets}
        where = {s.workload.name: deployed.targets[s.target].device.name for s in deployed.streams}
        told = predict(deployed)
        runs = [_times(told, {name: np.exp(each[gpu][r]) for name, gpu in where.items()}) for r in range(RUNS)]
        pooled = _times(told, {name: np.exp(each[gpu].mean()) for name, gpu in where.items()})
        return Observation(pooled, tuple(runs))


def _times(told: Performance, factors: dict[str, float]) -> Performance:
    def slower(found: Quantiles, factor: float) -> Quantiles:
        return replace(found, mean=(found.mean or 0.0) * factor, p95=(found.p95 or 0.0) * factor)

    def of(workload: WorkloadPerformance) -> WorkloadPerformance:
        return replace(workload, requests=300, tpot_ms=slower(workload.tpot_ms, factors[workload.name]))

    return replace(told, workloads=tuple(of(workload) for workload in told.workloads))


def looked(share: float) -> tuple[Confirmation, str, Noisy, list[str]]:
    """A plan that uses up `share` of one workload's budget, and little of all others', replayed; that workload.

    It is on the target that serves the fewest.
    """
    given = fleet(24, 6, seed=1, rate_per_s=3.0, windows=(2, 4), modes=("target_only",))
    best = search(Judge(Evaluator(given, predict)), space_of(given)).best
    assert best is not None
    told = predict(deploy(given, best.trial.plan))
    served = Counter(candidate.target_device for candidate in best.choice.candidates)
    tight = next(c.workload for c in best.choice.candidates if served[c.target_device] == min(served.values()))
    given = _with_budgets(given, told, {tight: share})
    replay, story = Noisy(), list[str]()
    confirmation = Confirmation(Evaluator(given, predict), Replays(given, replay, None, RUNS), story.append)
    confirmation._accepts("plain", best.choice)
    return confirmation, tight, replay, story


def _with_budgets(given: Scenario, told: Performance, shares: dict[str, float]) -> Scenario:
    workloads = []
    for workload in given.workloads:
        p95 = told.workload(workload.name).tpot_ms.p95
        assert p95 is not None
        workloads.append(replace(workload, budgets=Budgets(tpot_p95_ms=p95 / shares.get(workload.name, 0.2))))
    return replace(given, workloads=tuple(workloads))


def test_only_the_part_with_the_open_budget_is_replayed_again_and_decides_it() -> None:
    confirmation, tight, replay, story = looked(share=0.93)
    (whole, usual), (part, longer) = replay.asked
    assert (whole, usual) == (24, None)
    assert part < 12
    assert longer is not None
    # Within as many requests as the replay itself: 24 workloads with 300 requests in 8 replications.
    assert longer <= 1.1 * 24 * 300 / RUNS + 1
    assert "23 of 24 budgets surely kept, 1 undecided; 1 device type replayed for longer: 24 of 24" in story[0]
    (choice,) = confirmation.observed
    assert not confirmation.confirmed(choice).together[tight, "tpot_p95_ms"].undecided
    assert confirmation.judge(choice).kept
    assert len(replay.asked) == 2


def test_what_surely_is_kept_is_not_looked_at_again() -> None:
    _, _, replay, story = looked(share=0.2)
    assert len(replay.asked) == 1
    assert "kept" in story[0]


def test_what_surely_is_broken_is_not_looked_at_again() -> None:
    confirmation, _, replay, _ = looked(share=4.0)
    (choice,) = confirmation.observed
    assert len(replay.asked) == 1
    assert not confirmation.judge(choice).kept
