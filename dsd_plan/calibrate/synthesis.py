"""Request streams made to order: arrivals of a given burstiness over a given day, lengths of a given spread.

Arrivals are made on a clock of their own, on which one request comes per unit of time on average, and then put on
the day's: where the rate is twice the mean, that clock runs twice as fast. So every law keeps its shape all day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import RequestTrace

Array = NDArray[np.float64]

HOUR_S = 3600.0
FLAT: tuple[float, ...] = (1.0,) * 24


@dataclass(frozen=True, slots=True)
class Gaps:
    """Independent gaps: gamma with this coefficient of variation, 1 for Poisson arrivals, below it more regular."""

    cv: float = 1.0


@dataclass(frozen=True, slots=True)
class Modulated:
    """Poisson arrivals whose rate jumps between two levels (MMPP-2), so that bursts last.

    Fischer and Meier-Hellstern, The Markov-modulated Poisson process cookbook, 1993.
    """

    low: float
    high: float
    """Rates, in multiples of the mean."""
    low_s: float
    high_s: float
    """Mean stays."""

    def __post_init__(self) -> None:
        mean = (self.low * self.low_s + self.high * self.high_s) / (self.low_s + self.high_s)
        if abs(mean - 1.0) > 1e-6:
            raise ValueError(f"rates of a modulated law are multiples of the mean: they average {mean:g}, expected 1")


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Lengths of this mean and coefficient of variation, rounded to whole tokens, 1 or more; cv 0: all alike."""

    mean: float
    cv: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Lengths drawn from those of a recording: prompt, output and cached prefix together."""

    trace: RequestTrace


ArrivalLaw = Gaps | Modulated


def synthesize(
    rate_per_s: float,
    span_s: float,
    *,
    arrivals: ArrivalLaw,
    prompts: LogNormal | None = None,
    outputs: LogNormal | None = None,
    correlation: float = 0.0,
    recorded: Recorded | None = None,
    by_hour: tuple[float, ...] = FLAT,
    seed: int = 0,
) -> RequestTrace:
    """Open requests over `span_s` seconds at this mean rate; the same seed gives the same requests.

    `by_hour` weighs the hours of a day. Lengths come from two log-normal laws, whose normal parts have
    `correlation`, or from a recording. Raises ValueError where no request comes at all.
    """
    rng_gaps, rng_lengths = np.random.default_rng(seed).spawn(2)
    clock = _day_clock(rate_per_s, span_s, by_hour)
    at = _own_clock(arrivals, clock[1][-1], rate_per_s, rng_gaps)
    at_s = np.interp(at, clock[1], clock[0])
    if at_s.size == 0:
        raise ValueError(f"no request comes in {span_s:g} s at {rate_per_s:g} a second; ask for a longer span")
    return RequestTrace(at_s, *_lengths(at_s.size, prompts, outputs, correlation, recorded, rng_lengths))


def closed_users(
    users: int, think_s: float, response_s: float, span_s: float, prompts: LogNormal, outputs: LogNormal, seed: int = 0
) -> RequestTrace:
    """Users who ask, wait `response_s`, think for an exponential time, and ask again, for `span_s` seconds.

    A recording cannot wait for its answers: `response_s` says how long they took. They begin staggered over a cycle.
    """
    rng_times, rng_lengths = np.random.default_rng(seed).spawn(2)
    found = sorted(
        (at_s, user, turn)
        for user in range(users)
        for turn, at_s in enumerate(_asks(think_s, response_s, span_s, rng_times))
    )
    if not found:
        raise ValueError(f"no user asks in {span_s:g} s; ask for a longer span")
    at_s, user, turn = (np.array(column) for column in zip(*found, strict=True))
    prompt_tokens, output_tokens, _ = _lengths(at_s.size, prompts, outputs, 0.0, None, rng_lengths)
    return RequestTrace(at_s, prompt_tokens, output_tokens, user=user, conversation=user, turn=turn)


def _asks(think_s: float, response_s: float, span_s: float, rng: np.random.Generator) -> Iterator[float]:
    at_s = rng.random() * (think_s + response_s)
    while at_s < span_s:
        yield at_s
        at_s += response_s + rng.exponential(think_s)


def _day_clock(rate_per_s: float, span_s: float, by_hour: tuple[float, ...]) -> tuple[Array, Array]:
    """Times, and how many requests are due by then."""
    weights = np.array(by_hour) / np.mean(by_hour)
    hours = np.append(np.arange(0.0, span_s, HOUR_S), span_s)
    rates = weights[np.arange(hours.size - 1) % weights.size]
    due = np.concatenate([[0.0], np.cumsum(rates * np.diff(hours))]) * rate_per_s
    return hours, due


def _own_clock(law: ArrivalLaw, until: float, rate_per_s: float, rng: np.random.Generator) -> Array:
    """Arrivals at mean rate 1 from 0 to `until`."""
    if isinstance(law, Modulated):
        return _modulated(law, until, rate_per_s, rng)
    parts: list[Array] = []
    last = 0.0
    while last < until:
        count = int(1.1 * (until - last)) + 16
        shape = 1.0 / law.cv**2 if law.cv > 0 else None
        gaps = np.ones(count) if shape is None else rng.gamma(shape, 1.0 / shape, count)
        if not parts:
            gaps[0] *= rng.random()  # the first gap is met somewhere inside
        parts.append(last + np.cumsum(gaps))
        last = float(parts[-1][-1])
    at = np.concatenate(parts)
    return at[at < until]


def _modulated(law: Modulated, until: float, rate_per_s: float, rng: np.random.Generator) -> Array:
    stays = (law.low_s * rate_per_s, law.high_s * rate_per_s)
    rates = (law.low, law.high)
    state = int(rng.random() < stays[1] / sum(stays))
    at, parts = 0.0, []
    while at < until:
        end = min(at + rng.exponential(stays[state]), until)
        parts.append(np.sort(rng.uniform(at, end, rng.poisson(rates[state] * (end - at)))))
        at, state = end, 1 - state
    return np.concatenate(parts)


def _lengths(
    count: int,
    prompts: LogNormal | None,
    outputs: LogNormal | None,
    correlation: float,
    recorded: Recorded | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """Prompts, outputs, and the cached part of the prompts where a recording tells it."""
    if recorded is not None:
        rows = rng.integers(0, recorded.trace.arrival_s.size, count)
        cached = recorded.trace.cached_prefix_tokens
        lengths = recorded.trace.prompt_tokens[rows], recorded.trace.output_tokens[rows]
        return *lengths, None if cached is None else cached[rows]
    if prompts is None or outputs is None:
        raise ValueError("lengths of prompts and outputs are needed, or a recording of them")
    first, other = rng.standard_normal((2, count))
    second = correlation * first + sqrt(1.0 - correlation**2) * other
    return _tokens(prompts, first), _tokens(outputs, second), None


def _tokens(law: LogNormal, normal: Array) -> NDArray[np.int64]:
    variance = log(1.0 + law.cv**2)
    values = law.mean * np.exp(sqrt(variance) * normal - variance / 2.0)
    return np.maximum(np.rint(values), 1).astype(np.int64)
