"""What one replication is asked for, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from dsd_plan.replay.layout import Rows


@dataclass(frozen=True, slots=True)
class Horizon:
    """When measuring begins and ends: by count of requests started, or by time where a recording ends."""

    warm: int
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


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What one replication leaves: every session, every group of tokens, and sums at the two marks."""

    sessions: Rows
    groups: Rows
    replicas: Rows
    devices: Rows
    opened: Mark
    closed: Mark
    refused: int
    """Requests that came after the most that a run may start: arrivals did not go on to its end."""
