"""Means of many systems at once: an iteration's length, the iterations a session meets, and what its user sees.

A gated batch server whose sessions return a time D after an iteration's end (docs/method.md, "The closed form").
Prefills make iterations jump, a session returns into long iterations more often than into short ones, and the number
of iterations until it is served follows from Wald's identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.closed_form.systems import FIELDS, Systems

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Means, in ms. Where open requests offer a replica more than it can do (saturation ≥ 1) they are infinite."""

    saturation: Array
    """Shape (N,); of closed users at the rate that they reach."""
    iteration: Array
    rate: Array
    """Requests per ms, shape (N, K), as all that follow."""
    round: Array
    ttft: Array
    tpot: Array


def predict_many(systems: Systems) -> Answers:
    """Answer all systems; deterministic. Draft devices are not queued for, KV memory does not limit."""
    # numba is loaded here, so that the model without it starts fast.
    from dsd_plan.model.closed_form.kernel import solve_all

    values = [np.ascontiguousarray(getattr(systems, name), dtype=np.float64) for name in FIELDS]
    many, classes = systems.rate.shape
    saturation, iteration = np.empty(many), np.empty(many)
    rate, round_ms, ttft, tpot = (np.empty((many, classes)) for _ in range(4))
    solve_all(*values, saturation, iteration, rate, round_ms, ttft, tpot)
    return Answers(saturation, iteration, rate, round_ms, ttft, tpot)
