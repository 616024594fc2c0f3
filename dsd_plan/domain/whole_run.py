"""What one finite run saw, request by request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class WholeRun:
    """Every request of a recording, in order of arrival; times in ms, from the recording's first arrival on."""

    arrival_ms: Reals
    stream: NDArray[np.int64]
    """Which assignment of the plan served it."""
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    first_ms: Reals
    """When its first token reached the user."""
    last_ms: Reals
    preemptions: int | None
    """Times that an engine-like target took a session's blocks away; None where there is no such target."""
    running_mean: float | None
    """Mean of sessions in a step of engine-like targets, over the time that they were stepping; None without any."""
    mean_batch: float | None
    """Mean of jobs in an iteration of plain targets; None where there is no such target."""
    met_budgets: NDArray[np.bool_]
    """By request, whether it kept every latency budget of its workload."""
    gap_ms: Reals
    """Gaps between distinct arrivals of tokens, of all requests; `gap_stream` says whose."""
    gap_stream: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """The requests as a table."""
    notes: tuple[str, ...] = ()
    """What to know about the run: what its faults did, what waited for memory, what was extrapolated."""

    @property
    def ttft_ms(self) -> Reals:
        """Time to first token."""
        return self.first_ms - self.arrival_ms

    @property
    def e2e_ms(self) -> Reals:
        """Time to last token."""
        return self.last_ms - self.arrival_ms

    @property
    def tpot_ms(self) -> Reals:
        """Mean time per token after the first; NaN for requests of one token."""
        after_first = np.maximum(self.output_tokens - 1, 1)
        spread = (self.last_ms - self.first_ms) / after_first
        return np.where(self.output_tokens > 1, spread, np.nan)

    @property
    def makespan_s(self) -> float:
        """From the first arrival to the last token."""
        return float(self.last_ms.max() - self.arrival_ms.min()) / MS_PER_S
