"""Which steps are measured."""

from __future__ import annotations

from dataclasses import dataclass

from dsd_plan.domain.profile import Phase


@dataclass(frozen=True, slots=True, order=True)
class GridPoint:
    """One kind of step: ``batch`` sequences, each with ``new_tokens`` on top of ``context_tokens`` already cached."""

    phase: Phase
    batch: int
    new_tokens: int
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The axes of both surfaces; every combination is measured that fits the model's context."""

    name: str
    decode_batch: tuple[int, ...]
    decode_new_tokens: tuple[int, ...]
    """1 is a plain or draft step; γ + 1 verifies a window of γ."""
    decode_context_tokens: tuple[int, ...]
    prefill_batch: tuple[int, ...]
    prefill_tokens: tuple[int, ...]

    def points(self, max_context: int) -> tuple[GridPoint, ...]:
        """All points within ``max_context`` tokens a sequence; raises ``ValueError`` where no decode step fits."""
        decode = [
            GridPoint("decode", batch, new, context)
            for batch in self.decode_batch
            for new in self.decode_new_tokens
            for context in self.decode_context_tokens
            if context + max(self.decode_new_tokens) <= max_context
        ]
        prefill = [
            GridPoint("prefill", batch, new, 0)
            for batch in self.prefill_batch
            for new in self.prefill_tokens
            if new <= max_context
        ]
        if not decode:
            raise ValueError(f"no decode step of grid {self.name!r} fits a context of {max_context} tokens")
        return (*decode, *prefill)


QUICK_GRID = Grid(
    name="quick",
    decode_batch=(1, 2, 4, 8, 16, 32, 64),
    decode_new_tokens=(1, 2, 3, 5, 9, 13),
    decode_context_tokens=(32, 240, 448),
    prefill_batch=(1, 4),
    prefill_tokens=(16, 64, 128, 256, 448),
)
"""About half a minute for both bundled models."""

FULL_GRID = Grid(
    name="full",
    decode_batch=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
    decode_new_tokens=(1, 2, 3, 4, 5, 6, 7, 9, 11, 13),
    decode_context_tokens=(16, 64, 128, 240, 352, 464),
    prefill_batch=(1, 2, 4, 8),
    prefill_tokens=(8, 16, 32, 64, 128, 192, 256, 384, 480),
)
"""Some minutes a model."""
