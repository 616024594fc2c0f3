"""Which steps are measured: the axes of both surfaces, by size of model and kind of device, or as given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dsd_plan.domain.profile import Phase
from dsd_plan.errors import MeasurementError

GridLevel = Literal["quick", "full"]

GIB = 2**30


@dataclass(frozen=True, slots=True, order=True)
class GridPoint:
    """One kind of step: ``batch`` sequences, each with ``new_tokens`` on top of ``context_tokens`` already cached."""

    phase: Phase
    batch: int
    new_tokens: int
    context_tokens: int

    def __str__(self) -> str:
        return f"{self.phase} of batch {self.batch}, {self.new_tokens} new and {self.context_tokens} context tokens"


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
    prefill_context_tokens: tuple[int, ...] = ()
    """Cached prefixes on top of which single prompts are prefilled too: what a chunk costs, for the law alone."""

    def points(self, max_context: int) -> tuple[GridPoint, ...]:
        """All points within ``max_context`` tokens a sequence; raises ``MeasurementError`` where no decode fits."""
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
        chunks = [
            GridPoint("prefill", 1, new, context)
            for new in self.prefill_tokens
            for context in self.prefill_context_tokens
            if context + new <= max_context
        ]
        if not decode:
            raise MeasurementError(
                f"no decode step of grid {self.name!r} fits a context of {max_context} tokens: its least context is "
                f"{min(self.decode_context_tokens)}, with up to {max(self.decode_new_tokens)} new tokens; "
                "give smaller axes"
            )
        return (*decode, *prefill, *chunks)


QUICK_GRID = Grid(
    name="quick",
    decode_batch=(1, 2, 4, 8, 16, 32, 64),
    decode_new_tokens=(1, 2, 3, 5, 9, 17),
    decode_context_tokens=(16, 240, 448),
    prefill_batch=(1, 4),
    prefill_tokens=(16, 64, 128, 256, 448),
)
"""About half a minute for both bundled models."""

FULL_GRID = Grid(
    name="full",
    decode_batch=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
    decode_new_tokens=(1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17),
    decode_context_tokens=(16, 128, 192, 256, 320, 384, 495),
    prefill_batch=(1, 2, 4),
    prefill_tokens=(8, 15, 16, 24, 31, 32, 48, 63, 64, 96, 128, 192, 256, 384, 512),
    prefill_context_tokens=(128, 256),
)
"""Some minutes a model. Matrix libraries change their ways at powers of two: prompts are measured on both sides."""

WIDEST_CONTEXT = 32_768


def grid_for(level: GridLevel, max_context: int, *, accelerator: bool) -> Grid:
    """The grid of a level for a model of this context; a wide context and an accelerator's batches are spread evenly
    in their logarithms.
    """
    near = QUICK_GRID if level == "quick" else FULL_GRID
    if max_context <= 512 and not accelerator:
        return near
    full = level == "full"
    longest = min(max_context, WIDEST_CONTEXT) - max(near.decode_new_tokens)
    shortest = min(256 if accelerator else 64, longest)
    contexts = spread(shortest, longest, 7 if full else 4)
    prompts = spread(min(64, longest), min(longest, 8_192), 8 if full else 5)
    batches: tuple[int, ...] = near.decode_batch
    if accelerator:
        batches = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256) if full else (1, 4, 16, 64, 256)
    return replace(
        near,
        decode_batch=batches,
        decode_context_tokens=contexts,
        prefill_batch=(1, 2, 4) if full else (1, 4),
        prefill_tokens=prompts,
        prefill_context_tokens=(longest // 4, longest // 2) if full else (),
    )


def spread(low: int, high: int, count: int) -> tuple[int, ...]:
    """About ``count`` whole numbers from ``low`` to ``high``, evenly spread in their logarithms."""
    ratio = (high / low) ** (1.0 / max(count - 1, 1))
    return tuple(sorted({low, high, *(round(low * ratio**step) for step in range(1, count - 1))}))


def with_axes(
    grid: Grid,
    *,
    batch: tuple[int, ...] | None = None,
    new_tokens: tuple[int, ...] | None = None,
    context: tuple[int, ...] | None = None,
    prompt: tuple[int, ...] | None = None,
) -> Grid:
    """``grid`` with some axes as given; prompts are prefilled at the given batches that the grid would prefill at."""
    if batch is None and new_tokens is None and context is None and prompt is None:
        return grid
    prefill_batch = grid.prefill_batch
    if batch is not None:
        prefill_batch = tuple(b for b in sorted(set(batch)) if b <= max(grid.prefill_batch)) or (min(batch),)

    def axis(given: tuple[int, ...] | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
        return otherwise if given is None else tuple(sorted(set(given)))

    return Grid(
        name="custom",
        decode_batch=axis(batch, grid.decode_batch),
        decode_new_tokens=axis(new_tokens, grid.decode_new_tokens),
        decode_context_tokens=axis(context, grid.decode_context_tokens),
        prefill_batch=prefill_batch,
        prefill_tokens=axis(prompt, grid.prefill_tokens),
    )


def that_fit(
    model: str, points: Sequence[GridPoint], needs: Callable[[GridPoint], int], limit_bytes: int | None
) -> tuple[GridPoint, ...]:
    """The points that need at most ``limit_bytes``. Raises ``MeasurementError`` where no decode step is left."""
    if limit_bytes is None:
        return tuple(points)
    kept = tuple(point for point in points if needs(point) <= limit_bytes)
    if not any(point.phase == "decode" for point in kept):
        least = min((point for point in points if point.phase == "decode"), key=needs)
        missing = needs(least) - limit_bytes
        raise MeasurementError(
            f"{model}: no decode step fits the memory: the smallest ({least}) needs {needs(least) / GIB:.2f} GiB, "
            f"{limit_bytes / GIB:.2f} GiB are free, {missing / GIB:.2f} GiB are missing; free memory, choose a smaller "
            "number format, or measure some of the layers (--layers 2,4) and have the rest scaled"
        )
    return kept
