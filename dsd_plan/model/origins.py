"""How each input behind a workload's numbers is known, at the points where it was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsd_plan.domain.acceptance import DECLARED
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.profile import LatencyProfile, Origin
from dsd_plan.domain.step_time import decode_origin, prefill_origin
from dsd_plan.domain.workload import Requests, RequestTrace
from dsd_plan.model.traffic import Demand, paths_by_device

_WORST_LAST: tuple[Origin, ...] = ("measured", "interpolated", "extrapolated", "declared")


def origins(deployed: Deployed, demands: Sequence[Demand], mean_batch: dict[str, float | None]) -> dict[str, Origin]:
    """By "decode_ms" (one token: the draft's, or the target's own), "verify_ms", "prefill_ms", "acceptance".

    The worst over a workload's streams and their lengths; `mean_batch` is by target device.
    """
    found: dict[str, Origin] = {}
    for demand in demands:
        for key, origin in _of(deployed, demand, mean_batch):
            found[key] = max(found.get(key, "measured"), origin, key=_WORST_LAST.index)
    return found


def _of(deployed: Deployed, demand: Demand, mean_batch: dict[str, float | None]) -> Iterator[tuple[str, Origin]]:
    stream, pool = demand.stream, deployed.targets[demand.stream.target]
    batch = mean_batch.get(pool.device.name) or 1.0
    contexts, prefills = _lengths(stream.requests)
    read: list[tuple[str, LatencyProfile, float, float]] = []
    prefilling = [pool.profile]
    if stream.window == 0:
        read.append(("decode_ms", pool.profile, batch, 1.0))
    else:
        read.append(("verify_ms", pool.profile, batch, demand.verified))
        if stream.draft is not None:
            drafting, at_batch = deployed.drafts[stream.draft].profile, float(max(paths_by_device(stream)))
        else:
            drafting, at_batch = pool.fused_profile or pool.profile, batch * demand.paths
        read.append(("decode_ms", drafting, at_batch, 1.0))
        prefilling.append(drafting)
        yield "acceptance", "declared" if isinstance(stream.acceptance, DECLARED) else "measured"
    for key, profile, at_batch, new_tokens in read:
        yield from ((key, decode_origin(profile, at_batch, new_tokens, context)) for context in contexts)
    for profile in prefilling:
        yield from (("prefill_ms", prefill_origin(profile, 1.0, tokens)) for tokens in prefills)


def _lengths(requests: Requests) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(fewest and most tokens of context, of a prompt to prefill)."""
    if not isinstance(requests, RequestTrace):
        prompt = float(requests.prompt_tokens)
        return (prompt + 1.0, prompt + requests.output_tokens), (float(requests.prefill_tokens),)
    prompts, prefills = requests.prompt_tokens, requests.prefill_tokens
    contexts = (float(prompts.min()) + 1.0, float((prompts + requests.output_tokens).max()))
    return contexts, (float(prefills.min()), float(prefills.max()))
