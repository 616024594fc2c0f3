"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """How long `what` took, and how long `against` took for the same work on the same machine."""

    what: str
    seconds: float
    against: str
    against_seconds: float

    @property
    def ratio(self) -> float:
        """How many times faster `what` is than `against`."""
        return self.against_seconds / self.seconds
