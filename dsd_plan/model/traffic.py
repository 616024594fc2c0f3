"""What each stream asks of its servers, as numbers: rates, lengths, rounds, delays. Times in ms, rates per ms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import Acceptance, TokenTrace, accepted_pmf
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.step_time import decode_ms, prefill_ms
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.model.moments import Time, message_ms
from dsd_plan.queueing import renewal

Array = NDArray[np.float64]
MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Lengths:
    """Tokens of a stream's requests."""

    prompt: float
    prefill: float
    """Tokens of a prompt that are not in the cache already."""
    output: float
    prefill_law: Time
    """Cumulants of the tokens to prefill (not ms)."""
    output_law: Time
    """Cumulants of the output's length (tokens, not ms)."""
    most_kv: float
    """KV tokens of the longest request."""

    @property
    def prompt_square(self) -> float:
        """Mean square of the tokens to prefill."""
        return self.prefill_law.variance + self.prefill_law.mean**2

    @property
    def context(self) -> float:
        """KV tokens under a decode job, halfway through the output."""
        return self.prompt + self.output / 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Decode or verify jobs of a request."""

    count: Time
    """Cumulants of their number (not ms); lengths of a recorded stream included."""
    at_length: Time
    """The same for requests of the mean length."""
    per_token: float
    """Mean of rounds / (output_tokens − 1) over requests; 0 where no request has a second token."""
    accepted: float
    """Accepted share of the tokens proposed; 0 in target_only."""


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """One stream."""

    index: int
    stream: Stream
    rate: float
    """Open requests per ms; 0 of closed users."""
    users: int
    """0 of open requests."""
    think: float
    lengths: Lengths
    rounds: Rounds
    prompt_up: Time
    first_down: Time
    round_up: Time
    round_down: Time
    draft: float
    """Time of drafting one window on the stream's own draft device; 0 unless distributed."""
    draft_prefill: float

    @property
    def window(self) -> int:
        """Tokens proposed a round."""
        return self.stream.window

    @property
    def away(self) -> float:
        """Mean time of a closed user between two requests that the target does not see."""
        return self.think + self.prompt_up.mean + self.first_down.mean


def demands_of(deployed: Deployed) -> tuple[Demand, ...]:
    """Every stream of a plan."""
    return tuple(_demand(deployed, index, stream) for index, stream in enumerate(deployed.streams))


def _demand(deployed: Deployed, index: int, stream: Stream) -> Demand:
    requests = stream.requests
    lengths = lengths_of(stream)
    draft = draft_prefill = 0.0
    if stream.draft is not None:
        surface = deployed.drafts[stream.draft].surface
        draft = stream.window * decode_ms(surface, 1.0, 1.0, lengths.context)
        bent = float(surface.law[4]) * (lengths.prompt_square - lengths.prefill**2)
        draft_prefill = prefill_ms(surface, 1.0, lengths.prefill) + bent
    messages = stream.messages
    users, think_s, rate_per_s = 0, 0.0, 0.0
    if isinstance(requests, ClosedRequests):
        users, think_s = requests.users, requests.think_s
    else:
        rate_per_s = requests.rate_per_s
    return Demand(
        index=index,
        stream=stream,
        rate=rate_per_s / MS_PER_S,
        users=users,
        think=think_s * MS_PER_S,
        lengths=lengths,
        rounds=rounds_of(stream),
        prompt_up=message_ms(stream.up, messages.prompt_up),
        first_down=message_ms(stream.down, messages.first_down),
        round_up=message_ms(stream.up, messages.round_up),
        round_down=message_ms(stream.down, messages.round_down),
        draft=draft,
        draft_prefill=draft_prefill,
    )


def lengths_of(stream: Stream) -> Lengths:
    """Mean lengths, and their spread where the stream is a recording."""
    requests = stream.requests
    if not isinstance(requests, RequestTrace):
        prompt, output = float(requests.prompt_tokens), float(requests.output_tokens)
        return Lengths(prompt, prompt, output, Time(prompt), Time(output), prompt + output)
    return _recorded_lengths(requests)


@lru_cache(maxsize=64)
def _recorded_lengths(requests: RequestTrace) -> Lengths:
    prompts, outputs = requests.prompt_tokens.astype(np.float64), requests.output_tokens.astype(np.float64)
    prefills = requests.prefill_tokens.astype(np.float64)
    return Lengths(
        prompt=float(prompts.mean()),
        prefill=float(prefills.mean()),
        output=float(outputs.mean()),
        prefill_law=_cumulants(prefills),
        output_law=_cumulants(outputs),
        most_kv=float((prompts + outputs).max()),
    )


