"""One workload on the axes that a decision hangs on: which mode is fastest at a round trip, an acceptance, a load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from dsd_plan.domain.acceptance import Acceptance
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.scenario import Mode
from dsd_plan.domain.workload import ClosedRequests
from dsd_plan.errors import PlanError, ScenarioError
from dsd_plan.optimize.choices.choice import EDGE_MODES, SIMPLEST_FIRST, Choice
from dsd_plan.optimize.choices.variation import (
    first_accepted,
    matched_law,
    prompt_tokens,
    route_rtt_ms,
    stream_of,
    with_acceptance,
    with_load,
    with_prompts,
    with_rtt,
)
from dsd_plan.optimize.outlook.contenders import Contender, Explorer
from dsd_plan.optimize.outlook.curves import knee

RTT_RANGE_MS = (1.0, 200.0)
ACCEPTANCE_RANGE = (0.2, 0.96)
LOAD_SHARES_OF_KNEE = (0.1, 1.2)
MOST_LOAD = 30.0
"""Multiple of today's load beyond which nothing is mapped: a few users who rarely ask would be made thousands."""
USUAL_WINDOW = 4
CLEAR_LEAD = 0.3
"""Lead in TPOT at windows that were best nearby which no other window makes up for."""
SURELY_SLOWER = 0.02
"""Share of TPOT by which the next window has to be the slower one, as far as the way alone makes it, to go unasked."""
UPWARD: tuple[int, ...] = (1,)
BOTH_WAYS: tuple[int, ...] = (1, -1)


@dataclass(frozen=True, slots=True)
class Condition:
    """Inputs that are changed for one workload; None: as they are."""

    rtt_ms: float | None = None
    acceptance: float | None = None
    """Of the first proposal of a round; later ones change in proportion."""
    load: float | None = None
    """Multiple of what every workload asks today."""
    prompts: float | None = None
    """Multiple of the length of the workload's prompts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Mean TPOT of a mode at its best window; None: no steady state at any window tried."""

    mode: Mode
    window: int
    tpot_ms: float | None


@dataclass(frozen=True, slots=True)
class Turn:
    """By how much the next window was the slower one at a round trip, and what a longer one takes off that, ms a ms."""

    rtt_ms: float
    slower_ms: float
    closing: float


Turns = dict[tuple[Mode, int], Turn]
"""By mode and window, along ways that get longer while all else is held."""


