"""What the devices were at, for whom, from the sums of work between the marks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.attribution import DeviceTime, Spending, TokenRates, Work
from dsd_plan.domain.deployed import Deployed, DraftPool, TargetPool
from dsd_plan.domain.shared_steps import shared_ms
from dsd_plan.domain.step_time import AFFINE, prompts_in_knots
from dsd_plan.replay.layout import MS_PER_S
from dsd_plan.replay.samples import Sample

Array = NDArray[np.float64]


def token_rates(deployed: Deployed, samples: Sequence[Sample]) -> dict[str, TokenRates]:
    """Of each workload: tokens that arrived a second, and how many of them had been drafted and accepted."""
    span_s = sum(sample.span_ms for sample in samples) / MS_PER_S
    found = {}
    for name in samples[0].workloads:
        mine = [sample.workloads[name] for sample in samples]
        output = sum(one.arrived_tokens for one in mine) / span_s if span_s > 0.0 else 0.0
        tokens, accepted = sum(one.tokens for one in mine), sum(one.accepted for one in mine)
        drafts = any(stream.window > 0 for stream in deployed.streams if stream.workload.name == name)
        found[name] = TokenRates(output, output * accepted / tokens if drafts and tokens > 0 else None)
    return found


def device_times(deployed: Deployed, samples: Sequence[Sample]) -> tuple[DeviceTime, ...]:
    """Every deployed device type, in the plan's order; empty where no time was measured.

    A target's steps are shared among prompts and rounds of the streams by the fitted law: what each adds, and of what a
    step takes with nothing in it an equal part a job; fused drafting likewise. Drafting is split as its proposals were
    accepted or rejected, besides what was drafted ahead and thrown away; a draft's own prefill is part of it.
    """
    span_ms = sum(sample.span_ms for sample in samples)
    if span_ms <= 0.0:
        return ()
    found = []
    for name, count in deployed.replicas_used().items():
        device = deployed.scenario.device(name)
        targets = [i for i, pool in enumerate(deployed.targets) if pool.device.name == name]
        drafts = [i for i, pool in enumerate(deployed.drafts) if pool.device.name == name]
        work: list[Work] = []
        idle_w = device.idle_w
        if targets:
            work, profile = _of_target(deployed, targets[0], samples, span_ms), deployed.targets[targets[0]].profile
            idle_w = profile.idle_w if idle_w is None else idle_w
        elif drafts:
            work, profile = _of_draft(deployed, drafts[0], samples, span_ms), deployed.drafts[drafts[0]].profile
            idle_w = profile.idle_w if idle_w is None else idle_w
        found.append(DeviceTime(name, count, device.cost_per_hour, idle_w, tuple(work)))
    return tuple(found)


def _of_target(deployed: Deployed, index: int, samples: Sequence[Sample], span_ms: float) -> list[Work]:
    pool: TargetPool = deployed.targets[index]
    first = sum(other.replicas for other in deployed.targets[:index])
    replicas = slice(first, first + pool.replicas)
    step_ms = sum(float(sample.step_ms[replicas].sum()) for sample in samples)
    mine = np.array([stream.target == index for stream in deployed.streams])
    iterations = sum(int(sample.iterations[replicas].sum()) for sample in samples)
    rounds_ms, prompts_ms = _step_ms(pool, _work(samples), mine, step_ms, iterations)
    work = []
    for i in np.flatnonzero(mine).tolist():
        stream = deployed.streams[i]
        spending: Spending = "verify" if stream.window > 0 else "decode"
        parts: tuple[tuple[Spending, float], ...] = (("prefill", float(prompts_ms[i])), (spending, float(rounds_ms[i])))
        work += [Work(stream.workload.name, what, ms / span_ms, pool.profile.active_w) for what, ms in parts if ms > 0]
    if pool.fused_profile is not None and pool.fused_surface is not None:
        fused = mine & np.array([stream.mode == "fused" for stream in deployed.streams])
        draft_ms = sum(float(sample.draft_ms[replicas].sum()) for sample in samples)
        shares_ms = _fused_ms(pool.fused_surface.law, _work(samples), fused, draft_ms)
        work += _drafting(deployed, samples, shares_ms / span_ms, pool.fused_profile.active_w)
    return _together(work)


def _of_draft(deployed: Deployed, index: int, samples: Sequence[Sample], span_ms: float) -> list[Work]:
    pool: DraftPool = deployed.drafts[index]
    first = sum(other.count for other in deployed.drafts[:index])
    busy_ms = sum(float(sample.device_ms[first : first + pool.count].sum()) for sample in samples)
    mine = np.array([stream.draft == index for stream in deployed.streams])
    done = _work(samples)
    wasted_ms = np.where(mine, done["wasted_ms"], 0.0)
    weights = np.where(mine, done["draft_ms"], 0.0)
    kept = weights - np.minimum(wasted_ms, weights)
    if weights.sum() <= 0.0:
        return []
    # Work is noted when it is asked for, busy time as it passes: at the marks they differ a little.
    devices = busy_ms / span_ms / float(weights.sum())
    work = _drafting(deployed, samples, kept * devices, pool.profile.active_w)
    for stream, thrown in zip(deployed.streams, ((weights - kept) * devices).tolist(), strict=True):
        if thrown > 0.0:
            work.append(Work(stream.workload.name, "drafts thrown away", thrown, pool.profile.active_w))
    return _together(work)


def _drafting(deployed: Deployed, samples: Sequence[Sample], devices: Array, active_w: float | None) -> list[Work]:
    """Devices that streams had drafting at once, as their workloads' proposals were accepted or not."""
    work = []
    for stream, many in zip(deployed.streams, devices.tolist(), strict=True):
        if many <= 0.0:
            continue
        name = stream.workload.name
        mine = [sample.workloads[name] for sample in samples]
        proposed = sum(one.proposed for one in mine)
        if proposed == 0:
            work.append(Work(name, "drafting", many, active_w))
            continue
        kept = min(sum(one.accepted for one in mine) / proposed, 1.0)
        work.append(Work(name, "drafts accepted", many * kept, active_w))
        work.append(Work(name, "drafts rejected", many * (1.0 - kept), active_w))
    return [one for one in work if one.devices > 0.0]


