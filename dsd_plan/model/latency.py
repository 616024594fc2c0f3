"""From mean rounds and their spread to the laws of TTFT, TPOT, ITL and E2E.

Each law is a mixture of shifted gammas by three moments. Independent parts of a time add their cumulants; what varies
slowly, the number of live sessions, enters with the share of its variance that an average over a request keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.moments import Time, product
from dsd_plan.model.solution import PoolSolution, StreamState
from dsd_plan.model.traffic import Demand
from dsd_plan.queueing.distributions import Part

Array = NDArray[np.float64]
Law = tuple[Part, ...]

SMALL = 1e-3
"""Share of a mixture below which a part is not told apart."""
QUADRATURE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """Laws of one stream's latencies, in ms. A law is empty where there is nothing to measure."""

    ttft: Law
    tpot: Law
    itl: Law
    e2e: Law
    gaps: float
    """Distinct arrivals after the first, a request."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What a class meets at its typical number of others: iterations and their parts, in ms."""

    iteration: float
    variance: float
    third: float
    smooth: float
    busy: float
    prefills: float
    """Prefills an iteration."""
    own: float
    """Iteration that serves a round of the class; `draft` its fused draft steps."""
    draft: float
    nodes: Array
    jobs: float


def moment_of(solution: PoolSolution, k: int) -> Moment:
    """Interpolated at the mean number of others' jobs that class k meets."""
    seen, held, cycles = solution.live.seen[k], solution.cycles.held, solution.cycles
    jobs = float(seen @ solution.table.jobs[: seen.size])

    def at(values: Array) -> float:
        return float(np.interp(jobs, held.jobs, values))

    return Moment(
        iteration=at(held.iteration),
        variance=at(held.variance),
        third=at(held.third),
        smooth=at(held.smooth),
        busy=at(held.busy),
        prefills=at(held.prefills.sum(axis=-1)),
        own=at(cycles.own[:, k]),
        draft=at(cycles.own_draft[:, k]),
        nodes=np.array([at(column) for column in cycles.nodes[:, k].T]),
        jobs=jobs,
    )


def latency_of(solution: PoolSolution, k: int, state: StreamState, moment: Moment) -> Latency:
    """Laws of class k."""
    demand = solution.demands[k]
    ttft = _ttft(solution, k, moment)
    extra = float(solution.live.transient[k]) + state.start
    noise = _noise(solution, k, moment, state)
    slow = solution.live.round[k]
    if state.wait is not None:
        slow = Time(slow.mean, slow.variance + state.wait.slow.variance, slow.third + state.wait.slow.third)
    rounds = demand.rounds
    ends = Time(0.0, 2.0 * demand.round_down.variance) if demand.stream.draft is None else Time()
    first = _moments(ttft)
    decode = product(rounds.count, slow).plus(noise.scaled_sum(rounds.count.mean)).plus(Time(extra)).plus(ends)
    at_length = (
        product(rounds.at_length, slow).plus(noise.scaled_sum(rounds.at_length.mean)).plus(Time(extra)).plus(ends)
    )
    together = 2.0 * rounds.count.mean * float(solution.live.together[k])
    e2e = first.plus(decode).plus(Time(0.0, max(together, 0.0)))
    output = demand.lengths.output
    if rounds.per_token <= 0.0:
        return Latency(ttft, (), (), (e2e.part(1.0),), 0.0)
    # Per-request division: E[rounds / tokens] is not E[rounds] / E[tokens] where lengths vary.
    tpot = at_length.scaled(1.0 / (output - 1.0))
    mean = rounds.per_token * slow.mean + extra / (output - 1.0)
    itl, gaps = _itl(solution, k, moment, state, extra)
    return Latency(ttft, (tpot._replace(mean=mean).part(1.0),), itl, (e2e.part(1.0),), gaps)


def _ttft(solution: PoolSolution, k: int, moment: Moment) -> Law:
    """By the number of prefills in the iteration that the prompt arrives in; the mean is the solution's.

    A prompt meets an iteration in proportion to its length S, waits uniformly for its end, and is prefilled together
    with the Poisson number of prompts that came during S.
    """
    demand, prefill, held = solution.demands[k], solution.live.prefill[k], solution.cycles.held
    common = demand.prompt_up.plus(demand.first_down).plus(prefill._replace(mean=0.0))
    mean = demand.prompt_up.mean + demand.first_down.mean + prefill.mean
    rate = moment.prefills / moment.iteration
    bare = max(moment.iteration - moment.prefills * held.jump, 0.1 * moment.iteration)
    counts = np.arange(4)
    lengths = bare + counts * held.jump
    chances = np.exp(-moment.prefills) * moment.prefills**counts / np.array([1.0, 1.0, 2.0, 6.0])
    chances[-1] += max(1.0 - chances.sum(), 0.0)
    met = chances * lengths
    met *= moment.busy / met.sum()
    means = lengths * (0.5 + rate * held.jump)
    idle = 1.0 - moment.busy
    shift = mean - float(met @ means)
    parts = []
    for weight, length, at in zip(met, lengths, means, strict=True):
        spread = Time(
            shift + float(at),
            float(length**2 / 12.0 + rate * length * held.jump_square) + moment.smooth,
            float(rate * length * held.jump_cube),
        )
        parts.append(common._replace(mean=0.0).plus(spread).part(float(weight)))
    if idle > SMALL:
        parts.append(common._replace(mean=shift).part(idle))
    return _after_memory(tuple(part for part in parts if part.weight > SMALL), solution.live.memory[k])


