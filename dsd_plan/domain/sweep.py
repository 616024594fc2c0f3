"""What a sweep varies: keys, the values that they take, and the grid of them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log

from dsd_plan.errors import InputError

Value = float | int | str | bool
Values = Mapping[str, Value]
"""One point of the grid: a value for each varied key."""

MOST_POINTS = 1_000_000
GRAMMAR = "KEY=low:high:count, KEY=low:high:count:log or KEY=value,value,…"


@dataclass(frozen=True, slots=True)
class Axis:
    """A key and the values that it takes, as they were written."""

    key: str
    texts: tuple[str, ...] = ()
    """Values one by one; empty: the range."""
    numbers: tuple[float, ...] = ()
    """Of a range."""


def axis_of(written: str) -> Axis:
    """Read `KEY=a:b:n`, `KEY=a:b:n:log` or `KEY=v1,v2,v3`. Raises InputError."""
    key, equals, values = written.rpartition("=")
    key = key.strip()
    if not equals or not key or not values.strip():
        raise InputError("--vary", f'found "{written}", expected {GRAMMAR}')
    if ":" not in values:
        texts = tuple(text.strip() for text in values.split(","))
        if "" in texts:
            raise InputError("--vary", f'{key}: found "{values}", which has an empty value; expected {GRAMMAR}')
        return Axis(key, texts=_once(key, texts))
    parts = values.split(":")
    if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3].strip() != "log"):
        raise InputError("--vary", f'{key}: found "{values}", expected {GRAMMAR}')
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except ValueError:
        text = f'{key}: found "{values}", expected two numbers and a whole number of values: {GRAMMAR}'
        raise InputError("--vary", text) from None
    return Axis(key, numbers=_range(key, low, high, count, len(parts) == 4))


def _range(key: str, low: float, high: float, count: int, by_ratio: bool) -> tuple[float, ...]:
    if not abs(low) < float("inf") or not abs(high) < float("inf"):
        raise InputError("--vary", f"{key}: found {low:g}:{high:g}, expected two finite numbers")
    if not 2 <= count <= MOST_POINTS:
        text = f"{key}: found {count} values, expected 2 or more; for one value write {key}={low:g}"
        raise InputError("--vary", text)
    if low == high:
        raise InputError("--vary", f"{key}: found {low:g}:{high:g}, which is one value; write {key}={low:g}")
    if by_ratio and (low <= 0.0 or high <= 0.0):
        raise InputError("--vary", f"{key}: found {low:g}:{high:g} by ratio (log), expected numbers above 0")
    if by_ratio:
        steps = (low * exp(log(high / low) * k / (count - 1)) for k in range(count))
    else:
        steps = (low + (high - low) * k / (count - 1) for k in range(count))
    # Twelve digits are all that was meant: 0.30000000000000004 is 0.3.
    return tuple(float(f"{value:.12g}") for value in steps)


def _once(key: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise InputError("--vary", f"{key}: found {', '.join(twice)} more than once; name each value once")
    return texts


def grid(axes: Sequence[tuple[str, Sequence[Value]]]) -> Iterator[dict[str, Value]]:
    """Every combination; the last key runs fastest."""
    names = [key for key, _ in axes]
    for values in product(*(values for _, values in axes)):
        yield dict(zip(names, values, strict=True))


def grid_size(axes: Sequence[tuple[str, Sequence[Value]]]) -> int:
    """How many points. Raises InputError where they are too many to be meant."""
    total = 1
    for _, values in axes:
        total *= len(values)
    if total > MOST_POINTS:
        raise InputError("--vary", f"{total:,} points, expected {MOST_POINTS:,} at most; vary fewer keys or values")
    return total
