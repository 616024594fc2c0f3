"""What the open requests ask of each device, against what it can do; no steady state exists at or beyond 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Deployed, DraftPool, TargetPool
from dsd_plan.domain.step_time import decode_ms, iteration_ms, prefill_ms
from dsd_plan.errors import UnstableError
from dsd_plan.model.engine_like.limits import (
    check_verifies,
    engine_places,
    full_jobs,
    too_few_places,
    what_is_full,
)
from dsd_plan.model.traffic import Demand, by_draft, by_target

if TYPE_CHECKING:
    from dsd_plan.model.sessions import ByOthers, Pool

Array = NDArray[np.float64]


def target_saturation(target: TargetPool, demands: Sequence[Demand], rates: Array) -> float:
    """Λ·T(B)/B of a replica, T(B) the iteration of a full batch of the mean job mix. `rates` are requests per ms.

    A batch is full at `batch_cap` jobs, or at `token_cap` new tokens.
    """
    jobs = sum(rate * (demand.rounds.count.mean + 1.0) for rate, demand in zip(rates, demands, strict=True))
    if jobs <= 0.0:
        return 0.0
    full = full_jobs(target, demands, rates)
    share = full / float(jobs)
    return float(jobs) / target.replicas * _full_ms(target, demands, share * rates) / full


def _full_ms(target: TargetPool, demands: Sequence[Demand], prefills: Array) -> float:
    """An iteration with so many prefills of each stream, and as many decode jobs as go with them."""
    decodes = prefills * [demand.rounds.count.mean for demand in demands]
    n_d, n_p = float(decodes.sum()), float(prefills.sum())
    total = iteration_ms(
        target.surface,
        n_d,
        float(decodes @ [demand.verified for demand in demands]) / (n_d or 1.0),
        float(decodes @ [demand.lengths.context for demand in demands]) / (n_d or 1.0),
        n_p,
        float(prefills @ [demand.lengths.prefill for demand in demands]) / (n_p or 1.0),
    )
    fused = [k for k, demand in enumerate(demands) if demand.stream.mode == "fused" and decodes[k] > 0.0]
    if target.fused_surface is None or not fused:
        return total
    prompts = float(prefills[fused].sum())
    rows = float(sum(decodes[k] * demands[k].paths for k in fused))
    context = sum(float(decodes[k]) * demands[k].paths * demands[k].lengths.context for k in fused) / rows
    prompt = sum(float(prefills[k]) * demands[k].lengths.prefill for k in fused) / prompts
    jobs = n_d + n_p
    steps, below, absent = 0.0, 0, 1.0
    for window in sorted({demands[k].window for k in fused}):
        # In a batch of so many jobs of the mean mix, the chance that none has this window or a longer one.
        longer = sum(float(decodes[k]) for k in fused if demands[k].window >= window)
        none = (1.0 - longer / jobs) ** jobs
        absent = min(absent, none)
        steps += (window - below) * (1.0 - none)
        below = window
    present = max(1.0 - absent, 1e-12)
    total += steps * decode_ms(target.fused_surface, max(rows / present, 1.0), 1.0, context)
    added = prefill_ms(target.fused_surface, max(prompts, 1.0), prompt) - float(target.fused_surface.law[0])
    return total + max(added, 0.0) * min(prompts, 1.0)


def draft_saturation(draft: DraftPool, demands: Sequence[Demand], rates: Array) -> float:
    """Offered drafting and prefill time, over the time of all devices of the pool.

    Of what is drafted ahead only what turns out right counts, one step more than a window: a busy device hardly begins
    the rest.
    """
    if draft.batch_cap > 1:
        return float(np.dot(rates, [_in_full_batches(draft, demand) for demand in demands])) / draft.count
    work = [
        d.rounds.count.mean * (d.draft_work + d.rounds.right * max(d.ahead - d.draft, 0.0)) + d.tied * d.draft_prefill
        for d in demands
    ]
    return float(np.dot(rates, work)) / draft.count


def _in_full_batches(draft: DraftPool, demand: Demand) -> float:
    """Device time of a request whose windows and prefill are in full batches."""
    cap, lengths = float(draft.batch_cap), demand.lengths
    step_ms = decode_ms(draft.surface, cap * demand.paths, 1.0, lengths.context) / cap
    return float(
        demand.rounds.count.mean * demand.window * step_ms + prefill_ms(draft.surface, cap, lengths.prefill) / cap
    )


def check_stable(deployed: Deployed, demands: Sequence[Demand]) -> None:
    """Raises UnstableError naming the first device that open requests saturate."""
    coming = [demand for demand in demands if demand.rate > 0]
    for index, mine in by_target(demands).items():
        check_verifies(deployed.targets[index], mine)
        # A request that no memory holds is the reason, however busy its prompt would keep the device.
        places_of(deployed.targets[index], mine, np.full(len(mine), 1.0 / len(mine)))
    at_targets, at_drafts = by_target(coming), by_draft(coming)
    for index, target in enumerate(deployed.targets):
        mine = at_targets.get(index, [])
        saturation = target_saturation(target, mine, _rates(mine)) if mine else 0.0
        if saturation >= 1.0:
            raise UnstableError(target.device.name, saturation, what_is_full(target, mine, _rates(mine)))
    for index, draft in enumerate(deployed.drafts):
        drafting = at_drafts.get(index, [])
        saturation = draft_saturation(draft, drafting, _rates(drafting)) if drafting else 0.0
        if saturation >= 1.0:
            raise UnstableError(
                draft.device.name, saturation, "drafting alone takes more time than there is: add devices or draft less"
            )


def places_of(target: TargetPool, demands: Sequence[Demand], shares: Array) -> float:
    """Sessions whose KV fits on one replica. Raises UnstableError where a single request does not."""
    if target.engine is not None:
        return engine_places(target, target.engine, demands, shares).sessions
    if target.kv_tokens is None:
        return float("inf")
    longest = max(demand.lengths.most_kv for demand in demands)
    if longest > target.kv_tokens:
        raise UnstableError(
            target.device.name,
            longest / target.kv_tokens,
            f"KV memory holds {target.kv_tokens:.0f} tokens, one request needs {longest:.0f}: it would wait for ever",
        )
    each = [demand.lengths.prompt + demand.lengths.output for demand in demands]
    places = target.kv_tokens / float(np.dot(shares, each))
    return max(float(np.floor(places)) if max(each) == min(each) else places, 1.0)


def check_memory(target: TargetPool, pool: Pool, table: ByOthers, rates: Array) -> None:
    """Raises UnstableError where open sessions arrive faster than memory lets them through."""
    held = pool.together * pool.places
    if not rates.any() or not np.isfinite(held) or table.request.shape[0] * table.unit < held + 1:
        return
    offered = float(rates @ table.request[-1]) * pool.together / pool.replicas / (table.request.shape[0] * table.unit)
    if offered >= 1.0 and target.engine is not None:
        raise UnstableError(target.device.name, offered, too_few_places(target, pool.places))
    if offered >= 1.0:
        raise UnstableError(
            target.device.name,
            offered,
            f"KV memory holds {pool.places:.0f} live sessions a replica, more are needed: add replicas, "
            "or a device with more memory",
        )


def _rates(demands: Sequence[Demand]) -> Array:
    return np.array([demand.rate for demand in demands])
