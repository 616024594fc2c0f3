"""What one replication is asked for, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from dsd_plan.replay.layout import Rows


@dataclass(frozen=True, slots=True)
class Horizon:
    """When measuring may begin and when it ends: by count of requests started, or by time where a recording ends."""

    warm: tuple[int, ...]
    """Candidates, in order."""
    requests: int
    warm_ms: float = inf
    end_ms: float = inf


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Sums up to an instant. Work in progress counts for the part that is done."""

    at_ms: float
    started: int
    step_ms: NDArray[np.float64]
    """By replica; `draft_ms` likewise, what fused drafts took there."""
    draft_ms: NDArray[np.float64]
    iterations: NDArray[np.int64]
    jobs: NDArray[np.int64]
    device_ms: NDArray[np.float64]
    """By draft device."""
    work: Rows
    sent_ms: NDArray[np.float64]
    """By lane of a thin link, how long it has sent; `sent_bytes` counts a message when it begins to wait for it."""
    sent_bytes: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """One replication at its end: sums at the marks, and what came too late."""

    marks: tuple[Mark, ...]
    """The last one ends the measuring; at each of the others it may begin."""
    refused: int
    """Requests that came after the most that a run may start: arrivals did not go on to its end."""
    memory_waits: NDArray[np.int64]
    """By replica, over the whole run."""
