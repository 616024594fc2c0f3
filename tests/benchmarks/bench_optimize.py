"""How long choosing takes, against trying everything and against one replay of the winner."""

from __future__ import annotations

from importlib.resources import as_file, files
from time import perf_counter

from dsd_plan import planning
from dsd_plan.domain.scenario import Scenario
from dsd_plan.files import load_scenario
from dsd_plan.model import predict
from dsd_plan.optimize.candidates import space_of
from dsd_plan.optimize.evaluate import Evaluator
from dsd_plan.optimize.objective import Judge
from dsd_plan.optimize.search import Found, search
from tests.benchmarks.row import Row
from tests.optimize.brute_force import best_plan
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario


def searched(given: Scenario) -> tuple[float, Found]:
    """Seconds of one search from nothing, and what it found."""
    start = perf_counter()
    found = search(Judge(Evaluator(given, predict)), space_of(given))
    return perf_counter() - start, found


def run() -> list[Row]:
    """A small scenario against brute force, the 24 devices of the example against its winner's replay."""
    small = scenario(
        devices=(edge_box(count=24), gpu(count=4)),
        workloads=(chat(rate_per_s=20.0, tpot_p95_ms=60.0),),
        windows=(1, 2, 3, 4, 5, 6, 8),
    )
    searched(small)  # compiles what is compiled
    start = perf_counter()
    best_plan(small, predict)
    brute_s = perf_counter() - start
    small_s, _ = searched(small)
    with as_file(files("dsd_plan") / "examples" / "metro-edge") as folder:
        metro = load_scenario(folder / "scenario.toml")
    metro_s, found = searched(metro)
    if found.best is None:
        raise AssertionError("the shipped example has a plan that keeps every budget")
    winner = found.best.trial.plan
    planning.replay(metro, winner, requests=100, replications=1)
    start = perf_counter()
    planning.replay(metro, winner)
    replay_s = perf_counter() - start
    return [
        Row("search: 1 workload, 28 devices", small_s, "every plan predicted", brute_s),
        Row("search: metro-edge, 3 workloads, 24 devices", metro_s, "the winner's replay (8 × 4,000)", replay_s),
    ]
