"""The compiled replayer against its readable twin, and a start from the cache against compiling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from math import ceil, inf
from time import perf_counter

from dsd_plan.domain.acceptance import accepted_pmf
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import SLOTS_FULL
from tests.benchmarks.plain_heapq import System, replayed
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
    crowds = [crowd_row(live) for live in (200, 1000, 20000)]
    with tempfile.TemporaryDirectory() as cache:
        compiling_s = first_call_s(cache)
        cached_s = min(first_call_s(cache) for _ in range(3))
    return [
        Row(
            f"replay kernel ({rounds / kernel_s / 1e6:.2f} M rounds/s)",
            kernel_s,
            f"readable twin ({rounds / twin_s / 1e6:.3f} M)",
            twin_s,
        ),
        *crowds,
        Row("first replay from the cache, imports included", cached_s, "compiling the kernel", compiling_s),
    ]


def crowd_row(live: int) -> Row:
    """The kernel and plain Python in turns. Raises AssertionError where they do not tell the same story."""
    deployed, plain, most = crowd(live)
    sessions = kernel_run(deployed, most=most).tables["sessions"]
    rounds, e2e_ms = int(sessions["rounds"].sum()), float((sessions["last_ms"] - sessions["started_ms"]).mean())
    plain_rounds, plain_ms = 0, 0.0
    kernel_s = plain_s = inf
    for _ in range(3 if live < 10_000 else 1):
        kernel_s = min(kernel_s, best_of(2, lambda: streamed(deployed, live, most)))
        start = perf_counter()
        plain_rounds, plain_ms = replayed(plain, most)
        plain_s = min(plain_s, perf_counter() - start)
    # Their luck differs, and so do their rounds by a little.
    assert abs(plain_rounds / rounds - 1.0) < 0.02
    assert abs(plain_ms / e2e_ms - 1.0) < 0.05
    return Row(
        f"replay kernel, {live} live sessions ({rounds / kernel_s / 1e6:.2f} M rounds/s)",
        kernel_s,
        f"plain heapq ({plain_rounds / plain_s / 1e6:.3f} M)",
        plain_s,
    )


def streamed(deployed: Deployed, live: int, most: int) -> None:
    """A run whose log is read and emptied while it goes, as `dsd-plan replay` does."""
    run = Run(tables_of(deployed), keys_of(deployed, 0, 0), users_of(deployed), most, slots=2 * live)

    def read(run: Run, status: int) -> None:
        ended, _, _ = run.read()
        if status == SLOTS_FULL and 2 * ended.size < run.tables["sessions"].size:
            run.grow(status)

    run.advance(read)


def crowd(live: int) -> tuple[Deployed, System, int]:
    """About so many live sessions at .85 of saturation, a draft device for each; for both engines, and how many."""
    rate_per_s, prompt, output, window, cap = live * 0.18, 300, 128, 4, 32
    replicas, devices = ceil(rate_per_s / 9.3), 2 * live
    target, draft = (20.0, 0.2, 0.03), (5.0, 0.1, 0.0)
    deployed = system(
        poisson(rate_per_s, prompt, output),
        window=window,
        target=StepLaw(step_ms=target[0], per_token_ms=target[1], per_prompt_token_ms=target[2]),
        draft=StepLaw(step_ms=draft[0], per_token_ms=draft[1]),
        link=Link(between=("edge", "region"), rtt_ms=40.0, jitter_cv=0.2),
        replicas=replicas,
        devices=devices,
        cap=cap,
        routing="round_robin",
        draft_routing="round_robin",
    )
    cumulative, total = [], 0.0
    for p in accepted_pmf(deployed.streams[0].acceptance, window)[:-1]:
        total += p
        cumulative.append(total)
    plain = System(
        rate_per_s, prompt, output, window, tuple(cumulative), target, draft, 20.0, 0.2, replicas, devices, cap
    )
    return deployed, plain, max(4000, 3 * live)


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