def _together(work: Sequence[Work]) -> list[Work]:
    """One entry a workload and what for, however many streams it has here."""
    sums: dict[tuple[str, Spending, float | None], float] = {}
    for one in work:
        key = (one.workload, one.spending, one.active_w)
        sums[key] = sums.get(key, 0.0) + one.devices
    return [Work(name, what, devices, active_w) for (name, what, active_w), devices in sums.items()]


def _work(samples: Sequence[Sample]) -> dict[str, Array]:
    """Sums by field of layout.WORK, by stream."""
    return {field: np.sum([sample.work[field] for sample in samples], axis=0) for field in samples[0].work}


def _step_ms(
    pool: TargetPool, work: dict[str, Array], mine: NDArray[np.bool_], step_ms: float, iterations: int
) -> tuple[Array, Array]:
    """A target's time by whose rounds and whose prompts it was for, by stream."""
    rounds_ms, prompts_ms = _added_ms(pool.surface.law, work, work["new_tokens"], work["kv_tokens"])
    first = np.minimum(work["requests"], work["jobs"])
    shares = shared_ms(
        step_ms,
        np.where([mine, mine], [rounds_ms, prompts_ms], 0.0),
        np.where([mine, mine], [work["jobs"] - first, first], 0.0),
        iterations * float(pool.surface.law[0]),
    )
    return shares[0], shares[1]


def _fused_ms(law: Array, work: dict[str, Array], mine: NDArray[np.bool_], draft_ms: float) -> Array:
    """Time of a draft on the target by whose proposals, and whose prompts, it was for."""
    added = np.where(mine, sum(_added_ms(law, work, work["draft_steps"], work["draft_kv_tokens"])), 0.0)
    return shared_ms(draft_ms, added, np.where(mine, work["jobs"], 0.0), max(draft_ms - added.sum(), 0.0))


def _added_ms(law: Array, work: dict[str, Array], tokens: Array, kv_tokens: Array) -> tuple[Array, Array]:
    """What rounds and what prompts add to steps by the law, by stream."""
    _, per_token, per_prompt, per_kv, per_square, _ = law[:AFFINE]
    slope = per_token if prompts_in_knots(law) else per_prompt
    return tokens * per_token + kv_tokens * per_kv, work["prompt_tokens"] * slope + work["prompt_squares"] * per_square
