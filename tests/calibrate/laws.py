"""Traces drawn from laws that are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import RoundTrace, TokenTrace, TraceMetadata

METADATA = TraceMetadata("draft", "target", "hash", "argmax", "made", "1")


def tokens(rates: NDArray[np.float64], length: int, seed: int) -> TokenTrace:
    """One rate a request, tokens independent within it."""
    rng = np.random.default_rng(seed)
    match = rng.random((rates.size, length)) < rates[:, None]
    return TokenTrace(METADATA, np.repeat(np.arange(rates.size), length), match.ravel().astype(np.uint8))


def rounds(survival: NDArray[np.float64], state: NDArray[np.int64], seed: int) -> RoundTrace:
    """`state` (requests, rounds) picks the row of `survival` (states, window) that a round draws from."""
    rng = np.random.default_rng(seed)
    draws = rng.random(state.shape)[..., None]
    accepted = (draws < survival[state]).sum(axis=-1)
    request = np.repeat(np.arange(state.shape[0]), state.shape[1])
    proposed = np.full(request.size, survival.shape[1], dtype=np.int64)
    return RoundTrace(METADATA, request, proposed, accepted.ravel().astype(np.int64))


def chain(requests: int, length: int, stay: float, seed: int) -> NDArray[np.int64]:
    """Two states, each kept with probability `stay`, from either at first."""
    rng = np.random.default_rng(seed)
    leave = (rng.random((requests, length)) > stay).astype(np.int64)
    leave[:, 0] = rng.integers(0, 2, requests)
    return np.cumsum(leave, axis=1) % 2
