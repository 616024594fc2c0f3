"""How long a prediction takes, against a replay of the same plan that is long enough to be believed."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from dsd_plan.domain.deployed import Deployed
from dsd_plan.model import predict
from dsd_plan.model.closed_form import predict_many, stacked, systems_of
from dsd_plan.replay.run import replay
from tests.benchmarks.row import Row
from tests.model.random_systems import random_system
from tests.model.systems import Chat, system

REQUESTS = 4000
REPLICATIONS = 8
AT_LEAST_S = 0.3


def seconds(work: Callable[[], object]) -> float:
    """Seconds a call, over as many as take a while."""
    work()
    start, calls = perf_counter(), 0
    while perf_counter() - start < AT_LEAST_S:
        work()
        calls += 1
    return (perf_counter() - start) / calls


def systems() -> dict[str, Deployed]:
    """One stream of each mode, and three unlike ones on one target."""
    plain, fused = Chat(mode="target_only", rate_per_s=2.0), Chat(mode="fused", rate_per_s=2.0)
    drafted = Chat(rate_per_s=2.0, jitter_cv=0.2, devices=8)
    return {
        "plain decoding": system(plain),
        "fused": system(fused),
        "distributed": system(drafted),
        "distributed, 40 users": system(Chat(rate_per_s=None, users=40, think_s=5.0, devices=30)),
        "three modes on one target": system(plain, fused, drafted),
    }


def run() -> list[Row]:
    """Predictions against replays."""
    rows = []
    for name, deployed in systems().items():
        predicted = seconds(lambda deployed=deployed: predict(deployed))  # type: ignore[misc]
        replayed = seconds(
            lambda deployed=deployed: replay(deployed, requests=REQUESTS, replications=REPLICATIONS)  # type: ignore[misc]
        )
        rows.append(Row(f"predict: {name}", predicted, f"replay, {REPLICATIONS} × {REQUESTS} requests", replayed))
    return rows + closed_form_rows()


def closed_form_rows() -> list[Row]:
    """The closed form of 20,000 distributed systems of one to three classes, against `predict` of one of them."""
    rows = []
    for kind in ("open", "closed"):
        drawn = [random_system(seed, "distributed", kind) for seed in range(200)]
        many = stacked([systems_of(deployed) for deployed in drawn] * 100)
        each = seconds(lambda many=many: predict_many(many)) / many.step.size  # type: ignore[misc]
        finer = seconds(lambda drawn=drawn: predict(drawn[0]))  # type: ignore[misc]
        rows.append(Row(f"closed form, {kind} ({1e-3 / each:.0f} k/s)", each, "predict", finer))
    return rows
