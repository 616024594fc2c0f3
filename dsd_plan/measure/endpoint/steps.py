"""From arrivals at the client to steps at the server: which batch a token was made in, over how much context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.profile import LatencyStats
from dsd_plan.measure.endpoint.plan import Answer, TrialResult

Array = NDArray[np.float64]

FEWEST_STEPS = 6
FEWEST_INDEPENDENT = 6
"""Independent samples from which on a median has a 95 % interval."""
SETTLED = 0.03
"""Half-width of the interval of a median, as a share, at which a level need not be visited again."""
SAME_TOKENS = 0.05
"""How far tokens per chunk may be from 1 for a gap between chunks to be a step."""
BURSTS = 0.1
"""Share of gaps far below the mean beyond which chunks came together on the way, and gaps are not steps."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Times between chunks of all streams of one trial, and what the server was doing in the middle of each."""

    ms: Array
    stream: NDArray[np.int64]
    batch: Array
    """Streams decoding."""
    kv_tokens: Array
    """Tokens in the caches of all of them."""
    waiting: Array
    """Requests sent but without a first token at the end of the gap."""
    entering: NDArray[np.bool_]
    """Whether some request got its first token in this gap: a prefill shared the step."""
    tokens: Array
    """Tokens that the gap stands for."""


def gaps_of(answers: Sequence[Answer]) -> Gaps:
    """All gaps of the streams of one trial."""
    streams = [answer for answer in answers if len(answer.arrivals_s) > 1]
    arrivals = [np.array(answer.arrivals_s) for answer in streams]
    if not streams:
        empty = np.empty(0)
        return Gaps(empty, np.empty(0, np.int64), empty, empty, empty, np.empty(0, np.bool_), empty)
    begin = np.concatenate([times[:-1] for times in arrivals])
    end = np.concatenate([times[1:] for times in arrivals])
    middle = (begin + end) / 2
    sent = np.sort([answer.sent_s for answer in answers])
    first = np.sort([answer.first_s for answer in answers])
    last = np.sort([answer.last_s for answer in answers])
    started = np.searchsorted(first, middle, side="right")
    kv_tokens = np.zeros(len(middle))
    for answer, times in zip(streams, arrivals, strict=True):
        chunk = np.searchsorted(times, middle, side="right")
        alive = (chunk > 0) & (chunk < len(times))
        # The newest token is not in the cache yet: the step under way puts it there.
        kv_tokens += np.where(alive, answer.prompt_tokens + (chunk - 1) * answer.tokens_per_gap, 0.0)
    return Gaps(
        ms=1000.0 * (end - begin),
        stream=np.repeat(np.arange(len(streams)), [len(times) - 1 for times in arrivals]),
        batch=(started - np.searchsorted(last, middle, side="right")).astype(np.float64),
        kv_tokens=kv_tokens,
        waiting=(np.searchsorted(sent, end, side="left") - started).astype(np.float64),
        # A step's tokens reach the client one after another: half a gap on both sides is the same step.
        entering=np.searchsorted(first, end + (end - begin) / 2, side="right") > started,
        tokens=np.concatenate([np.full(len(answer.arrivals_s) - 1, answer.tokens_per_gap) for answer in streams]),
    )


@dataclass(frozen=True, slots=True)
class DecodeLevel:
    """Pure decode steps at one level."""

    concurrency: int
    nominal_context: int
    batch: int
    """Streams that were really decoding."""
    context_tokens: float
    """Mean cached tokens of a stream."""
    latency_ms: LatencyStats
    steps: int
    queued: bool
    """Whether requests were waiting all the while: the server runs no more at a time."""
    averaged: bool
    """Whether steps are averages over a stream, because gaps between chunks are not steps here."""


