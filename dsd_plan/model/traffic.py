"""What each stream asks of its servers, as numbers: rates, lengths, rounds, delays. Times in ms, rates per ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.acceptance import Acceptance, accepted_pmf
from dsd_plan.domain.acceptance_laws import BetaLaw, DependentLaw, MarkovLaw, round_moments
from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.step_time import decode_ms, prefill_ms
from dsd_plan.domain.workload import ClosedRequests, PoissonRequests, RequestTrace
from dsd_plan.model.guesses import joint_moments
from dsd_plan.model.moments import Time, message_ms
from dsd_plan.model.walks import moments_along, rounds_along, walk_of
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


@dataclass(frozen=True, slots=True)
class Part:
    """A stream's requests of about one length."""

    weight: float
    output: float
    count: Time
    """Cumulants of their rounds (not ms)."""
    joint: Array | None = None
    """Pipelined: joint moments of rounds and right guesses (`guesses.joint_moments`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Decode or verify jobs of a request."""

    count: Time
    """Cumulants of their number (not ms); lengths of a recorded stream included."""
    parts: tuple[Part, ...]
    """Requests of like length, which add up to all."""
    accepted: float
    """Accepted share of the tokens proposed; 0 in target_only."""
    right: float = 0.0
    """Pipelined: share of rounds that begin with a right guess."""


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
    """Time of drafting one window on the stream's own draft device; 0 unless that is at the edge."""
    draft_prefill: float
    ahead: float = 0.0
    """Time of a job that drafts ahead, one step more than a window; 0 unless pipelined."""
    draft_work: float = 0.0
    """Of all its draft devices together: `draft`, of the one with most candidate paths, and the others' parts."""

    @property
    def window(self) -> int:
        """Tokens proposed a round, on each candidate path."""
        return self.stream.window

    @property
    def paths(self) -> int:
        """Candidate paths a round."""
        return self.stream.assignment.candidates

    @property
    def verified(self) -> float:
        """New tokens of a decode or verify job."""
        return self.window * self.paths + 1.0

    @property
    def tied(self) -> int:
        """Draft devices that share a session's candidate paths."""
        return self.stream.assignment.draft_devices_per_session

    @property
    def away(self) -> float:
        """Mean time of a closed user between two requests that the target does not see."""
        return self.think + self.prompt_up.mean + self.first_down.mean


def demands_of(deployed: Deployed) -> tuple[Demand, ...]:
    """Every stream of a plan."""
    return tuple(_demand(deployed, index, stream) for index, stream in enumerate(deployed.streams))


def by_target(demands: Sequence[Demand]) -> dict[int, list[Demand]]:
    """Demands of each target pool that any of them uses."""
    found: dict[int, list[Demand]] = {}
    for demand in demands:
        found.setdefault(demand.stream.target, []).append(demand)
    return found


def in_groups(demands: Sequence[Demand]) -> list[tuple[Demand, ...]]:
    """The streams in groups that share no target pool and no draft pool."""
    groups: list[tuple[set[tuple[str, int]], list[Demand]]] = []
    for demand in demands:
        used = {("target", demand.stream.target)}
        if demand.stream.draft is not None:
            used.add(("draft", demand.stream.draft))
        met = [group for group in groups if group[0] & used]
        first = met[0] if met else (set(), [])
        if not met:
            groups.append(first)
        for other in met[1:]:
            first[0].update(other[0])
            first[1].extend(other[1])
            groups.remove(other)
        first[0].update(used)
        first[1].append(demand)
    return [tuple(sorted(members, key=lambda demand: demand.index)) for _, members in groups]


def by_draft(demands: Sequence[Demand]) -> dict[int, list[Demand]]:
    """Demands of each pool of draft devices that any of them uses."""
    found: dict[int, list[Demand]] = {}
    for demand in demands:
        if demand.stream.draft is not None:
            found.setdefault(demand.stream.draft, []).append(demand)
    return found


def _demand(deployed: Deployed, index: int, stream: Stream) -> Demand:
    requests = stream.requests
    lengths = lengths_of(stream)
    engine = deployed.targets[stream.target].engine
    if engine is not None and not engine.prefix_cache and isinstance(requests, RequestTrace):
        lengths = _recorded_lengths(replace(requests, cached_prefix_tokens=None))
    draft = draft_prefill = draft_work = ahead = 0.0
    if stream.draft is not None:
        surface = deployed.drafts[stream.draft].surface
        parts = [stream.window * decode_ms(surface, float(n), 1.0, lengths.context) for n in paths_by_device(stream)]
        draft, draft_work = max(parts), sum(parts)
        if stream.mode == "pipelined":
            ahead = (stream.window + 1) * decode_ms(surface, 1.0, 1.0, lengths.context + stream.window)
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
        ahead=ahead,
        draft_work=draft_work,
    )


