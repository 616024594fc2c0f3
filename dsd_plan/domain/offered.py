"""Which of a workload's requests an assignment serves: its share, over all copies of the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.plan import Assignment
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace, Workload

Rows = NDArray[np.int64]
WHOLE = 1e-8
"""Error of a share written as a decimal up to which it is that of whole users."""


def requests_of(
    workload: Workload, assignments: Sequence[Assignment], index: int, copies: int
) -> tuple[PoissonRequests | ClosedRequests | RequestTrace, Rows | None]:
    """Requests that the `index`-th of the plan's assignments serves, and of a recording the rows that these are.

    Raises ValueError where they cannot be split so.
    """
    requests, share = workload.requests, assignments[index].share
    if isinstance(requests, PoissonRequests):
        return replace(requests, rate_per_s=requests.rate_per_s * share * copies), None
    if isinstance(requests, ClosedRequests):
        users = requests.users * share * copies
        whole = round(users)
        # A third of 30 users has no end as a decimal.
        if abs(users - whole) > WHOLE * requests.users * copies or whole < 1:
            raise ValueError(f"{share} of {requests.users * copies} users is not a whole number of users")
        return replace(requests, users=whole), None
    if copies != 1:
        raise ValueError(
            f"not supported yet: a recorded request trace at {copies} copies of a site; give each site its own"
        )
    before = sum(other.share for other in assignments[:index] if other.workload == workload.name)
    rows = recorded_rows(workload.name, requests, before, before + share)
    recorded = requests
    if rows.size < requests.arrival_s.size:
        if rows.size < 2 or np.ptp(requests.arrival_s[rows]) <= 0.0:
            raise ValueError(
                f"of the {requests.arrival_s.size} recorded requests {rows.size} fall to a share of {share:g}, too few "
                "to have a rate; record more, or give it a larger share"
            )
        mine = np.zeros(requests.arrival_s.size, dtype=np.bool_)
        mine[rows] = True
        recorded = requests.where(mine)
    if workload.rate_per_s is not None:
        recorded = replace(recorded, arrival_s=recorded.arrival_s * (requests.rate_per_s / workload.rate_per_s))
    return recorded, rows


def recorded_rows(name: str, requests: RequestTrace, low: float, high: float) -> Rows:
    """Rows of a recording whose lot lies in low ≤ lot < high; a share that reaches 1 takes what is left."""
    lots = lots_of(name, requests)
    return np.flatnonzero((lots >= low) & ((lots < high) | (high > 1.0 - 1e-9)))


def lots_of(name: str, requests: RequestTrace) -> NDArray[np.float64]:
    """A number from 0 to 1 for each request, by chance, but the same in every plan; one for a whole conversation."""
    place: NDArray[Any] = np.arange(requests.arrival_s.size)
    if requests.conversation is not None:
        _, first, of = np.unique(requests.conversation, return_index=True, return_inverse=True)
        place = first[of]
    mixed = place.astype(np.uint64) + np.uint64(crc32(name.encode()) << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed += np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
