"""How many proposed tokens the target accepts: laws and recorded traces, and what they say of a round.

A round with window γ proposes γ tokens, X of them are accepted, and X + 1 tokens are emitted.
With survival s_i = P(first i proposals all accepted), E[X + 1] = 1 + Σ_{i≤γ} s_i; independence is not needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, accepted_pmf_of
from dsd_plan.domain.records import Count, Natural, Positive, Probability, record

Proposal = Literal["argmax", "sampled"]
Array = NDArray[np.float64]


@record
class AcceptanceLaw:
    """Acceptance written down rather than recorded: one rate for independent tokens, or survival by position."""

    per_token: Probability | None = None
    survival: tuple[Probability, ...] | None = None
    """survival[i − 1] = P(first i proposals all accepted); must not increase."""
    measured_window: Count | None = None
    """With survival: positions past it were extrapolated; None: none were, or nothing was measured."""


@dataclass(frozen=True, slots=True)
class TraceMetadata:
    """Where an acceptance trace comes from."""

    draft: str
    target: str
    tokenizer_hash: str
    proposal: Proposal
    recorder: str
    version: str
    temperature: float | None = None
    top_p: float | None = None
    """Share of the probability that sampling keeps; 1 keeps all, None is not told."""
    candidates: int | None = None
    """Candidate paths a round; None is not told."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenTrace:
    """One entry a generated token: did the draft's proposal at this point equal the token that the target emitted?

    Replays every window on the same content: a round accepts the run of matches up to γ, the next round starts
    after the first miss. Arrays are parallel, ordered by request and position.
    """

    metadata: TraceMetadata
    request_id: NDArray[np.int64]
    match: NDArray[np.uint8]
    task: NDArray[np.str_] | None = None
    confidence: Array | None = None
    context_tokens: NDArray[np.int64] | None = None

    def for_task(self, task: str) -> TokenTrace:
        """The rows of one task. Raises KeyError naming the tasks there are."""
        if self.task is None or not bool(np.any(self.task == task)):
            known = [] if self.task is None else sorted(set(self.task.tolist()))
            raise KeyError(f"no rows of task {task!r}; the trace has {known}")
        keep = self.task == task
        return TokenTrace(
            metadata=self.metadata,
            request_id=self.request_id[keep],
            match=self.match[keep],
            task=self.task[keep],
            confidence=None if self.confidence is None else self.confidence[keep],
            context_tokens=None if self.context_tokens is None else self.context_tokens[keep],
        )

    def request_starts(self) -> NDArray[np.int64]:
        """Index of the first row of each request."""
        return _starts(self.request_id)


MORE_OF_A_ROUND = ("context_tokens", "candidates", "draft_ms", "verify_ms")
"""What a round trace may tell beside acceptance and task; nothing computes with it."""


@dataclass(frozen=True, slots=True, eq=False)
class RoundTrace:
    """One entry a round of real speculation: how many tokens were proposed and accepted."""

    metadata: TraceMetadata
    request_id: NDArray[np.int64]
    proposed: NDArray[np.int64]
    accepted: NDArray[np.int64]
    task: NDArray[np.str_] | None = None
    context_tokens: NDArray[np.int64] | None = None
    candidates: NDArray[np.int64] | None = None
    draft_ms: Array | None = None
    verify_ms: Array | None = None

    def request_starts(self) -> NDArray[np.int64]:
        """Index of the first row of each request."""
        return _starts(self.request_id)

    @property
    def several_paths(self) -> bool:
        """Whether a round verified more than one candidate path."""
        told = self.metadata.candidates or 1
        return told > 1 or (self.candidates is not None and bool(np.any(self.candidates > 1)))

    def for_task(self, task: str) -> RoundTrace:
        """The rows of one task. Raises KeyError naming the tasks there are."""
        if self.task is None or not bool(np.any(self.task == task)):
            known = [] if self.task is None else sorted(set(self.task.tolist()))
            raise KeyError(f"no rows of task {task!r}; the trace has {known}")
        keep = self.task == task
        return RoundTrace(
            metadata=self.metadata,
            request_id=self.request_id[keep],
            proposed=self.proposed[keep],
            accepted=self.accepted[keep],
            task=self.task[keep],
            **{name: values[keep] for name in MORE_OF_A_ROUND if (values := getattr(self, name)) is not None},
        )


def _starts(request_id: NDArray[np.int64]) -> NDArray[np.int64]:
    changes = np.flatnonzero(np.diff(request_id)) + 1
    return np.concatenate([np.zeros(1, dtype=np.int64), changes.astype(np.int64)])


@record
class AcceptanceCounts:
    """Acceptance as engines count it: sums over rounds, without the rounds.

    Where positions are told, survival follows; where only totals are, nothing is known of positions. What the
    source does not tell is empty or None, never made up.
    """

    metadata: TraceMetadata
    reached: tuple[Natural, ...] = ()
    """Rounds in which position 1, 2, … was proposed."""
    kept: tuple[Natural, ...] = ()
    """Rounds in which the first 1, 2, … proposals were all accepted."""
    rounds: Natural | None = None
    proposed: Natural | None = None
    accepted: Natural | None = None
    """In all rounds together, where positions are not told."""
    window: Count | None = None
    """Proposals a round, where positions are not told."""
    tokens_per_round: Positive | None = None
    """Mean, where not even totals are told."""

    @property
    def task(self) -> None:
        """Counters tell no tasks."""


DECLARED = (AcceptanceLaw, BetaLaw, MarkovLaw)
"""Laws: written down, or fitted to what was recorded elsewhere."""

