"""From mean rounds and their spread to the laws of TTFT, TPOT, ITL and E2E.

Each law is a mixture of shifted gammas by three moments. Independent parts of a time add their cumulants; what varies
slowly, the number of live sessions, enters with the share of its variance that an average over a request keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model.ahead import after_right
from dsd_plan.model.bursts import neighbours
from dsd_plan.model.guesses import weighted
from dsd_plan.model.in_order import gap_variance, last_token_lag, share_in_order
from dsd_plan.model.moments import Time, product
from dsd_plan.model.solution import PoolSolution, StreamState
from dsd_plan.model.traffic import Demand
from dsd_plan.queueing.distributions import Mixture, moments_of, skewness, together

Array = NDArray[np.float64]

SMALL = 1e-3
"""Share of a mixture below which a part is not told apart."""
_COUNTS = np.arange(4, dtype=np.float64)
_FACTORIALS = np.array([1.0, 1.0, 2.0, 6.0])


@dataclass(frozen=True, slots=True, eq=False)
class Latency:
    """Laws of one stream's latencies, in ms. None where there is nothing to measure."""

    ttft: Mixture
    tpot: Mixture | None
    itl: Mixture | None
    e2e: Mixture
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
    """Rounds by node of the time away, whose chances and variances follow; `right` after a right guess."""
    chance: Array
    spread: Array
    right: NDArray[np.bool_]
    jobs: float

    @property
    def longer(self) -> float:
        """By what share a round after a right guess is longer than one after a wrong guess; pipelined, negative."""
        right, wrong = (self.chance * side for side in (self.right, ~self.right))
        if not right.sum() > 0.0 or not wrong.sum() > 0.0:
            return 0.0
        return float((right @ self.nodes) / right.sum() / ((wrong @ self.nodes) / wrong.sum())) - 1.0


def moment_of(solution: PoolSolution, k: int) -> Moment:
    """Interpolated at the mean number of others' jobs that class k meets."""
    seen, held, cycles, away = solution.live.seen[k], solution.cycles.held, solution.cycles, solution.away
    jobs = float(seen @ solution.table.jobs[: seen.size])

    below = max(int(np.searchsorted(held.jobs, jobs, side="right")) - 1, 0)
    above = min(below + 1, held.jobs.size - 1)
    width = float(held.jobs[above] - held.jobs[below])
    share = min(max((jobs - float(held.jobs[below])) / width, 0.0), 1.0) if width > 0.0 else 0.0

    def row_at(rows: Array) -> Array:
        # What does not depend on the jobs has one row.
        found: Array = rows[0] if rows.shape[0] == 1 else rows[below] + share * (rows[above] - rows[below])
        return found

    def at(values: Array) -> float:
        return float(row_at(values))

    return Moment(
        iteration=at(held.iteration),
        variance=at(held.variance),
        third=at(held.third),
        smooth=at(held.smooth),
        busy=at(held.busy),
        prefills=float(row_at(held.prefills).sum()),
        own=at(cycles.own[:, k]),
        draft=at(cycles.own_draft[:, k]),
        nodes=row_at(cycles.nodes[:, k]),
        chance=row_at(away.chance[:, k]),
        spread=row_at(away.variance[:, k]),
        right=away.right[k],
        jobs=jobs,
    )


def _in_mean_rounds(joint: Array, longer: float) -> Time:
    """Rounds of two lengths, counted in rounds of their mean length: few rounds are full ones, and those are short."""
    total = weighted(joint, longer)
    return total.scaled(float(joint[1, 0]) / total.mean) if total.mean > 0.0 else total


def latency_of(solution: PoolSolution, k: int, state: StreamState, moment: Moment) -> Latency:
    """Laws of class k."""
    demand = solution.demands[k]
    ttft = _ttft(solution, k, moment, state.request)
    extra = float(solution.live.transient[k]) + state.start
    noise = _noise(solution, k, moment, state)
    slow = solution.live.round[k]
    if state.wait is not None:
        slow = Time(slow.mean, slow.variance + state.wait.slow.variance, slow.third + state.wait.slow.third)
    rounds = demand.rounds
    ends = Time()
    if demand.stream.draft is None:
        jitter = demand.round_down.variance**0.5
        lag = last_token_lag(slow.mean, jitter, rounds.count.mean)
        ends = Time(lag.mean, 2.0 * demand.round_down.variance + lag.variance)
    first = Time(*moments_of(ttft))
    rest = Time(extra).plus(ends)
    tpot, e2e = [], []
    # Rounds are many or few with the length of an answer: each length has its own law.
    for part in rounds.parts:
        count = part.count if part.joint is None else _in_mean_rounds(part.joint, moment.longer)
        decode = product(count, slow).plus(noise.scaled_sum(part.count.mean)).plus(rest)
        together_ms2 = 2.0 * part.count.mean * float(solution.live.together[k])
        if part.count.mean <= 0.0:
            decode, together_ms2 = Time(), 0.0
        else:
            tpot.append(decode.scaled(1.0 / (part.output - 1.0)).law().scaled(part.weight))
        e2e.append(first.plus(decode).plus(Time(0.0, max(together_ms2, 0.0))).law().scaled(part.weight))
    if not tpot:
        return Latency(ttft, None, None, together(e2e), 0.0)
    itl, gaps = _itl(solution, k, moment, state, extra)
    return Latency(ttft, together(tpot), itl, together(e2e), gaps)


