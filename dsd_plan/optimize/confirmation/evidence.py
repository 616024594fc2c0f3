"""What the numbers rest on: acceptance with its sampling error, and profiles with theirs."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import (
    DECLARED,
    Acceptance,
    AcceptanceCounts,
    RoundTrace,
    TokenTrace,
    acceptance_form,
    accepted_by_round,
    largest_window,
    survival_by_position,
)
from dsd_plan.domain.ngrams import costs_nothing
from dsd_plan.domain.scenario import Pair, Scenario
from dsd_plan.domain.step_time import decode_ms, surface_of
from dsd_plan.domain.study import AcceptanceEvidence, ProfileEvidence

LEVEL_Z = 1.959964
"""Normal quantile of a 95 % interval."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def acceptance_evidence(scenario: Scenario) -> tuple[AcceptanceEvidence, ...]:
    """One entry a pair. Intervals are for requests drawn anew: rounds of one request are not independent."""
    windows = max(scenario.search.windows, default=1)
    return tuple(_acceptance(pair, windows) for pair in scenario.pairs)


def _acceptance(pair: Pair, windows: int) -> AcceptanceEvidence:
    acceptance = pair.acceptance
    positions = min(windows, largest_window(acceptance) or windows)
    survival = survival_by_position(acceptance, positions)
    bounds = survival_bounds(acceptance, positions)
    recorded = None if isinstance(acceptance, DECLARED) else acceptance
    return AcceptanceEvidence(
        draft=pair.draft,
        target=pair.target,
        source=acceptance_form(acceptance),
        proposal=None if recorded is None else recorded.metadata.proposal,
        temperature=None if recorded is None else recorded.metadata.temperature,
        tokens=acceptance.match.size if isinstance(acceptance, TokenTrace) else None,
        requests=None if isinstance(recorded, AcceptanceCounts | None) else int(np.unique(recorded.request_id).size),
        survival=tuple(float(s) for s in survival),
        survival_low=None if bounds is None else tuple(float(s) for s in bounds[0]),
        survival_high=None if bounds is None else tuple(float(s) for s in bounds[1]),
        tasks=_match_rates(acceptance),
    )


def _match_rates(acceptance: Acceptance) -> dict[str, float] | None:
    """Share of proposals that the target accepted, by task."""
    if isinstance(acceptance, (*DECLARED, AcceptanceCounts)) or acceptance.task is None:
        return None
    rates = {}
    for task in np.unique(acceptance.task).tolist():
        rows = acceptance.for_task(task)
        if isinstance(rows, TokenTrace):
            rates[str(task)] = float(rows.match.mean())
        else:
            rates[str(task)] = float(rows.accepted.sum() / max(1, rows.proposed.sum()))
    return rates


def survival_bounds(acceptance: Acceptance, positions: int) -> tuple[Array, Array] | None:
    """95 % interval of s_i, i = 1 … positions, over requests; None for a declared law.

    A ratio estimate over requests as clusters gives the variance of s_i; Wilson's interval with the number of
    independent rounds that would have the same variance keeps it in [0, 1]. Counters tell no requests: their rounds are
    taken as independent, which makes the interval too narrow. (Cochran, Sampling Techniques, §6.3;
    Wilson 1927.) With one request there is nothing to estimate the variance from, and it counts as one round.
    """
    if isinstance(acceptance, DECLARED):
        return None
    if isinstance(acceptance, AcceptanceCounts):
        shares = survival_by_position(acceptance, positions)
        pairs = [_wilson(float(share), float(n)) for share, n in zip(shares, acceptance.reached, strict=False)]
        return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])
    request, proposed, accepted = _rounds(acceptance, positions)
    requests = int(request.max()) + 1
    survival = survival_by_position(acceptance, positions)
    low, high = np.empty(positions), np.empty(positions)
    for i in range(positions):
        tried = proposed > i
        asked = np.bincount(request[tried], minlength=requests).astype(np.float64)
        kept = np.bincount(request[tried & (accepted > i)], minlength=requests).astype(np.float64)
        low[i], high[i] = _wilson(float(survival[i]), _independent_tries(asked, kept))
    return low, high


def _rounds(acceptance: TokenTrace | RoundTrace, window: int) -> tuple[Indices, Indices, Indices]:
    """Request (0, 1, …), proposed and accepted tokens of every round; a token trace is played with `window`."""
    _, request = np.unique(acceptance.request_id, return_inverse=True)
    if isinstance(acceptance, RoundTrace):
        return request, acceptance.proposed, acceptance.accepted
    accepted = accepted_by_round(acceptance, window)
    starts = np.concatenate([[0], np.cumsum(accepted + 1)[:-1]])
    return request[starts], np.full(accepted.size, window), accepted


def _independent_tries(asked: Array, kept: Array) -> float:
    """Independent tries whose share would vary as the share over these clusters does."""
    clusters = int(np.count_nonzero(asked))
    total = float(asked.sum())
    if clusters < 2 or total == 0.0:
        return 1.0
    share = float(kept.sum()) / total
    if share in (0.0, 1.0):
        return float(clusters)
    residuals = kept - share * asked
    variance = clusters / (clusters - 1) * float(np.dot(residuals, residuals)) / total**2
    return total if variance == 0.0 else min(total, share * (1.0 - share) / variance)


def _wilson(share: float, tries: float) -> tuple[float, float]:
    z2 = LEVEL_Z**2
    centre = (share + z2 / (2.0 * tries)) / (1.0 + z2 / tries)
    half = LEVEL_Z / (1.0 + z2 / tries) * sqrt(share * (1.0 - share) / tries + z2 / (4.0 * tries**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def profile_evidence(scenario: Scenario) -> tuple[ProfileEvidence, ...]:
    """One entry a device and model."""
    found = []
    for device in scenario.devices:
        for model, profile in ((name, p) for name, p in device.profiles.items() if not costs_nothing(p)):
            contexts = [point.context_tokens for point in profile.points if point.phase == "decode"]
            surface = surface_of(profile)
            found.append(
                ProfileEvidence(
                    device=device.name,
                    model=model,
                    origin=profile.origin,
                    points=len(profile.points),
                    samples=sum(point.samples for point in profile.points),
                    decode_ms=float(decode_ms(surface, 1.0, 1.0, float(min(contexts, default=0)))),
                    fit_mean_error=profile.fit.mean_error,
                    fit_max_error=profile.fit.max_error,
                    measured_at=profile.measured_at,
                    method=profile.method,
                )
            )
    return tuple(found)
