"""The queue of llm-inferno's queue-analysis: M/M/1/K whose rate depends on how many share an inference server.

Its n-th rate is n / (prefill(n) + tokens · decode(n)) up to the largest batch and stays there; beyond K requests are
lost. It is `births_and_deaths` with everyone's stay n / μ(n), cut at K.
"""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.queueing.population import births_and_deaths
from dsd_plan.queueing.stations import mm1k

ALPHA, BETA, PROMPT, ANSWER = 20.0, 0.05, 200.0, 101.0
BATCH, PLACES = 8, 40


def iteration_ms(n: float) -> float:
    """α + n·β·(P + L)/(L + 1): every request brings its mean tokens to every iteration."""
    return ALPHA + n * BETA * (PROMPT + ANSWER) / (ANSWER + 1.0)


def request_ms(n: float) -> float:
    """A prefill and L decodes, each with its own tokens once more."""
    return (iteration_ms(n) + BETA * PROMPT) + ANSWER * (iteration_ms(n) + BETA)


RATES = np.array([n / request_ms(n) for n in range(1, BATCH + 1)] + [BATCH / request_ms(BATCH)] * (PLACES - BATCH))


def balanced(births: float, rates: np.ndarray) -> np.ndarray:
    """π Q = 0 of the chain, its generator written out and solved as a linear system."""
    size = rates.size + 1
    generator = np.diag(np.full(size - 1, births), 1) + np.diag(rates, -1)
    generator -= np.diag(generator.sum(axis=1))
    equations = np.vstack([generator.T[1:], np.ones(size)])
    return np.linalg.solve(equations, np.concatenate([np.zeros(size - 1), [1.0]]))


@pytest.mark.parametrize("load", [0.3, 0.8, 1.5])
def test_a_state_dependent_queue_is_a_special_case(load: float) -> None:
    births, present = load * RATES[-1], np.arange(PLACES + 1.0)
    said = births_and_deaths(births, present[1:] / RATES)
    known = balanced(births, RATES)
    np.testing.assert_allclose(said, known, rtol=1e-9, atol=1e-15)
    # What its analyser reports: throughput of those not lost, requests served, and the wait by Little's law.
    throughput, served = births * (1.0 - known[-1]), float(known @ np.minimum(present, BATCH))
    assert float(said[1:] @ RATES) == pytest.approx(throughput)
    wait_ms = float(said @ present) / throughput - served / throughput
    assert wait_ms == pytest.approx(float(said @ np.maximum(present - BATCH, 0.0)) / throughput)


def test_one_at_a_time_it_is_mm1k() -> None:
    rates = np.full(PLACES, 0.01)
    said, known = births_and_deaths(0.008, np.arange(1.0, PLACES + 1.0) / rates), mm1k(0.008, 0.01, PLACES)
    assert said[-1] == pytest.approx(known.blocked)
    assert float(said @ np.arange(PLACES + 1.0)) == pytest.approx(known.present)


def test_two_states_by_hand() -> None:
    # μ(1) = 1, μ(2) = 1.5, arrivals at 1: weights 1, 1, 2/3.
    assert births_and_deaths(1.0, np.array([1.0, 2.0 / 1.5])) == pytest.approx([3.0 / 8.0, 3.0 / 8.0, 2.0 / 8.0])