def _ttft(solution: PoolSolution, k: int, moment: Moment, request_ms: float) -> Mixture:
    """By the number of prefills in the iteration that the prompt arrives in; the mean is the solution's.

    A prompt meets an iteration in proportion to its length S, waits uniformly for its end, and is prefilled together
    with the Poisson number of prompts that came during S.
    """
    demand, prefill, held = solution.demands[k], solution.live.prefill[k], solution.cycles.held
    common = demand.prompt_up.plus(demand.first_down).plus(prefill).plus(_own_prompt(solution, k))
    rate = moment.prefills / moment.iteration
    bare = max(moment.iteration - moment.prefills * held.jump, 0.1 * moment.iteration)
    lengths = bare + _COUNTS * held.jump
    chances = np.exp(-moment.prefills) * moment.prefills**_COUNTS / _FACTORIALS
    chances[-1] += max(1.0 - float(chances.sum()), 0.0)
    met: Array = chances * lengths
    met *= moment.busy / met.sum()
    means = lengths * (0.5 + rate * held.jump)
    shift = common.mean - float(met @ means)
    spread = common.variance + lengths**2 / 12.0 + rate * lengths * held.jump_square + moment.smooth
    third = common.third + rate * lengths * held.jump_cube
    # An idle server takes the prompt at once.
    weight = np.append(met, 1.0 - moment.busy)
    spread, third = np.append(spread, common.variance), np.append(third, common.third)
    means = shift + np.append(means, 0.0)
    if isinstance(demand.stream.requests, RequestTrace):
        crowd = _crowd(demand.stream.requests, moment.iteration, request_ms)
        means, spread = means + crowd.mean * held.jump, spread + crowd.variance * held.jump**2
        third = third + crowd.third * held.jump**3
    law = _behind_prompts(Mixture(weight, means, spread, skewness(spread, third)), solution, k, moment)
    return _after_memory(_told_apart(law), solution.live.memory[k])


def _behind_prompts(law: Mixture, solution: PoolSolution, k: int, moment: Moment) -> Mixture:
    """Those whom a token budget keeps behind other prompts for some steps, and those whom it does not: same mean."""
    engine, classes = solution.time.engine, solution.classes
    if engine is None:
        return law
    prefills = moment.jobs * classes.rates / classes.jobs
    chance, later, variance = engine.late(
        prefills * classes.rounds, prefills, moment.iteration, solution.time.prefill, k
    )
    if chance <= SMALL:
        return law
    soon = Mixture((1.0 - chance) * law.weight, law.mean - chance * later, law.variance, law.skew)
    spread = law.variance + variance
    third = law.skew * law.variance**1.5 + 2.0 * variance**1.5
    late = Mixture(chance * law.weight, law.mean + (1.0 - chance) * later, spread, skewness(spread, third))
    return together([soon, late])


def _own_prompt(solution: PoolSolution, k: int) -> Time:
    """Spread of a request's own prefill, as prompts are of different lengths."""
    tokens = solution.demands[k].lengths.prefill_law
    each = float(solution.time.prefill[k]) / tokens.mean
    return Time(0.0, tokens.variance, tokens.third).scaled(each)


def _crowd(requests: RequestTrace, iteration_ms: float, request_ms: float) -> Time:
    """How many more prompts of a recording share an iteration with a request than come by their rate around it."""
    near, variance = neighbours(requests, iteration_ms)
    around, _ = neighbours(requests, request_ms)
    usual = around * min(iteration_ms / request_ms, 1.0)
    excess = max(variance - usual, 0.0)
    return Time(near - usual, excess, 2.0 * excess**1.5)


def _told_apart(law: Mixture) -> Mixture:
    """Without the parts that are too small to matter."""
    kept = law.weight > SMALL * law.weight.sum()
    return Mixture(law.weight[kept], law.mean[kept], law.variance[kept], law.skew[kept])


