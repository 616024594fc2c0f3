"""Every textbook system against answers that are known, each with its source in known_answers.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsd_plan.queueing import bulk, finite_source, renewal, stations

CASES = json.loads((Path(__file__).parent / "known_answers.json").read_text(encoding="utf-8"))

Answers = Mapping[str, Any]


def mm1(lam: float, mu: float) -> Answers:
    found = stations.mm1(lam, mu)
    return {
        "L": found.present,
        "W": found.sojourn,
        "Wq": found.wait,
        "p95_sojourn": stations.mm1_sojourn_quantile(lam, mu, 0.95),
        "p99_sojourn": stations.mm1_sojourn_quantile(lam, mu, 0.99),
    }


def mmc(lam: float, mu: float, c: int) -> Answers:
    found = stations.mmc(lam, mu, c)
    return {
        "erlang_b": stations.erlang_b(lam / mu, c),
        "erlang_c": stations.erlang_c(lam / mu, c),
        "Wq": found.wait,
        "W": found.sojourn,
        "Lq": found.waiting,
    }


def mm1k(lam: float, mu: float, K: int) -> Answers:
    found = stations.mm1k(lam, mu, K)
    return {"p_block": found.blocked, "L": found.present}


def mg1(lam: float, ES: float, scv: float) -> Answers:
    found = stations.mg1(lam, ES, scv)
    return {"Wq": found.wait, "W": found.sojourn, "Lq": found.waiting}


def machine_repairman(N: int, Z: float, S: float, c: int) -> Answers:
    found = finite_source.machine_repairman(N, Z, S, c)
    return {"X": found.throughput, "R": found.response, "util": found.utilisation, "p0": found.idle}


def exact_mva(N: int, Z: float, demands: list[float]) -> Answers:
    found = finite_source.exact_mva(N, Z, demands)
    return {"X": found.throughput, "R": found.response, "Q": found.queues}


def load_dependent(N: int, a: float, w: float, B: int, D: float, rate: str) -> Answers:
    found = finite_source.load_dependent(N, D, lambda j: min(j, B) / (a + w * min(j, B)))
    return {"X": found.throughput, "R": found.response, "util": found.utilisation}


def mm_bulk(lam: float, mu: float, B: int) -> Answers:
    found = bulk.mm_bulk(lam, mu, B)
    return {"r": found.ratio, "p_idle": found.idle, "Lq": found.waiting, "Wq": found.wait, "W": found.sojourn}


def gated_open(lam: float, a: float, w: float, B: int) -> Answers:
    found = bulk.gated_open(lam, lambda b: a + w * b, B)
    return {
        "mean_batch": found.mean_batch,
        "util": found.utilisation,
        "mean_iter": found.mean_iteration,
        "p_empty_at_end": found.empty_at_end,
        "Lq": found.waiting,
        "Wq": found.wait,
        "W": found.sojourn,
    }


def gated_closed(N: int, a: float, w: float, B: int, D: float) -> Answers:
    found = bulk.gated_closed(N, D, lambda b: a + w * b, B)
    return {
        "X": found.throughput,
        "R": found.response,
        "util": found.utilisation,
        "mean_batch": found.mean_batch,
    }


def rounds(gamma: int, alpha: float, n: int | None = None) -> Answers:
    emitted = geometric_rounds(gamma, alpha)
    if n is None:
        return {"E": float(np.dot(np.arange(gamma + 2), emitted))}
    pmf = renewal.rounds_pmf(emitted, n)
    count = renewal.count_of(pmf)
    return {"EK": count.mean, "VarK": count.variance, "P99": renewal.quantile(pmf, 0.99)}


def geometric_rounds(gamma: int, alpha: float) -> np.ndarray:
    """P(a round emits i tokens), i = 0 … γ + 1, for independent acceptance."""
    accepted = [(1.0 - alpha) * alpha**i for i in range(gamma)] + [alpha**gamma]
    return np.array([0.0, *accepted])


SYSTEMS: Mapping[str, Callable[..., Answers]] = {
    system.__name__: system
    for system in (
        *(mm1, mmc, mm1k, mg1, machine_repairman, exact_mva, load_dependent),
        *(mm_bulk, gated_open, gated_closed, rounds),
    )
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_known_answer(case: dict[str, Any]) -> None:
    found = SYSTEMS[case["system"]](**case["inputs"])
    for name, expected in case["expected"].items():
        np.testing.assert_allclose(found[name], expected, rtol=case["rel_tol"], err_msg=name)


def test_every_system_has_an_answer() -> None:
    assert {case["system"] for case in CASES} == set(SYSTEMS)
