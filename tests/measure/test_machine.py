from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info

from dsd_plan.measure.machine import SystemClock, cores, cpu_model, pinned_threads


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_threads_are_pinned_and_given_back() -> None:
    before = blas_threads()
    with pinned_threads(1) as blas:
        assert set(blas_threads()) <= {1}
        assert blas.threads in (1, None)
        assert blas.name
    assert blas_threads() == before


def test_clocks_go_forward() -> None:
    clock = SystemClock()
    wall_s, cpu_s = clock.wall_s(), clock.cpu_s()
    np.linalg.svd(np.random.default_rng(0).normal(size=(120, 120)))
    assert clock.wall_s() > wall_s
    assert clock.cpu_s() > cpu_s
    assert clock.now().endswith("+00:00")


def test_the_machine_has_a_name_and_a_core() -> None:
    assert cores() >= 1
    assert cpu_model()