class Ground:
    """One workload, the modes that it could run in, and where it lies today."""

    def __init__(self, explorer: Explorer, chosen: Choice, workload: str, contenders: tuple[Contender, ...]) -> None:
        self.workload = workload
        self.contenders = contenders
        self.rtt_ms: float | None = None
        """Mean round trip of its route; None: it is served at its own site."""
        self.pair: Acceptance | None = None
        """Of the draft whose acceptance is moved: the chosen plan's, else the first that a contender has."""
        self._explorer = explorer
        self._known: dict[tuple[Choice, Condition], tuple[float | None, float | None]] = {}
        """Mean TPOT, and tokens a round."""
        pairs: dict[str | None, Acceptance] = {}
        for contender in contenders:
            stream = stream_of(explorer.deployed(contender.choices[0]), workload)
            if stream.up and self.rtt_ms is None:
                self.rtt_ms = route_rtt_ms(stream)
            if stream.acceptance is not None:
                pairs.setdefault(stream.assignment.draft_model, stream.acceptance)
        mine = next(c.draft_model for c in chosen.candidates if c.workload == workload)
        self._draft = mine if mine in pairs else next(iter(pairs), None)
        self.pair = pairs.get(self._draft)
        # What goes on ahead guesses a token more than it proposes.
        self._windows = 1 + max(window for contender in contenders for window in contender.windows)
        self.acceptance = None if self.pair is None else first_accepted(self.pair, self._windows)
        """Of the first proposal of a round; None: it has no draft."""
        self.knee = knee(explorer, explorer.deployed(chosen))
        """Multiple of today's load at which the chosen plan saturates."""
        here = next(candidate for candidate in chosen.candidates if candidate.workload == workload)
        window = here.window or USUAL_WINDOW
        self.near: Mapping[Mode, int] = {"fused": window, "distributed": window, "pipelined": window}
        """A good window of each mode, to start from."""
        requests = stream_of(explorer.deployed(chosen), workload).requests
        self.prompt_tokens = prompt_tokens(stream_of(explorer.deployed(chosen), workload))
        """Mean of its requests."""
        self._closed = isinstance(requests, ClosedRequests)

    @property
    def load_range(self) -> tuple[float, float]:
        """Loads worth a look, as multiples of today's; today's is among them."""
        low, high = (share * self.knee for share in LOAD_SHARES_OF_KNEE)
        return min(low, 0.5), min(max(high, 1.5), MOST_LOAD)

    def standings(
        self,
        condition: Condition,
        near: Mapping[Mode, int],
        directions: Sequence[int] = BOTH_WAYS,
        turns: Turns | None = None,
    ) -> tuple[Standing, ...]:
        """Every mode at its best window, the fastest first; those without a steady state last.

        The window is found downhill from `near`, in the `directions` given: TPOT over γ has one valley. Along ways that
        get longer, `turns` is kept: of a mode that is far behind, a window far from being the better one is then known
        without asking.
        """
        found: list[Standing] = []
        for contender in self.contenders:
            ahead_ms = min((_or_worst(standing.tpot_ms) for standing in found), default=inf)
            found.append(self._standing(contender, condition, near, directions, turns, ahead_ms))
        return tuple(sorted(found, key=lambda s: (_or_worst(s.tpot_ms), SIMPLEST_FIRST.index(s.mode))))

    def _index(self, contender: Contender, near: Mapping[Mode, int]) -> int:
        wanted = near.get(contender.mode, 0)
        return min(range(len(contender.windows)), key=lambda i: abs(contender.windows[i] - wanted))

    def _standing(
        self,
        contender: Contender,
        condition: Condition,
        near: Mapping[Mode, int],
        directions: Sequence[int],
        turns: Turns | None,
        ahead_ms: float,
    ) -> Standing:
        """`ahead_ms`: TPOT of the fastest mode so far."""

        def at(index: int) -> float:
            return _or_worst(self.tpot_ms(contender, index, condition))

        last = len(contender.windows) - 1
        here = self._index(contender, near)
        if at(here) == inf:
            # Where the nearest window saturates, any other may be the one that does not.
            here = min(range(last + 1), key=at)
        for step in directions:
            while 0 <= here + step <= last:
                behind = step == 1 and at(here) > ahead_ms * (1.0 + CLEAR_LEAD)
                if (behind and self._slower(contender, here, condition, turns)) or at(here + step) >= at(here):
                    break
                here += step
        return Standing(contender.mode, contender.windows[here], self.tpot_ms(contender, here, condition))

    def tpot_ms(self, contender: Contender, index: int, condition: Condition) -> float | None:
        """Mean TPOT of the workload with the contender's `index`-th window; None without a steady state."""
        return self._asked(contender, index, condition)[0]

    def _slower(self, contender: Contender, index: int, condition: Condition, turns: Turns | None) -> bool:
        """Whether the next window is surely the slower one: a round trip is paid once a round, whatever its window."""
        if turns is None or condition.rtt_ms is None or self._closed or contender.mode not in EDGE_MODES:
            return False
        mine, tokens = self._asked(contender, index, condition)
        known = turns.get((contender.mode, index))
        if mine is not None and known is not None:
            slower_ms = known.slower_ms - known.closing * (condition.rtt_ms - known.rtt_ms)
            if slower_ms > SURELY_SLOWER * mine:
                return True
        other, more = self._asked(contender, index + 1, condition)
        if mine is not None and other is not None and tokens and more:
            turn = Turn(condition.rtt_ms, other - mine, max(1.0 / tokens - 1.0 / more, 0.0))
            turns[contender.mode, index] = turn
        return False

    def _asked(self, contender: Contender, index: int, condition: Condition) -> tuple[float | None, float | None]:
        felt = self._felt(contender.mode, condition)
        key = (contender.choices[index], felt)
        if key not in self._known:
            deployed = self._changed(self._explorer.deployed(contender.choices[index]), felt)
            try:
                performance = self._explorer.performance(deployed)
            except (PlanError, ScenarioError):
                if condition.prompts is None:
                    raise
                # A context that no memory holds is no place where this mode can be.
                return None, None
            self._known[key] = None, None
            if isinstance(performance, Performance):
                found = performance.workload(self.workload)
                self._known[key] = found.tpot_ms.mean, found.tokens_per_round
        return self._known[key]

    def _felt(self, mode: Mode, condition: Condition) -> Condition:
        """The part of a condition that changes a mode's TPOT.

        Plain decoding proposes nothing. A stream pays the round trip once, in TTFT; only closed users come again
        the later for it.
        """
        if mode == "target_only":
            condition = replace(condition, acceptance=None)
        if mode not in EDGE_MODES and not self._closed:
            condition = replace(condition, rtt_ms=None)
        return condition

    def _changed(self, deployed: Deployed, condition: Condition) -> Deployed:
        if condition.rtt_ms is not None:
            deployed = with_rtt(deployed, self.workload, condition.rtt_ms)
        drafted = stream_of(deployed, self.workload).assignment.draft_model
        # Another draft keeps its own acceptance.
        if condition.acceptance is not None and self.pair is not None and drafted == self._draft:
            law = matched_law(self.pair, self._windows, condition.acceptance)
            deployed = with_acceptance(deployed, self.workload, law)
        if condition.prompts is not None:
            deployed = with_prompts(deployed, self.workload, condition.prompts)
        return deployed if condition.load is None else with_load(deployed, condition.load)


def _or_worst(tpot_ms: float | None) -> float:
    return inf if tpot_ms is None else tpot_ms