def decode_level(results: Sequence[TrialResult]) -> DecodeLevel | None:
    """Steps of all rounds of one level, at the batch that was seen most; None where there are too few.

    Steps count in which nobody waited for a first token. Where all have somebody waiting (the server holds
    requests back), those count in which nobody got one.
    """
    seen = [gaps_of(result.answers) for result in results]
    clean = [gaps.waiting == 0 for gaps in seen]
    queued = not any(mask.any() for mask in clean)
    if queued:
        clean = [~gaps.entering for gaps in seen]
    batches = np.concatenate([gaps.batch[mask] for gaps, mask in zip(seen, clean, strict=True)])
    if not batches.size:
        return None
    values, counts = np.unique(batches, return_counts=True)
    batch = int(values[counts.argmax()])
    clean = [mask & (gaps.batch == batch) for gaps, mask in zip(seen, clean, strict=True)]
    gap_ms = np.concatenate([gaps.ms[mask] for gaps, mask in zip(seen, clean, strict=True)])
    tokens = np.concatenate([gaps.tokens[mask] for gaps, mask in zip(seen, clean, strict=True)])
    kv_tokens = np.concatenate([gaps.kv_tokens[mask] for gaps, mask in zip(seen, clean, strict=True)])
    steps = int(tokens.sum()) // max(batch, 1)
    if batch < 1 or steps < FEWEST_STEPS:
        return None
    averaged = not _gaps_are_steps(gap_ms, tokens)
    if averaged:
        samples = [
            gaps.ms[mask & (gaps.stream == stream)].sum() / gaps.tokens[mask & (gaps.stream == stream)].sum()
            for gaps, mask in zip(seen, clean, strict=True)
            for stream in np.unique(gaps.stream[mask])
        ]
    else:
        samples = gap_ms.tolist()
    trial = results[0].trial
    return DecodeLevel(
        concurrency=trial.concurrency,
        nominal_context=trial.prompt_tokens,
        batch=batch,
        context_tokens=float(kv_tokens.mean()) / batch,
        latency_ms=spread(np.array(samples), max(len(samples) // batch, 1)),
        steps=steps,
        queued=queued,
        averaged=averaged,
    )


def _gaps_are_steps(gap_ms: Array, tokens: Array) -> bool:
    if abs(float(tokens.mean()) - 1.0) > SAME_TOKENS:
        return False
    # The mean without the largest twentieth: a stall must not make every gap look short.
    usual_ms = gap_ms[gap_ms <= np.quantile(gap_ms, 0.95)].mean()
    return float((gap_ms < 0.25 * usual_ms).mean()) <= BURSTS


def spread(samples_ms: Array, independent: int) -> LatencyStats:
    """Statistics of samples of which so many are independent: streams of one batch share their steps.

    The interval of the median is that of order statistics: ranks n/2 ± 1.96 √n/2, by the binomial law. Fewer than
    six have none: even the smallest and the largest of five hold the median with 94 % only.
    """
    known = independent >= FEWEST_INDEPENDENT
    half = 1.96 * 0.5 / independent**0.5
    low, p50, high, p95, p99 = np.quantile(
        samples_ms, (max(0.5 - half, 0.0), 0.5, min(0.5 + half, 1.0), 0.95, 0.99)
    ).tolist()
    return LatencyStats(
        mean=float(samples_ms.mean()),
        std=float(samples_ms.std(ddof=1)) if samples_ms.size > 1 else 0.0,
        p50=p50,
        p95=p95,
        p99=p99,
        min=float(samples_ms.min()),
        mad=float(np.median(np.abs(samples_ms - p50))),
        p50_low=low if known else None,
        p50_high=high if known else None,
    )


def settled(results: Sequence[TrialResult]) -> bool:
    """Whether the median at one level is known within ``SETTLED``; of prompts put between it is never asked."""
    if not results or results[0].trial.phase not in ("alone", "closed", "idle"):
        return False
    if results[0].trial.phase == "idle":
        ttft_ms = np.array([ms for _, ms in idle_ttfts(results)])
        stats = spread(ttft_ms, len(ttft_ms))
    else:
        level = decode_level(results)
        if level is None:
            return False
        stats = level.latency_ms
    return half_width(stats) <= SETTLED


def half_width(stats: LatencyStats) -> float:
    """Half the interval of the median, as a share of it; 1 where it has none."""
    if stats.p50_low is None or stats.p50_high is None:
        return 1.0
    return (stats.p50_high - stats.p50_low) / 2.0 / stats.p50


def drift_of(results: Sequence[TrialResult]) -> float | None:
    """How much longer the step alone over the shortest context took at the end than at first; None unless told."""
    alone = [result for result in results if result.trial.phase == "alone" and result.answers]
    shortest = min((result.trial.prompt_tokens for result in alone), default=0)
    levels = [decode_level([result]) for result in alone if result.trial.prompt_tokens == shortest]
    known = [level.latency_ms.p50 for level in levels if level is not None]
    return known[-1] / known[0] - 1.0 if len(known) > 1 else None


def idle_ttfts(results: Sequence[TrialResult]) -> list[tuple[int, float]]:
    """(prompt tokens, TTFT in ms) of every request that found the server idle."""
    return [
        (answer.prompt_tokens, 1000.0 * (answer.first_s - answer.sent_s))
        for result in results
        if result.trial.phase in ("idle", "alone")
        for answer in result.answers
    ]


def most_decoding(results: Sequence[TrialResult]) -> int:
    """The largest number of streams that the server decoded at a time."""
    return max((int(gaps_of(result.answers).batch.max(initial=0.0)) for result in results), default=0)
