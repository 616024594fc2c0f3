"""How long choosing takes, against trying everything and against one replay of the winner."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any

from dsd_plan import planning
from dsd_plan.domain.deployed import deploy
from dsd_plan.files import load_scenario
from dsd_plan.model import predict
from dsd_plan.optimize.candidates import space_of
from dsd_plan.optimize.evaluate import Evaluator
from dsd_plan.optimize.objective import Judge
from dsd_plan.optimize.search import search
from tests.benchmarks.row import Row
from tests.optimize.brute_force import best_plan
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = perf_counter()
    result = work()
    return perf_counter() - start, result


def run() -> list[Row]:
    """A small scenario against brute force, the 24 devices of the example against its winner's replay."""
    small = scenario(devices=(edge_box(count=6), gpu(count=4)), workloads=(chat(rate_per_s=20.0, tpot_p95_ms=60.0),))
    predict(deploy(small, _some_plan(small)))  # compiles what is compiled
    brute_s, _ = seconds(lambda: best_plan(small, predict))
    small_s, _ = seconds(lambda: search(Judge(Evaluator(small, predict)), space_of(small)))
    metro = load_scenario(Path(str(files("dsd_plan"))) / "examples" / "metro-edge" / "scenario.toml")
    metro_s, found = seconds(lambda: search(Judge(Evaluator(metro, predict)), space_of(metro)))
    planning.replay(metro, found.best.trial.plan, requests=100, replications=1)
    replay_s, _ = seconds(lambda: planning.replay(metro, found.best.trial.plan))
    return [
        Row("search: 1 workload, 10 devices", small_s, "every plan predicted", brute_s),
        Row("search: metro-edge, 3 workloads, 24 devices", metro_s, "the winner's replay (8 × 4,000)", replay_s),
    ]


def _some_plan(small: Any) -> Any:
    return next(iter(Evaluator(small, predict).trial(choice).plan for choice in _choices(small)))


def _choices(small: Any) -> Any:
    from dsd_plan.optimize.candidates import Choice, full_counts

    for chosen in space_of(small).combinations():
        yield Choice(chosen, full_counts(small, chosen))
