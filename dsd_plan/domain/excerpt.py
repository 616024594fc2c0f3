"""A short stretch of a replay, small enough to keep in a study: what one replica does, and for whom."""

from __future__ import annotations

from dsd_plan.domain.records import record


@record
class SessionExcerpt:
    """One request; its columns have an entry a round, the first is the prefill. Times: ms since the excerpt began."""

    request: int
    """Its number in the replication."""
    workload: str
    mode: str
    prompt_tokens: int
    output_tokens: int
    draft_device: int | None
    """Which device of its type drafts for it; None without one."""
    came_ms: float
    ended_ms: float | None
    """When its last token arrived; None: after the excerpt."""
    asked_ms: tuple[float, ...]
    """The request came, or the verdict before reached the draft."""
    sent_ms: tuple[float, ...]
    """Sent up by the draft."""
    joined_ms: tuple[float, ...]
    """In the target's queue."""
    began_ms: tuple[float, ...]
    """Its iteration began, and `verified_ms` ended."""
    verified_ms: tuple[float, ...]
    arrived_ms: tuple[float, ...]
    """Its tokens reached the user."""
    window: tuple[int, ...]
    accepted: tuple[int, ...]
    tokens: tuple[int, ...]
    """Emitted together."""


@record
class Excerpt:
    """A replica of a target in a stretch of the replay; columns have an entry an iteration, a change, a request."""

    device: str
    model: str
    replica: int
    replicas: int
    """Of how many it is one."""
    began_at_s: float
    """Since the run began."""
    lasts_ms: float
    sessions: tuple[SessionExcerpt, ...]
    """Requests that came to this replica in the excerpt, the first of them."""
    iteration_began_ms: tuple[float, ...]
    iteration_drafted_ms: tuple[float, ...]
    """When its draft steps (fused) had ended; as `iteration_began_ms` without any."""
    iteration_ended_ms: tuple[float, ...]
    prefills: tuple[int, ...]
    """Prompts in the iteration; `rounds`: jobs that verify or decode."""
    rounds: tuple[int, ...]
    mean_window: tuple[float | None, ...]
    """Of the jobs that verify."""
    tokens: tuple[int, ...]
    """Emitted by the iteration."""
    queue_at_ms: tuple[float, ...]
    """When the queue changes; from then on `queue` jobs wait."""
    queue: tuple[int, ...]
