"""The compiled replayer against its readable twin, and a start from the cache against compiling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from time import perf_counter

from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.engine import users_of
from tests.benchmarks.row import Row
from tests.replay.builder import poisson, system
from tests.replay.runs import kernel_run
from tests.replay.twin import Twin

SESSIONS = 4000
FIRST_CALL = (
    "from time import perf_counter\nstart = perf_counter()\n"
    "from tests.replay.builder import poisson, system\nfrom tests.replay.runs import kernel_run\n"
    "kernel_run(system(poisson(1.0)), most=2)\nprint(perf_counter() - start)"
)


def run() -> list[Row]:
    """Two replicas at .85 of saturation, 130 live sessions, jittered links; the same sessions in both engines."""
    deployed = system(
        poisson(20.0, 300, 128),
        target=StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.03),
        draft=StepLaw(step_ms=5.0, per_token_ms=0.1),
        link=Link(between=("edge", "region"), rtt_ms=40.0, jitter_cv=0.2),
        replicas=2,
        devices=50,
        cap=32,
    )
    kernel_run(deployed, most=2)
    rounds = int(kernel_run(deployed, most=SESSIONS).tables["sessions"]["rounds"].sum())
    kernel_s = best_of(7, lambda: kernel_run(deployed, most=SESSIONS))
    twin_s = best_of(1, lambda: Twin(deployed, 0, 0, users_of(deployed)["first_ms"].tolist(), SESSIONS).run())
    with tempfile.TemporaryDirectory() as cache:
        compiling_s = first_call_s(cache)
        cached_s = min(first_call_s(cache) for _ in range(3))
    return [
        Row(
            f"replay kernel ({rounds / kernel_s / 1e6:.2f} M rounds/s)",
            kernel_s,
            f"heapq twin ({rounds / twin_s / 1e6:.3f} M)",
            twin_s,
        ),
        Row("first replay from the cache, imports included", cached_s, "compiling the kernel", compiling_s),
    ]


def best_of(times: int, action: Callable[[], object]) -> float:
    """Seconds of the fastest run: the one that other programs disturbed least."""
    seconds = []
    for _ in range(times):
        start = perf_counter()
        action()
        seconds.append(perf_counter() - start)
    return min(seconds)


def first_call_s(cache: str) -> float:
    """Seconds from importing to the first replay's end, in a process of its own."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL], check=True, capture_output=True, text=True, env=environment
    )
    return float(done.stdout)
