"""Where one workload stands on the axes that a decision hangs on: round trip, acceptance, load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsd_plan.domain.acceptance import Acceptance
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.scenario import Mode
from dsd_plan.optimize.candidates import Choice
from dsd_plan.optimize.contenders import Change, Contender, Explorer
from dsd_plan.optimize.curves import knee
from dsd_plan.optimize.variation import (
    first_accepted,
    matched_law,
    route_rtt_ms,
    stream_of,
    with_acceptance,
    with_load,
    with_rtt,
)

RTT_RANGE_MS = (1.0, 200.0)
ACCEPTANCE_RANGE = (0.2, 0.96)
LOAD_SHARES_OF_KNEE = (0.1, 1.2)
USUAL_WINDOW = 4


@dataclass(frozen=True, slots=True)
class Ground:
    """One workload, the modes that it could run in, and where it lies today."""

    workload: str
    contenders: tuple[Contender, ...]
    rtt_ms: float | None
    """Mean round trip of its route; None: it is served at its own site."""
    acceptance: float | None
    """Of the first proposal of a round; None: it has no draft."""
    pair: Acceptance | None
    knee: float
    """Multiple of today's load at which the chosen plan saturates."""
    near: Mapping[Mode, int]
    """A good window of each mode, to start from."""

    @property
    def largest_window(self) -> int:
        """Largest window of any contender."""
        return max(window for contender in self.contenders for window in contender.windows)

    @property
    def load_range(self) -> tuple[float, float]:
        """Loads worth a look, as multiples of today's; today's is among them."""
        low, high = (share * self.knee for share in LOAD_SHARES_OF_KNEE)
        return min(low, 0.5), max(high, 1.5)

    def at_rtt(self, rtt_ms: float) -> Change:
        """The route takes `rtt_ms`."""
        return lambda deployed: with_rtt(deployed, self.workload, rtt_ms)

    def at_acceptance(self, first: float) -> Change:
        """The first proposal of a round is accepted with probability `first`, later ones in proportion."""
        if self.pair is None:
            return unchanged
        law = matched_law(self.pair, self.largest_window, first)
        return lambda deployed: with_acceptance(deployed, self.workload, law)

    def at_load(self, load: float) -> Change:
        """Every workload asks `load` times as much as today."""
        return lambda deployed: with_load(deployed, load)


def unchanged(deployed: Deployed) -> Deployed:
    """The deployment as it is."""
    return deployed


def ground_of(explorer: Explorer, chosen: Choice, workload: str, group: tuple[Contender, ...]) -> Ground:
    """Where `workload` stands under the chosen plan; `group` are its contenders."""
    rtt_ms: float | None = None
    pair: Acceptance | None = None
    for contender in group:
        stream = stream_of(explorer.deployed(contender.choices[0]), workload)
        if stream.up and rtt_ms is None:
            rtt_ms = route_rtt_ms(stream)
        if stream.acceptance is not None:
            pair = stream.acceptance
    largest = max(window for contender in group for window in contender.windows)
    here = next(candidate for candidate in chosen.candidates if candidate.workload == workload)
    window = here.window or USUAL_WINDOW
    return Ground(
        workload=workload,
        contenders=group,
        rtt_ms=rtt_ms,
        acceptance=None if pair is None else first_accepted(pair, largest),
        pair=pair,
        knee=knee(explorer, explorer.deployed(chosen)),
        near={"fused": window, "distributed": window},
    )


def compose(*changes: Change) -> Change:
    """All changes, one after the other."""

    def changed(deployed: Deployed) -> Deployed:
        for change in changes:
            deployed = change(deployed)
        return deployed

    return changed
