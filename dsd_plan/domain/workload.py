"""What users ask for: request streams, and the latency they were promised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.records import Count, Integer, Name, NonNegative, Positive, Probability, record


@record
class PoissonRequests:
    """Open Poisson arrivals of requests of fixed lengths."""

    rate_per_s: Positive
    prompt_tokens: Count
    output_tokens: Count

    @property
    def prefill_tokens(self) -> int:
        """Tokens of a prompt that have to be prefilled: all of them."""
        return self.prompt_tokens


@record
class ClosedRequests:
    """A fixed number of users who ask, read for an exponential think time, and ask again."""

    users: Count
    think_s: NonNegative
    prompt_tokens: Count
    output_tokens: Count

    @property
    def prefill_tokens(self) -> int:
        """Tokens of a prompt that have to be prefilled: all of them."""
        return self.prompt_tokens


@dataclass(frozen=True, slots=True, eq=False)
class RequestTrace:
    """Recorded requests, ordered by arrival; arrays are parallel."""

    arrival_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    cached_prefix_tokens: NDArray[np.int64] | None = None
    """Of the prompt, in the cache already, the draft's too; None: nothing is."""
    workload: NDArray[np.str_] | None = None
    task: NDArray[np.str_] | None = None
    user: NDArray[Any] | None = None
    conversation: NDArray[Any] | None = None
    turn: NDArray[np.int64] | None = None
    """Index of the request in its conversation."""

    @property
    def prefill_tokens(self) -> NDArray[np.int64]:
        """Tokens of each prompt that have to be prefilled."""
        cached = self.cached_prefix_tokens
        return self.prompt_tokens if cached is None else self.prompt_tokens - cached

    def where(self, rows: NDArray[np.bool_]) -> RequestTrace:
        """The requests of these rows."""
        columns: dict[str, Any] = {field: getattr(self, field) for field in self.__slots__}
        return replace(self, **{field: values[rows] for field, values in columns.items() if values is not None})

    def of_workload(self, name: str) -> RequestTrace:
        """The rows of one workload; all where the trace tags none. Raises KeyError naming those there are."""
        if self.workload is None:
            return self
        known = sorted(set(self.workload.tolist()))
        if name not in known:
            raise KeyError(f"no rows of workload {name!r}; the trace has {known}")
        return self.where(self.workload == name)

    @property
    def rate_per_s(self) -> float:
        """Mean arrival rate over the span of the trace."""
        span = float(self.arrival_s[-1] - self.arrival_s[0])
        if span <= 0:
            raise ValueError("a trace needs requests at two different times to have a rate")
        return (self.arrival_s.size - 1) / span


Requests = PoissonRequests | ClosedRequests | RequestTrace

METRICS = ("ttft", "tpot", "itl", "e2e")
STATISTICS = ("p50", "p95", "p99")


@record
class Budgets:
    """What a workload was promised; None: nothing was promised."""

    ttft_p50_ms: Positive | None = None
    ttft_p95_ms: Positive | None = None
    ttft_p99_ms: Positive | None = None
    tpot_p50_ms: Positive | None = None
    tpot_p95_ms: Positive | None = None
    tpot_p99_ms: Positive | None = None
    itl_p50_ms: Positive | None = None
    itl_p95_ms: Positive | None = None
    itl_p99_ms: Positive | None = None
    e2e_p50_ms: Positive | None = None
    e2e_p95_ms: Positive | None = None
    e2e_p99_ms: Positive | None = None
    goodput_share: Probability | None = None
    """Least share of requests that must meet every latency limit above."""
    pace_tokens_per_s: Positive | None = None
    stall_share: Probability | None = None

    def limits(self) -> tuple[tuple[str, str, float], ...]:
        """(metric, statistic, limit in ms) of every latency budget set, e.g. ("ttft", "p95", 800.0)."""
        found = []
        for metric in METRICS:
            for statistic in STATISTICS:
                limit = getattr(self, f"{metric}_{statistic}_ms")
                if limit is not None:
                    found.append((metric, statistic, float(limit)))
        return tuple(found)


@record
class Workload:
    """One class of requests, entering at a site and served by one target model."""

    name: Name
    site: Name
    target: Name
    requests: Requests
    rate_per_s: Positive | None = None
    """Beside a trace: replay it at this mean rate instead of its own."""
    task: Name | None = None
    """Which rows of the acceptance trace apply."""
    priority: Integer = 0
    allowed_sites: tuple[Name, ...] | None = None
    """Where this workload's text may go; None: anywhere."""
    budgets: Budgets = Budgets()
    hourly_load: tuple[NonNegative, ...] | None = None
    """24 factors on its load, from midnight on; None: the same in every hour."""
    degraded_budgets: Budgets | None = None
    """What users accept while every draft away from its target is lost; None: the budgets hold then too."""
