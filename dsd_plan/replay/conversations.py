"""Conversations whose earlier turns may still be in the cache of an engine-like target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.deployed import Stream, TargetPool
from dsd_plan.domain.workload import RequestTrace

Rows = NDArray[np.int64]


def conversations(pool: TargetPool, stream: Stream) -> Rows | None:
    """By recorded request the number of its conversation, from 0 on.

    None where earlier turns are not looked for: no cache of prefixes, no conversations, or a recording that says itself
    what was cached.
    """
    requests = stream.requests
    if pool.engine is None or not pool.engine.prefix_cache or not isinstance(requests, RequestTrace):
        return None
    if requests.conversation is None or requests.cached_prefix_tokens is not None:
        return None
    _, numbers = np.unique(requests.conversation, return_inverse=True)
    return numbers.astype(np.int64)


def least_prefill(requests: RequestTrace, numbers: Rows) -> Rows:
    """Tokens of each prompt that are new, if all of the conversation's turn before is in the cache."""
    new: Rows = requests.prompt_tokens.copy()
    said: dict[int, int] = {}
    for i, (number, prompt, output) in enumerate(
        zip(numbers.tolist(), requests.prompt_tokens.tolist(), requests.output_tokens.tolist(), strict=True)
    ):
        if prompt > said.get(number, prompt):
            new[i] = prompt - said[number]
        said[number] = prompt + output
    return new
