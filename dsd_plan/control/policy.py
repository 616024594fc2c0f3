"""Which window a session uses in its next round: state and observation in, decision out.

Plain scalar functions over named tuples of numbers: Python calls them as they stand, and the replay kernel
compiles the same lines. A policy keeps its memory in `PolicyState` and touches nothing else, so a decision
depends on what this session has seen and on nothing besides.
"""

from __future__ import annotations

from typing import NamedTuple

STATIC, THRESHOLD = range(2)

KINDS: dict[str, int] = {"static": STATIC, "threshold": THRESHOLD}
"""Number of each `policy.kind` that can run; compiled code compares numbers, not names."""


class Policy(NamedTuple):
    """What a session is told to do, from its assignment."""

    kind: int
    """One of `KINDS`."""
    window: int
    """The assignment's window: `static` keeps it, an adaptive policy starts from it."""
    smallest: int = 1
    """An adaptive policy's windows: smallest … largest."""
    largest: int = 12
    grow_above: float = 0.8
    """threshold: smoothed share of accepted proposals above which the window grows by one."""
    shrink_below: float = 0.5
    """threshold: below which it shrinks by one."""
    smoothing: float = 0.3
    """threshold: weight of the last round in the smoothed share."""


NOTHING_SEEN = -1.0
"""`smoothed` of a session of which no proposal has been verified."""


class PolicyState(NamedTuple):
    """What a policy remembers of one session from round to round. Policies that adapt add their fields here."""

    window: int
    """The window in force."""
    smoothed: float = NOTHING_SEEN
    """threshold: the smoothed share of accepted proposals."""


class Observation(NamedTuple):
    """What a session really knows when a verdict arrives: its own counts and clock, and what the target sent along.

    All zero when the first token arrives and nothing has been proposed yet.
    """

    accepted: int
    proposed: int
    """Of the last round."""
    network_ms: float
    """The last round's way up and down together: its round trip less what the target says it took."""
    wait_ms: float
    """How long the verification waited in the target's queue."""
    iteration_ms: float
    """How long the iteration that verified it took."""
    batch: int
    """Jobs in that iteration."""
    queued: int
    """Jobs that were left waiting when it started."""


class Decision(NamedTuple):
    """What the session does next."""

    window: int
    """Tokens to propose in the next round; 0: none, the target makes one token itself."""


def initial_state(policy: Policy) -> PolicyState:
    """State of a session that has not speculated yet."""
    return PolicyState(policy.window, NOTHING_SEEN)


def decide(policy: Policy, state: PolicyState, observation: Observation) -> tuple[PolicyState, Decision]:
    """The next round's window. Raises ValueError for a kind that no policy answers to."""
    if policy.kind == STATIC:
        return static(policy, state)
    if policy.kind == THRESHOLD:
        return threshold(policy, state, observation)
    raise ValueError("policy.kind is not one of dsd_plan.control.policy.KINDS")


def static(policy: Policy, _state: PolicyState) -> tuple[PolicyState, Decision]:
    """The assignment's window, whatever happens."""
    return PolicyState(policy.window, NOTHING_SEEN), Decision(policy.window)


def threshold(policy: Policy, state: PolicyState, observation: Observation) -> tuple[PolicyState, Decision]:
    """One more where much is accepted, one less where little is.

    The share of the last round's proposals that were accepted is smoothed exponentially, from the first round's on.
    A round without proposals tells nothing.
    """
    window, smoothed = state.window, state.smoothed
    if observation.proposed > 0:
        share = observation.accepted / observation.proposed
        smoothed = share if smoothed < 0.0 else smoothed + policy.smoothing * (share - smoothed)
        if smoothed > policy.grow_above:
            window = min(window + 1, policy.largest)
        elif smoothed < policy.shrink_below:
            window = max(window - 1, policy.smallest)
    return PolicyState(window, smoothed), Decision(window)