def paths_by_device(stream: Stream) -> tuple[int, ...]:
    """Candidate paths that each of a session's draft devices drafts: path p on device p mod m."""
    paths, tied = stream.assignment.candidates, stream.assignment.draft_devices_per_session
    return tuple((paths - part + tied - 1) // tied for part in range(tied))


def lengths_of(stream: Stream) -> Lengths:
    """Mean lengths, and their spread where the stream is a recording."""
    return lengths_in(stream.requests)


def lengths_in(requests: PoissonRequests | ClosedRequests | RequestTrace) -> Lengths:
    """Mean lengths of requests, and their spread where they are a recording."""
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
        rounds = _rounds_of_lengths(stream.acceptance, stream.window, requests)
    else:
        rounds = _rounds_of_length(stream.acceptance, stream.window, requests.output_tokens)
    return _with_guesses(stream, rounds) if stream.mode == "pipelined" else rounds


def _with_guesses(stream: Stream, rounds: Rounds) -> Rounds:
    """The same, with the rounds that begin with a right guess: parts by length take those of their mean length."""
    if rounds.count.mean <= 0.0 or stream.acceptance is None:
        return rounds
    outputs = [max(round(part.output) - 1, 0) for part in rounds.parts]
    joint = joint_moments(stream.acceptance, stream.window, max(outputs))
    parts = tuple(replace(part, joint=joint[n]) for part, n in zip(rounds.parts, outputs, strict=True))
    share = sum(part.weight * float(joint[n][0, 1]) for part, n in zip(parts, outputs, strict=True))
    return replace(rounds, parts=parts, right=share / rounds.count.mean)


@lru_cache(maxsize=4096)
def _rounds_of_length(acceptance: Acceptance | DependentLaw | None, window: int, output: int) -> Rounds:
    """`output` tokens, the first of which comes from the prefill."""
    if acceptance is None:
        count = Time(output - 1.0)
        return Rounds(count, (Part(1.0, output, count),), 0.0)
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        most = max(output - 1, 0)
        told = round_moments(acceptance, window, most)
        count = _time_of(told.rounds[:, most])
        return Rounds(count, (Part(1.0, output, count),), float(told.accepted[most] / max(count.mean, 1.0)) / window)
    walk = walk_of(acceptance, window)
    if walk is not None and output > 1:
        counts, accepted = rounds_along(walk, window, output - 1)
        law = renewal.cumulants(counts, np.full(counts.size, 1.0 / counts.size))
    else:
        pmf = accepted_pmf(acceptance, window)
        law = renewal.count_of(renewal.rounds_pmf(np.concatenate([[0.0], pmf]), output - 1))
        accepted = float(np.dot(np.arange(window + 1), pmf)) / window
    count = Time(law.mean, law.variance, law.third)
    return Rounds(count, (Part(1.0, output, count),), accepted)


@lru_cache(maxsize=256)
def _rounds_of_lengths(acceptance: Acceptance | DependentLaw | None, window: int, requests: RequestTrace) -> Rounds:
    """A recording: exact moments for each length, lengths of a like kept together."""
    lengths, times = np.unique(requests.output_tokens, return_counts=True)
    weights = times / times.sum()
    outputs = _recorded_lengths(requests).output_law
    moments = rounds_to_emit(acceptance, window, int(lengths[-1]) - 1)[:, lengths - 1]
    edges = np.searchsorted(np.cumsum(weights), SHARES)
    parts = tuple(
        Part(
            weight=float(weights[a:b].sum()),
            output=float(np.average(lengths[a:b], weights=weights[a:b])),
            count=_time_of(np.average(moments[:, a:b], axis=1, weights=weights[a:b])),
        )
        for a, b in pairwise([*np.unique([0, *edges]), lengths.size])
    )
    typical = _rounds_of_length(acceptance, window, max(round(outputs.mean), 2))
    return Rounds(_time_of(moments @ weights), parts, typical.accepted)


SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Where a recording's requests are parted by length."""


def rounds_to_emit(acceptance: Acceptance | DependentLaw | None, window: int, most: int) -> Array:
    """E[K], E[K²], E[K³] of the rounds to emit 0 … `most` tokens, shape (3, most + 1)."""
    if acceptance is None:
        powers: Array = np.arange(most + 1.0) ** np.array([[1.0], [2.0], [3.0]])
        return powers
    walk = walk_of(acceptance, window)
    if walk is not None:
        return moments_along(walk, most)
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        return round_moments(acceptance, window, most).rounds
    return renewal.round_moments(np.concatenate([[0.0], accepted_pmf(acceptance, window)]), most)


def _time_of(moments: Array) -> Time:
    """Cumulants, given three raw moments."""
    first, second, third = (float(moment) for moment in moments)
    return Time(first, max(second - first**2, 0.0), third - 3.0 * first * second + 2.0 * first**3)
