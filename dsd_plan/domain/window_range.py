"""How far acceptance is known, where more than the assignment's window is asked for."""

from __future__ import annotations

from dsd_plan.domain.acceptance import Acceptance, largest_window
from dsd_plan.domain.plan import Assignment

LARGEST_WINDOW = 12
"""That a policy chooses, unless it is told."""


def check_guess(acceptance: Acceptance, window: int) -> None:
    """A draft that goes on at once guesses one token more than it proposed. Raises ValueError where that is unknown."""
    limit = largest_window(acceptance)
    if limit is not None and window + 1 > limit:
        raise ValueError(
            f"pipelined with window {window} needs acceptance of position {window + 1}, the target's own token after "
            f"a full window; it is known up to {limit}"
        )


def largest_choice(assignment: Assignment, acceptance: Acceptance | None, window: int) -> int:
    """The largest window that an assignment's policy may choose: `window`, if it keeps that.

    Raises ValueError where the policy is told of a larger one than acceptance tells of.
    """
    policy = assignment.policy
    if policy.kind == "static" or acceptance is None:
        return window
    known = largest_window(acceptance)
    limit = None if known is None else known - (assignment.mode == "pipelined")
    largest = policy.largest or max(min(LARGEST_WINDOW, limit or LARGEST_WINDOW), window)
    if limit is not None and largest > limit:
        raise ValueError(f"acceptance tells of windows up to {limit}, found {largest}")
    return largest