def _after_memory(law: Law, memory: tuple[float, Time]) -> Law:
    """Those who do not wait for memory, and those who do."""
    chance, wait = memory
    if chance <= SMALL:
        return tuple(part._replace(mean=part.mean + chance * wait.mean) for part in law)
    late = _moments(law).plus(wait).part(chance * sum(part.weight for part in law))
    return (*(part._replace(weight=part.weight * (1.0 - chance)) for part in law), late)


def _moments(law: Law) -> Time:
    """Mean and variance of a mixture, and its third moment."""
    total = sum(part.weight for part in law)
    mean = sum(part.weight * part.mean for part in law) / total
    variance = third = 0.0
    for part in law:
        off, share = part.mean - mean, part.weight / total
        variance += share * (part.variance + off**2)
        third += share * (part.skew * part.variance**1.5 + 3.0 * off * part.variance + off**3)
    return Time(mean, variance, third)


@dataclass(frozen=True, slots=True)
class _Noise:
    """Spread of a single round around its slowly varying mean."""

    variance: float
    third: float

    def scaled_sum(self, rounds: float) -> Time:
        """Of so many independent rounds."""
        return Time(0.0, rounds * self.variance, rounds * self.third)


def _noise(solution: PoolSolution, k: int, moment: Moment, state: StreamState) -> _Noise:
    demand = solution.demands[k]
    jump = solution.cycles.held.jump_square * moment.prefills
    if demand.stream.draft is None:
        return _Noise(jump, moment.third)
    delay = solution.delays[k]
    waits = Time() if state.wait is None else state.wait.single
    return _Noise(delay.variance + waits.variance + moment.iteration**2 / 12.0, delay.third + waits.third)


def _itl(solution: PoolSolution, k: int, moment: Moment, state: StreamState, extra: float) -> tuple[Law, float]:
    """Gaps between arrivals: iterations with no, one, two or more prefills in them, and the first gap by itself."""
    demand = solution.demands[k]
    momentary, count = solution.live.momentary[k], demand.rounds.count.mean
    delay = solution.delays[k]
    streamed = demand.stream.draft is None
    slow = momentary if state.wait is None else momentary.plus(state.wait.momentary)
    third = demand.round_down.third if streamed else delay.third
    if streamed:
        chances, means = np.ones(1), np.array([momentary.mean])
        variances = np.array([moment.smooth + 2.0 * demand.round_down.variance])
        iterations = 1.0
    else:
        chances, variances = _away_of(solution, k)
        means = moment.nodes * (momentary.mean / float(moment.nodes @ chances))
        spread = moment.iteration**2 / 12.0 * (1.0 - np.exp(-delay.mean / moment.iteration))
        variances = variances + moment.smooth + spread
        iterations = 1.0 + 1.0 / (1.0 + delay.mean / moment.iteration)
    first = 1.0 / count if extra > SMALL * momentary.mean and count > 1.0 else 0.0
    parts: list[Part] = []
    for chance, mean, variance in zip(chances, means, variances, strict=True):
        time = Time(float(mean), float(variance) + slow.variance, third + slow.third)
        parts += _with_prefills(solution, moment.prefills * iterations, float(chance) * (1.0 - first), time)
    if first > 0.0:
        start = Time(momentary.mean + extra, float(variances[0]) + slow.variance + extra**2 / 9.0, slow.third)
        parts.append(start.part(first))
    kept = _kept_order(demand, moment.iteration) if streamed else 1.0
    if kept < 1.0 - SMALL:
        parts = [Part(p.weight, p.mean / kept, p.variance / kept, p.skew) for p in parts]
    return tuple(parts), count * kept


def _with_prefills(solution: PoolSolution, prefills: float, weight: float, gap: Time) -> list[Part]:
    """A gap split by how many prefills its iterations hold; its mean is kept."""
    held = solution.cycles.held
    rates = solution.classes.rates
    base = gap._replace(mean=gap.mean - prefills * held.jump)
    none = float(np.exp(-prefills))
    one, two = prefills * none, prefills**2 / 2.0 * none
    more = max(1.0 - none - one - two, 0.0)
    spread = max(held.jump_square - held.jump**2, 0.0)
    parts = [base.part(weight * none)]
    for share, jump in zip(rates / rates.sum(), solution.time.prefill, strict=True):
        parts.append(base.plus(Time(float(jump))).part(weight * one * float(share)))
    parts.append(base.plus(Time(2.0 * held.jump, 2.0 * spread)).part(weight * two))
    if more > 0.0:
        many = (prefills - one - 2.0 * two) / more
        parts.append(base.plus(Time(many * held.jump, many * held.jump_square)).part(weight * more))
    return [part for part in parts if part.weight > SMALL * weight]


def _away_of(solution: PoolSolution, k: int) -> tuple[Array, Array]:
    return solution.away.chance[k], solution.away.variance[k]


def _kept_order(demand: Demand, iteration: float) -> float:
    """Share of a stream's tokens that arrive after all earlier ones, and so at a time of their own.

    With exponential jitter of mean c and one token every T: ∫ Π_{i≥1} (1 − u e^(−iT/c)) du over u in (0, 1).
    """
    deviation = demand.round_down.variance**0.5
    if deviation < 0.02 * iteration:
        return 1.0
    u, weights = _quadrature()
    ratio = iteration / deviation
    powers = np.exp(-ratio * np.arange(1, max(2, int(12.0 / ratio) + 2)))
    return float(weights @ np.prod(1.0 - u[:, None] * powers, axis=-1))


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Array, Array]:
    """Gauss–Legendre nodes and weights on (0, 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    return (nodes + 1.0) / 2.0, weights / 2.0
