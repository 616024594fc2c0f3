"""What a serving system shows of itself in its logs or metrics, and the first step law that agrees with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsd_plan.domain.acceptance import AcceptanceCounts, counted_totals
from dsd_plan.domain.performance import (
    FleetPerformance,
    Performance,
    Quantiles,
    WorkloadPerformance,
)

TOKEN_SHARE = 0.006
"""Of a step's time, what one more sequence adds: about that of a 70B model on one large accelerator."""
PREFILL_SHARE = 1.0 / 150.0
"""Of a step's time, what one prompt token adds, where no time to the first token tells."""
DRAFT_SHARE = 0.1
"""Of the target's step time, the draft's on the same device."""
MOST_PREFILL = 0.5
"""Of the engine's time; more would be a prefill time that holds waiting."""
NOT_TOLD = Quantiles()
UNTOLD_STEP_MS = 25.0
"""A step of a 70B model in 8 bit on one large accelerator, where nothing tells."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One interval of the history; None: not counted then."""

    at: str
    """Its start, UTC."""
    rate_per_s: float
    prompt_tokens: float | None
    output_tokens: float | None
    running: float | None
    ttft_ms: float | None
    tpot_ms: float | None


@dataclass(frozen=True, slots=True)
class PresentSystem:
    """What logs or metrics tell of a system in service. None: not told. Latencies are those at the server."""

    source: str
    """In words, for the comments of a scenario."""
    rate_per_s: float
    prompt_tokens: float
    output_tokens: float
    """Mean lengths."""
    model: str | None = None
    replicas: int | None = None
    requests: int | None = None
    cached_share: float | None = None
    """Of all prompt tokens, those that came from the prefix cache."""
    ttft_ms: Quantiles = NOT_TOLD
    tpot_ms: Quantiles = NOT_TOLD
    itl_ms: Quantiles = NOT_TOLD
    e2e_ms: Quantiles = NOT_TOLD
    prefill_ms_per_token: float | None = None
    """Of the quickest tenth of the requests, which hardly waited."""
    running: float | None = None
    """Mean number of requests in service, on all replicas together."""
    tokens_per_round: float | None = None
    """Where the system speculates already."""
    acceptance: AcceptanceCounts | None = None
    hours: tuple[Hour, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def speculates(self) -> bool:
        """Whether tokens come in rounds already."""
        return self.round_tokens > 1.0

    @property
    def round_tokens(self) -> float:
        """Tokens of a round: 1 where the system does not speculate."""
        if self.acceptance is not None:
            told = counted_totals(self.acceptance)["mean_tokens_per_round"]
            return float(told) if told else 1.0
        return self.tokens_per_round or 1.0

    @property
    def window(self) -> int | None:
        """Proposals a round, where the counters tell positions."""
        return len(self.acceptance.reached) or None if self.acceptance is not None else None


@dataclass(frozen=True, slots=True)
class FirstLaw:
    """A step law guessed from means, the replicas that it asks for, and what it rests on."""

    step_ms: float
    per_token_ms: float
    per_prompt_token_ms: float
    replicas: int
    batch: float
    """Sequences in a step, on one replica."""
    from_tpot: bool
    from_ttft: bool


def first_law(seen: PresentSystem, replicas: int | None = None) -> FirstLaw:
    """The law under which a step with the mean batch and its share of prefill takes the TPOT that was measured.

    With λ the requests a second on one replica, P their prompt tokens and c the time of one, prefill takes the
    share λ·P·c of the engine's time, so a step of decoding alone takes TPOT · (1 − λ·P·c) = step + per_token · batch.
    Where no TPOT is told the step is that of a 70B model, and the replicas are as many as keep it at 60 % of its time.
    """
    tpot_ms = seen.tpot_ms.mean or seen.itl_ms.mean
    count = replicas or seen.replicas
    if tpot_ms is None:
        return _untold(seen, count)
    count = count or 1
    round_ms = tpot_ms * seen.round_tokens
    rate_per_ms = seen.rate_per_s / count / 1000.0
    prompt = seen.prompt_tokens * (1.0 - (seen.cached_share or 0.0))
    prefill_ms = seen.prefill_ms_per_token
    per_prompt_ms = PREFILL_SHARE * round_ms if prefill_ms is None else prefill_ms
    work = rate_per_ms * prompt
    if work > 0:
        per_prompt_ms = min(per_prompt_ms, MOST_PREFILL / work)
    batch = seen.running / count if seen.running else rate_per_ms * seen.output_tokens * tpot_ms
    batch = max(batch, 1.0)
    decode_ms = round_ms * (1.0 - work * per_prompt_ms)
    drafts = DRAFT_SHARE * (seen.window or 0)
    step_ms = decode_ms / (1.0 + drafts + TOKEN_SHARE * batch)
    return FirstLaw(
        step_ms=step_ms,
        per_token_ms=TOKEN_SHARE * step_ms,
        per_prompt_token_ms=per_prompt_ms,
        replicas=count,
        batch=batch,
        from_tpot=True,
        from_ttft=prefill_ms is not None,
    )


def _untold(seen: PresentSystem, replicas: int | None) -> FirstLaw:
    step_ms, per_token_ms = UNTOLD_STEP_MS, TOKEN_SHARE * UNTOLD_STEP_MS
    per_prompt_ms = PREFILL_SHARE * UNTOLD_STEP_MS
    prompt = seen.prompt_tokens * (1.0 - (seen.cached_share or 0.0))
    # A request's own work, and its part of a step that 64 share.
    request_ms = prompt * per_prompt_ms + seen.output_tokens * (per_token_ms + step_ms / 64.0)
    needed = math.ceil(seen.rate_per_s * request_ms / 1000.0 / 0.6)
    count = replicas or max(needed, 1)
    batch = max(seen.rate_per_s / count * seen.output_tokens * step_ms / 1000.0, 1.0)
    return FirstLaw(step_ms, per_token_ms, per_prompt_ms, count, batch, from_tpot=False, from_ttft=False)


def present_performance(seen: PresentSystem, workload: str, replicas: int, price_per_hour: float | None) -> Performance:
    """What was measured, to lay a prediction beside; the rest is None.

    The fleet's cost is `replicas` at the price given; without a price it is that of the scenario's placeholder, 1
    a replica, and a note says so.
    """
    tokens_per_s = seen.rate_per_s * seen.output_tokens
    cost = replicas * (1.0 if price_per_hour is None else price_per_hour)
    notes = [f"measured: {seen.source}", "times are the server's own: the way to the users is not in them"]
    if price_per_hour is None:
        notes.append("cost_per_hour counts 1 a replica: no price was given")
    served = WorkloadPerformance(
        name=workload,
        requests=seen.requests,
        ttft_ms=seen.ttft_ms,
        tpot_ms=seen.tpot_ms,
        itl_ms=seen.itl_ms,
        e2e_ms=seen.e2e_ms,
        requests_per_s=seen.rate_per_s,
        tokens_per_s=tokens_per_s,
        goodput_per_s=None,
        slo_attainment=None,
        tokens_per_round=seen.round_tokens if seen.speculates else None,
        acceptance_rate=None,
        rounds_per_request=None,
        energy_j_per_token=None,
        bytes_per_token=None,
    )
    fleet = FleetPerformance(
        tokens_per_s=tokens_per_s,
        goodput_per_s=None,
        power_w=None,
        energy_j_per_token=None,
        cost_per_hour=cost,
        cost_per_million_tokens=None if price_per_hour is None else cost / (tokens_per_s * 3600.0) * 1e6,
    )
    return Performance(source="measured", workloads=(served,), devices=(), fleet=fleet, notes=(*notes, *seen.notes))
