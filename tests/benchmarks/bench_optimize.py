"""How long choosing takes, against trying everything and against one replay of the winner."""

from __future__ import annotations

from importlib.resources import as_file, files
from resource import RUSAGE_SELF, getrusage
from time import perf_counter

from dsd_plan import planning
from dsd_plan.domain.deployed import deploy
from dsd_plan.domain.scenario import Scenario
from dsd_plan.files import load_scenario
from dsd_plan.model import predict
from dsd_plan.optimize.choices.candidates import space_of
from dsd_plan.optimize.choices.evaluate import Evaluator
from dsd_plan.optimize.choices.objective import Judge
from dsd_plan.optimize.search.search import Found, search
from tests.benchmarks.row import Row
from tests.optimize.brute_force import best_plan
from tests.optimize.small_scenarios import chat, edge_box, gpu, scenario
from tests.optimize.wide.fleets import fleet


def searched(given: Scenario) -> tuple[float, Found]:
    """Seconds of one search from nothing, and what it found."""
    start = perf_counter()
    found = search(Judge(Evaluator(given, predict)), space_of(given))
    return perf_counter() - start, found


def large() -> Row:
    """1,000 stores, 50 types of GPU, 12 windows: one search in any mode, against one prediction of its plan."""
    given = fleet(1000, 50, seed=1, rate_per_s=0.2, windows=tuple(range(1, 13)))
    large_s, found = searched(given)
    if found.best is None or found.gap is None:
        raise AssertionError("the fleet has a plan that keeps every budget, and a bound")
    start = perf_counter()
    predict(deploy(given, found.best.trial.plan))
    once_s = perf_counter() - start
    peak_mib = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    what = f"search: 1,000 stores, 50 GPU types (gap {found.gap:.1%}, peak {peak_mib:.0f} MiB)"
    return Row(what, large_s, "its plan predicted once", once_s)


def run() -> list[Row]:
    """A small scenario against brute force, 24 devices against their winner's replay, and a large fleet."""
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
        large(),
    ]