def _after_memory(law: Mixture, memory: tuple[float, Time]) -> Mixture:
    """Those who do not wait for memory, and those who do."""
    chance, wait = memory
    if chance <= SMALL:
        return Mixture(law.weight, law.mean + chance * wait.mean, law.variance, law.skew)
    late = Time(*moments_of(law)).plus(wait).law()
    total = float(law.weight.sum())
    return together([law.scaled((1.0 - chance) / total), late.scaled(chance)])


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
    if state.turn is not None:
        return _ahead_noise(demand, moment, state, waits)
    return _Noise(delay.variance + waits.variance + moment.busy * moment.iteration**2 / 12.0, delay.third + waits.third)


def _ahead_noise(demand: Demand, moment: Moment, state: StreamState, waits: Time) -> _Noise:
    """Of rounds after a wrong guess as in distributed, after a right one of the longer of two ways."""
    assert state.turn is not None
    right, ways = demand.rounds.right, demand.round_up.plus(demand.round_down)
    within = ways.variance + moment.busy * moment.iteration**2 / 12.0
    turn = replace(state.turn, spread=max(within - demand.round_down.variance, 0.0))
    kept = after_right(demand, state.wait, turn).variance
    wrong = 1.0 - right
    return _Noise(wrong * (within + waits.variance) + right * kept, wrong * (ways.third + waits.third))


def _itl(solution: PoolSolution, k: int, moment: Moment, state: StreamState, extra: float) -> tuple[Mixture, float]:
    """Gaps between arrivals, and how many a request has; the first gap by itself where it is longer."""
    demand = solution.demands[k]
    momentary, count = solution.live.momentary[k], demand.rounds.count.mean
    slow = momentary if state.wait is None else momentary.plus(state.wait.momentary)
    if demand.stream.draft is None:
        chances, means, iterations = np.ones(1), np.array([momentary.mean]), 1.0
        jitter = demand.round_down.variance**0.5
        by_jitter = gap_variance(momentary.mean, jitter)
        variances = np.array([moment.smooth + by_jitter])
        third = demand.round_down.third
    else:
        delay = solution.delays[k]
        chances = moment.chance
        means = moment.nodes * (momentary.mean / float(moment.nodes @ chances))
        lattice = moment.busy * moment.iteration**2 / 12.0 * (1.0 - np.exp(-delay.mean / moment.iteration))
        variances = moment.spread + moment.smooth + lattice
        iterations = 1.0 + 1.0 / (1.0 + delay.mean / moment.iteration)
        third = delay.third
    prefills = moment.prefills * iterations
    first = 1.0 / count if extra > SMALL * momentary.mean and count > 1.0 else 0.0
    law = _with_prefills(
        solution, prefills, (1.0 - first) * chances, means, variances + slow.variance, third + slow.third
    )
    if first > 0.0:
        late = Time(momentary.mean + extra, float(variances[0]) + slow.variance + extra**2 / 9.0, slow.third)
        law = together([law, late.law().scaled(first)])
    law = _told_apart(law)
    if demand.stream.draft is not None:
        return law, count
    kept = share_in_order(momentary.mean, jitter)
    if kept < 1.0 - SMALL:
        variance = (law.variance - by_jitter) / kept + by_jitter
        skew = law.skew * (law.variance / variance) ** 1.5
        law = Mixture(law.weight, law.mean / kept, variance, skew)
    return law, count * kept


def _with_prefills(
    solution: PoolSolution, prefills: float, weights: Array, means: Array, variances: Array, third: float
) -> Mixture:
    """Gaps split by how many prefills their iterations hold: none, one of each class, two, or more; means are kept."""
    held, rates = solution.cycles.held, solution.classes.rates
    none = float(np.exp(-prefills))
    one, two = prefills * none, prefills**2 / 2.0 * none
    more = max(1.0 - none - one - two, 0.0)
    many = (prefills - one - 2.0 * two) / max(more, 1e-12)
    spread = max(held.jump_square - held.jump**2, 0.0)
    same = np.zeros(rates.size)
    chances = np.concatenate([[none], one * rates / rates.sum(), [two, more]])
    jumps = np.concatenate([[0.0], solution.time.prefill, [2.0 * held.jump, many * held.jump]])
    spreads = np.concatenate([[0.0], same, [2.0 * spread, many * held.jump_square]])
    weight = np.outer(weights, chances).ravel()
    mean = np.add.outer(means - prefills * held.jump, jumps).ravel()
    variance = np.add.outer(variances, spreads).ravel()
    return Mixture(weight, mean, variance, skewness(variance, np.full(variance.size, third)))
