"""Recorded acceptance, and laws fitted to it, arranged for reading. None: the trace does not tell."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.acceptance import TraceMetadata
from dsd_plan.domain.acceptance_law import FittedLaw

Ends = tuple[float, float]
"""A 95 % interval."""


@dataclass(frozen=True, slots=True)
class PositionRow:
    """Position i of the window: kept where all before it were, and the first i kept in all."""

    position: int
    tried: int
    kept: int
    wilson: Ends
    over_requests: Ends | None
    """Bootstrap interval in which requests, not tokens, are drawn."""
    survival: float
    """Of rounds that proposed as much, those that kept the first i."""
    survival_ends: Ends
    """Over requests; of counters Wilson's."""
    survival_at_one_rate: float
    """What it were if every proposal were kept at the mean rate."""

    @property
    def share(self) -> float:
        """Kept over tried."""
        return self.kept / self.tried

    @property
    def ends(self) -> Ends:
        """The wider of both intervals."""
        over = self.over_requests or self.wilson
        return min(self.wilson[0], over[0]), max(self.wilson[1], over[1])


@dataclass(frozen=True, slots=True)
class WindowRow:
    """Rounds of one window."""

    window: int
    played: bool
    """Whether rounds of this window were recorded, or tokens that replay any; else larger ones are cut short."""
    rounds: int
    tokens_per_round: float
    ends: Ends | None
    """Over requests."""
    at_one_rate: float
    """Tokens a round if every proposal were kept at the mean rate."""
    histogram: tuple[int, ...]
    """Rounds that kept 0, 1, … window proposals."""
    histogram_at_one_rate: tuple[float, ...]
    """As many rounds, if every proposal were kept at the mean rate."""


@dataclass(frozen=True, slots=True)
class LagRow:
    """Correlation of what two rounds of a request keep that lie `lag` apart."""

    lag: int
    pairs: int
    correlation: float
    """About the mean of all rounds."""
    ends: Ends | None
    """Over requests."""
    within: float | None
    """About the mean of the request's own rounds."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A part of the rows."""

    of: str
    """"task" or "context"."""
    name: str
    requests: int
    rounds: int
    tokens_per_round: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RequestSpread:
    """How tokens a round differ from request to request."""

    edges: tuple[float, ...]
    requests: tuple[int, ...]
    """Between two edges."""
    by_chance: tuple[float, ...]
    """Requests that would lie there if rounds were shuffled among all requests."""
    p5: float
    p50: float
    p95: float
    chance_p5: float
    chance_p95: float
    between: float | None
    """Share of the variance of a round that lies between requests."""


@dataclass(frozen=True, slots=True)
class AcceptanceView:
    """A trace of acceptance, or counters of it."""

    form: str
    """"token trace", "round trace" or "counters"."""
    metadata: TraceMetadata
    requests: int | None
    entries: int | None
    """Tokens of a token trace, else rounds."""
    rate: float | None
    """Kept over tried: what one rate for every proposal would be."""
    mean_tokens_per_round: float | None
    """Of counters, where positions are not told."""
    window: int
    """At which positions and bursts are described; 0 where no positions are told."""
    positions: tuple[PositionRow, ...]
    windows: tuple[WindowRow, ...] = ()
    lags: tuple[LagRow, ...] = ()
    full_after_full: float | None = None
    full_after_short: float | None = None
    short: int = 0
    """Proposals that a short round keeps at most."""
    spread: RequestSpread | None = None
    groups: tuple[GroupRow, ...] = ()


@dataclass(frozen=True, slots=True)
class LawAtWindow:
    """A law beside the trace at one window."""

    window: int
    tokens_per_round: float
    error: float
    """Of tokens a round, relative."""
    outside: bool
    """Whether tokens a round lie outside the trace's 99 % interval."""
    variance_error: float | None
    """Of accepted, relative."""
    rounds_variance_error: float | None
    """Of the rounds in which a request emits so many tokens, relative."""


@dataclass(frozen=True, slots=True)
class WindowChosen:
    """The window that a law chooses at these costs of a draft step and a round trip, in verify steps."""

    draft_cost: float
    round_trip: float
    window: int
    best: int
    slower: float


@dataclass(frozen=True, slots=True)
class LawRow:
    """One candidate, judged on requests that its fit had not seen."""

    name: str
    parameters: int
    bits_behind: float
    standard_error: float
    rejected: bool
    falls_behind: bool
    """Whether held-out likelihood alone rejects it."""
    windows: tuple[LawAtWindow, ...]
    choices: tuple[WindowChosen, ...]

    @property
    def outside(self) -> tuple[int, ...]:
        """Windows at which it lies outside what was recorded."""
        return tuple(each.window for each in self.windows if each.outside)

    @property
    def worst(self) -> LawAtWindow:
        """Where it errs most in tokens a round."""
        return max(self.windows, key=lambda each: abs(each.error))

    @property
    def worst_choice(self) -> WindowChosen:
        """Where choosing a window by it loses most."""
        return max(self.choices, key=lambda each: each.slower)


@dataclass(frozen=True, slots=True)
class RecordedTokens:
    """Tokens a round that the trace itself shows, with a 99 % interval over requests."""

    window: int
    tokens_per_round: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AcceptanceFitView:
    """A fitted law and what it was chosen from; of counters the law alone."""

    law: FittedLaw
    laws: tuple[LawRow, ...] = ()
    """Simplest first."""
    chosen: str = ""
    asked_for: bool = False
    """Whether somebody named the law instead of the test."""
    emitted_tokens: int = 0
    """Of the rounds whose variance is compared."""
    recorded: tuple[RecordedTokens, ...] = ()
    warnings: tuple[str, ...] = ()

    def of(self, name: str) -> LawRow:
        """The candidate of that name."""
        return next(one for one in self.laws if one.name == name)
