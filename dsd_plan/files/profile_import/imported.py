"""What every importer takes and gives: points and where they are from; the law is fitted to them by the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from dsd_plan.domain.profile import LatencyStats, ProfilePoint
from dsd_plan.errors import Problem, ProfileError

Method = dict[str, str | float | int | bool | None]

MOST_PROBLEMS = 40
"""A table that is wrong in every row is told by its first ones, and by how many there are."""

ONE_VALUE = "not published: mean and quantiles repeat the one value, and std is 0"
"""`spread` of a point that its source gives a single time for."""

NO_VERIFY = (
    "no step of more than one new token a sequence is in the source: verify times come from the fitted law alone, "
    "whose per_token slope is that of more sequences, not of more tokens a sequence"
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a source does not tell and its user knows."""

    device: str | None = None
    model: str | None = None
    layers: int | None = None
    """Of the whole model, where the source holds times of one layer."""
    citation: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedProfile:
    """Everything of a profile but the fitted law."""

    device: str
    model: str
    points: tuple[ProfilePoint, ...]
    method: Method
    citation: str
    backend: str | None = None
    precision: str | None = None
    software: dict[str, str] | None = None
    measured_at: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """All profiles of one source, and what its user must know about them."""

    profiles: tuple[ImportedProfile, ...]
    warnings: tuple[str, ...] = ()


Importer = Callable[[Path, ImportOptions], Imported]


def refuse(source: str, problems: Sequence[Problem]) -> None:
    """Raise ProfileError with all problems, if there are any."""
    if len(problems) > MOST_PROBLEMS:
        rest = Problem("", f"and {len(problems) - MOST_PROBLEMS} more like these")
        raise ProfileError(source, [*problems[:MOST_PROBLEMS], rest])
    if problems:
        raise ProfileError(source, problems)


def one_value(milliseconds: float) -> LatencyStats:
    """A time whose spread nobody published."""
    return LatencyStats(
        mean=milliseconds, std=0.0, p50=milliseconds, p95=milliseconds, p99=milliseconds, min=None, mad=None
    )


def spread(samples_ms: Iterable[float]) -> LatencyStats:
    """Spread of repeated measurements in ms; of a single one, `one_value`.

    The 95 % interval of the median is between two of the sorted samples, whatever their law; fewer than six
    samples have none.
    """
    values = np.sort(np.array(list(samples_ms), dtype=np.float64))
    count = values.size
    if count == 1:
        return one_value(float(values[0]))
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    rank = _median_rank(count)
    return LatencyStats(
        mean=float(values.mean()),
        std=float(values.std(ddof=1)),
        p50=p50,
        p95=p95,
        p99=p99,
        min=float(values[0]),
        mad=float(np.median(np.abs(values - p50))),
        p50_low=None if rank is None else float(values[rank]),
        p50_high=None if rank is None else float(values[count - 1 - rank]),
    )


def _median_rank(count: int) -> int | None:
    """Largest r such that the r-th smallest and r-th largest of `count` samples hold the median with 95 %."""
    found = None
    outside = 0.0
    for rank in range(count // 2):
        outside += 2.0 * comb(count, rank) * 0.5**count
        if outside > 0.05:
            return found
        found = rank
    return found


def cited(options: ImportOptions, made: str) -> str:
    """The citation given, or that there is none."""
    if options.citation:
        return options.citation
    return f"{made}; who measured it and under which licence it may be used was not told"


def citation_warnings(options: ImportOptions) -> tuple[str, ...]:
    """A reminder where a published table goes without its source."""
    if options.citation:
        return ()
    return ("no citation: tell who measured this, where it was published and its licence with --cite",)


def renamed(found: ImportedProfile, options: ImportOptions) -> tuple[str, str]:
    """Device and model as the user calls them."""
    return options.device or found.device, options.model or found.model