def _cumulants(values: Array) -> Time:
    mean = float(values.mean())
    return Time(mean, float(((values - mean) ** 2).mean()), float(((values - mean) ** 3).mean()))


def rounds_of(stream: Stream) -> Rounds:
    """How many rounds the stream's requests take."""
    requests = stream.requests
    if isinstance(requests, RequestTrace):
        return _rounds_of_lengths(stream.acceptance, stream.window, requests)
    return _rounds_of_length(stream.acceptance, stream.window, requests.output_tokens)


@lru_cache(maxsize=4096)
def _rounds_of_length(acceptance: Acceptance | None, window: int, output: int) -> Rounds:
    """`output` tokens, the first of which comes from the prefill."""
    if acceptance is None:
        count = Time(output - 1.0)
        return Rounds(count, count, 1.0 if output > 1 else 0.0, 0.0)
    if isinstance(acceptance, TokenTrace) and output > 1:
        counts, accepted = rounds_along(acceptance, window, output - 1)
        law = renewal.cumulants(counts, np.full(counts.size, 1.0 / counts.size))
    else:
        pmf = accepted_pmf(acceptance, window)
        law = renewal.count_of(renewal.rounds_pmf(np.concatenate([[0.0], pmf]), output - 1))
        accepted = float(np.dot(np.arange(window + 1), pmf)) / window
    count = Time(law.mean, law.variance, law.third)
    return Rounds(count, count, law.mean / (output - 1) if output > 1 else 0.0, accepted)


@lru_cache(maxsize=256)
def _rounds_of_lengths(acceptance: Acceptance | None, window: int, requests: RequestTrace) -> Rounds:
    """A recording: exact means for each length, spread from the mean length's rounds and from the lengths' own."""
    lengths, times = np.unique(requests.output_tokens, return_counts=True)
    weights = times / times.sum()
    outputs = _recorded_lengths(requests).output_law
    typical = _rounds_of_length(acceptance, window, max(round(outputs.mean), 1))
    if acceptance is None:
        means = lengths - 1.0
    elif isinstance(acceptance, TokenTrace):
        means = np.array([_rounds_of_length(acceptance, window, int(n)).count.mean for n in lengths])
    else:
        emitted = np.concatenate([[0.0], accepted_pmf(acceptance, window)])
        means = renewal.expected_rounds(emitted, int(lengths[-1]) - 1)[lengths - 1]
    spread = renewal.cumulants(np.asarray(means, dtype=np.float64), weights)
    longer = lengths > 1
    share = float(weights[longer].sum())
    per_token = float(np.dot(weights[longer], means[longer] / (lengths[longer] - 1.0))) / share if share > 0 else 0.0
    count = Time(spread.mean, spread.variance + typical.count.variance, spread.third + typical.count.third)
    at_length = Time(spread.mean, typical.count.variance, typical.count.third)
    return Rounds(count, at_length, per_token, typical.accepted)


def rounds_along(trace: TokenTrace, window: int, tokens: int) -> tuple[Array, float]:
    """Rounds to emit `tokens` from the start of each recorded request, and the accepted share of proposals.

    A round accepts the run of matches up to the window and skips the first miss; the recording is joined end to
    end, in a circle.
    """
    runs = _runs(trace)
    place = trace.request_starts().copy()
    emitted = np.zeros(place.size, dtype=np.int64)
    counts = np.zeros(place.size)
    accepted_total = proposed_total = 0.0
    while True:
        going = emitted < tokens
        if not going.any():
            break
        accepted = np.minimum(runs[place], window)
        counts += going
        accepted_total += float(accepted[going].sum())
        proposed_total += window * int(going.sum())
        emitted += accepted + 1
        place = (place + accepted + 1) % runs.size
    return counts, accepted_total / proposed_total


@lru_cache(maxsize=64)
def _runs(trace: TokenTrace) -> NDArray[np.int64]:
    """From each token on, how many matches follow before the first miss; a recording without a miss never ends."""
    size = trace.match.size
    misses = np.flatnonzero(trace.match == 0)
    if misses.size == 0:
        return np.full(size, np.iinfo(np.int32).max, dtype=np.int64)
    following = np.concatenate([misses, misses[:1] + size])
    places = np.arange(size)
    runs: NDArray[np.int64] = (following[np.searchsorted(misses, places)] - places).astype(np.int64)
    return runs
