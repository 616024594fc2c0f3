"""How each input behind a workload's numbers is known: at the mean batch that was met, over all its contexts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsd_plan.domain.acceptance import DECLARED
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.profile import LatencyProfile, Origin
from dsd_plan.domain.step_time import decode_origin, prefill_origin

_WORST_LAST: tuple[Origin, ...] = ("measured", "interpolated", "extrapolated", "declared")


def origins(deployed: Deployed, mean_batch: dict[str, float | None]) -> dict[str, dict[str, Origin]]:
    """By workload, then by "decode_ms" (one token: the draft's, or the target's own), "verify_ms", "prefill_ms",
    "acceptance".

    The worst over the workload's assignments and lengths. `mean_batch` is by target device.
    """
    found: dict[str, dict[str, Origin]] = {}
    for stream in deployed.streams:
        mine = found.setdefault(stream.workload.name, {})
        batch = mean_batch.get(deployed.targets[stream.target].device.name) or 1.0
        for key, origin in _of_stream(deployed, stream, batch):
            mine[key] = max(mine.get(key, "measured"), origin, key=_WORST_LAST.index)
    return found


def _of_stream(deployed: Deployed, stream: Stream, batch: float) -> Iterator[tuple[str, Origin]]:
    pool = deployed.targets[stream.target]
    prompts, outputs = np.asarray(stream.requests.prompt_tokens), np.asarray(stream.requests.output_tokens)
    prefills = np.asarray(stream.requests.prefill_tokens)
    lengths = float(prefills.min()), float(prefills.max())
    contexts = float(prompts.min()) + 1.0, float((prompts + outputs).max())

    def decode(profile: LatencyProfile, at_batch: float, new_tokens: int) -> Iterator[Origin]:
        return (decode_origin(profile, at_batch, float(new_tokens), context) for context in contexts)

    prefilling = [(pool.profile, 1.0)]
    if stream.window == 0:
        yield from (("decode_ms", origin) for origin in decode(pool.profile, batch, 1))
    else:
        verified = stream.assignment.candidates * stream.window + 1
        yield from (("verify_ms", origin) for origin in decode(pool.profile, batch, verified))
        drafting = (pool.fused_profile, batch) if stream.draft is None else (deployed.drafts[stream.draft].profile, 1.0)
        if drafting[0] is not None:
            yield from (("decode_ms", origin) for origin in decode(drafting[0], drafting[1], 1))
            prefilling.append((drafting[0], 1.0))
        yield "acceptance", "declared" if isinstance(stream.acceptance, DECLARED) else "measured"
    for profile, at_batch in prefilling:
        yield from (("prefill_ms", prefill_origin(profile, at_batch, length)) for length in lengths)
