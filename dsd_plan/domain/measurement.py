"""What to measure next so that a decision is surer."""

from __future__ import annotations

from typing import Literal

from dsd_plan.domain.records import record


@record
class Measurement:
    """The measurement that helps the decision most, and how much of it is enough."""

    of: Literal["acceptance", "step_times", "replay", "both_plans", "search"]
    command: str
    """What to run; capitals stand for what only its reader knows."""
    requests: int | None = None
    """Enough for the error wanted."""
    tokens: int | None = None
    minutes: float | None = None
    error_now: float | None = None
    """Half-width: of an acceptance as it is, of a ratio or step time as a share. None: not known."""
    error_wanted: float | None = None
