"""A deployed plan in, a `Performance` out: replications, their statistics, and whether they mean anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.replay.devices import device_uses, saturations, unmeasured
from dsd_plan.replay.inputs import refuse_unsupported, tables_of
from dsd_plan.replay.load import open_rate_per_s
from dsd_plan.replay.outcome import measured_performance, nothing_measured, unsettled
from dsd_plan.replay.samples import Sample

Replicate = Callable[[int], Sample]
RunAll = Callable[[Replicate, Iterable[int]], Iterable[Sample]]
"""Like `map`, and in its order; an executor's `map` runs the replications in parallel, for the kernel needs no GIL."""


def replay(
    deployed: Deployed,
    *,
    seed: int = 0,
    requests: int = 4000,
    replications: int = 8,
    on_progress: Callable[[int, int, str], None] | None = None,
    run_all: RunAll = map,
) -> Performance:
    """Replay a plan event by event.

    `requests` start in each replication before measuring ends (a recorded stream may end sooner); the first
    share of them is warm-up. The same seed gives the same result, whatever order replications run in.
    An open stream that offers more than a device can do, or a run that has not settled, gives
    `steady = False` and nulls. Raises ScenarioError or PlanError for what cannot be replayed yet, ValueError
    for fewer than 2 requests or no replication.
    """
    if requests < 2 or replications < 1:
        raise ValueError(f"{requests} requests in {replications} replications; at least 2 in 1 are needed")
    refuse_unsupported(deployed)
    offered = saturations(deployed, [open_rate_per_s(stream) or 0.0 for stream in deployed.streams])
    full = {name: saturation for name, saturation in offered.items() if saturation >= 1.0}
    if full:
        notes = tuple(
            f"{name}: requests offer {saturation:.2f} of what it can do at full batches; there is no steady state"
            for name, saturation in full.items()
        )
        return nothing_measured(deployed, unmeasured(deployed, offered), notes)
    samples = _samples(deployed, seed, requests, replications, on_progress, run_all)
    reasons = unsettled(deployed, samples)
    uses = device_uses(deployed, samples)
    if reasons:
        return nothing_measured(deployed, tuple(use.performance for use in uses), reasons)
    return measured_performance(deployed, samples, uses)


def _samples(
    deployed: Deployed,
    seed: int,
    requests: int,
    replications: int,
    on_progress: Callable[[int, int, str], None] | None,
    run_all: RunAll,
) -> Sequence[Sample]:
    # The compiled kernel is loaded here, so that importing this room costs nothing.
    from dsd_plan.replay.engine import replicate, users_of

    once = partial(replicate, deployed, tables_of(deployed), users_of(deployed), requests, seed)
    samples = []
    for sample in run_all(once, range(replications)):
        samples.append(sample)
        if on_progress is not None:
            on_progress(len(samples), replications, "replications")
    return samples