Acceptance = AcceptanceLaw | BetaLaw | MarkovLaw | TokenTrace | RoundTrace | AcceptanceCounts


def acceptance_form(acceptance: Acceptance) -> str:
    """What kind of evidence it is, in words."""
    forms = {
        TokenTrace: "token trace",
        RoundTrace: "round trace",
        AcceptanceCounts: "counters",
        BetaLaw: "fitted law of rates by request",
        MarkovLaw: "fitted law of states over rounds",
    }
    return forms.get(type(acceptance), "declared law")


def counted_totals(counts: AcceptanceCounts) -> dict[str, int | float | None]:
    """Sums over all rounds: counted, or from the positions; None where nothing tells them."""
    if not counts.reached:
        told = counts.rounds and counts.accepted is not None
        emitted = 1.0 + (counts.accepted or 0) / counts.rounds if told and counts.rounds else None
        return {
            "rounds": counts.rounds,
            "proposed": counts.proposed,
            "accepted": counts.accepted,
            "mean_tokens_per_round": emitted if counts.tokens_per_round is None else counts.tokens_per_round,
        }
    accepted = sum(counts.kept)
    return {
        "rounds": counts.reached[0],
        "proposed": sum(counts.reached),
        "accepted": accepted,
        "mean_tokens_per_round": 1.0 + accepted / counts.reached[0],
    }


@lru_cache(maxsize=64)
def for_task(acceptance: Acceptance, task: str | None) -> Acceptance:
    """Acceptance of one task; a law has no tasks and stays as it is. Raises KeyError where the task is not told."""
    if task is None or isinstance(acceptance, DECLARED):
        return acceptance
    if isinstance(acceptance, AcceptanceCounts):
        raise KeyError(f"no rows of task {task!r}; counters tell no tasks")
    return acceptance.for_task(task)


def largest_window(acceptance: Acceptance) -> int | None:
    """Largest window that the evidence covers; None: any."""
    if isinstance(acceptance, RoundTrace):
        return int(acceptance.proposed.max())
    if isinstance(acceptance, AcceptanceCounts):
        return len(acceptance.reached)
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        return acceptance.largest_window
    if isinstance(acceptance, AcceptanceLaw) and acceptance.survival is not None:
        return len(acceptance.survival)
    return None


TYPICAL_TOKENS = 256
"""Where rounds depend on one another, a round "picked at random" is one of requests of so many tokens."""


@lru_cache(maxsize=512)
def accepted_pmf(acceptance: Acceptance, window: int) -> Array:
    """P(accepted = j) for j = 0 … window, shape (window + 1,). Raises ValueError past the largest window known."""
    limit = largest_window(acceptance)
    if window < 1 or (limit is not None and window > limit):
        raise ValueError(f"window {window} lies outside what acceptance was measured for (1–{limit})")
    if isinstance(acceptance, TokenTrace):
        accepted = accepted_by_round(acceptance, window)
        pmf = np.bincount(accepted, minlength=window + 1) / accepted.size
    elif isinstance(acceptance, BetaLaw | MarkovLaw):
        pmf = accepted_pmf_of(acceptance, window, TYPICAL_TOKENS).copy()
    else:
        survival = np.concatenate([[1.0], survival_by_position(acceptance, window), [0.0]])
        pmf = survival[:-1] - survival[1:]
    pmf.flags.writeable = False  # shared by every caller through the cache
    return pmf


def survival_by_position(acceptance: Acceptance, window: int) -> Array:
    """s_i = P(first i proposals all accepted) for i = 1 … window, shape (window,)."""
    if isinstance(acceptance, TokenTrace | BetaLaw | MarkovLaw):
        pmf = accepted_pmf(acceptance, window)
        survival: Array = 1.0 - np.cumsum(pmf)[:-1]
        return survival
    if isinstance(acceptance, RoundTrace):
        positions = np.arange(1, window + 1)
        asked = np.array([np.count_nonzero(acceptance.proposed >= i) for i in positions])
        kept = np.array([np.count_nonzero(acceptance.accepted >= i) for i in positions])
        return np.minimum.accumulate(kept / asked)
    if isinstance(acceptance, AcceptanceCounts):
        shares: Array = np.array(acceptance.kept[:window]) / np.array(acceptance.reached[:window])
        return np.minimum.accumulate(shares)
    if acceptance.survival is not None:
        return np.array(acceptance.survival[:window])
    if acceptance.per_token is None:
        raise ValueError("an acceptance law needs per_token or survival")
    powers: Array = acceptance.per_token ** np.arange(1, window + 1, dtype=np.float64)
    return powers


def tokens_per_round(acceptance: Acceptance, window: int) -> float:
    """E[X + 1], before the last round of a request is cut."""
    return float(1.0 + np.dot(np.arange(window + 1), accepted_pmf(acceptance, window)))


def accepted_by_round(trace: TokenTrace, window: int) -> NDArray[np.int64]:
    """Accepted tokens of each round when `window` is played over the whole trace, requests joined end to end."""
    misses = np.flatnonzero(trace.match == 0)
    rounds: list[int] = []
    position, total, next_miss = 0, trace.match.size, 0
    while position + window < total:
        while next_miss < misses.size and misses[next_miss] < position:
            next_miss += 1
        run = (misses[next_miss] if next_miss < misses.size else total) - position
        accepted = min(window, int(run))
        rounds.append(accepted)
        position += accepted + 1
    if not rounds:
        raise ValueError(f"trace of {total} tokens is shorter than one round of window {window}")
    return np.array(rounds, dtype=np.int64)
