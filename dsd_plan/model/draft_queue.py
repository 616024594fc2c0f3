"""Draft devices: the sessions tied to one queue at it in order of arrival, and never behind themselves.

A session drafts a whole window a round; its own and its peers' prompts are prefilled by the same device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.model.ahead_queue import AheadJobs, ahead_cycle
from dsd_plan.model.batched_drafts import batched_cycle
from dsd_plan.model.bursts import Rounds, law_of, path_of, points, rounds_on
from dsd_plan.model.moments import Time
from dsd_plan.queueing.finite_source import fifo_cycle, longest_wait
from dsd_plan.queueing.population import averaging, finite_chain, log_factorials, poisson_chain, relaxation, shared

Array = NDArray[np.float64]

MOST_PEERS = 400
NEVER = 1e-12
MOST_STRETCHES = 40
MOST_CROWD = 240
"""Numbers of live sessions at which a recording's crowd is known."""
MOST_UNIT = 1000.0
AMPLIFYING = 6
FULLEST = 0.95


@dataclass(frozen=True, slots=True)
class Peers:
    """Other sessions of one stream, over all its devices, if no device were ever found busy."""

    users: int
    """Closed users, the session's own left out; 0 of open streams."""
    live: float
    devices: float
    """Among which each is tied to one."""

    def chain(self, size: int, stretch: float) -> Array:
        """Weights of so many of them on one device, each tied to one at random.

        `stretch` is by how much waiting lengthens the time on the other devices; on this one it is still to come.
        """
        if self.users == 0:
            return poisson_chain(self.live / self.devices, size)
        live = min(self.live / self.users, 1.0)
        here = live / self.devices
        return finite_chain(self.users, here, max((1.0 - live) + stretch * (live - here), NEVER))


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Who uses a pool of draft devices, where some of it is recorded."""

    arrivals: tuple[Array, ...]
    """Of each recorded stream, in ms."""
    others: float
    """Poisson requests of the rest, per ms."""
    row: int | None
    """Which of the recorded streams is the session's own; None: a Poisson one."""
    devices: int


@dataclass(frozen=True, slots=True)
class Drafting:
    """A stream's sessions on one of its draft devices. Times in ms, rates per ms."""

    job: float
    """Drafting a window, the mean of the device's sessions; `prefill` a prompt."""
    prefill: float
    rate: float
    """Others' requests that the device is given."""
    rounds: float
    """Rounds a request."""
    cycle: float
    """A round, if the device were never found busy."""
    rest: float
    """The rest of a live session's time."""
    peers: tuple[Peers, ...]
    even: bool
    """Sessions are spread over devices as evenly as can be, rather than at random."""
    crowd: Crowd | None = None
    """Recorded arrivals at the pool, whose bursts the number of peers follows; None: they are Poisson."""
    ahead: AheadJobs | None = None
    """Where drafts go on ahead; `job` is not read then."""
    among: float = 1.0
    """Devices of unlike queues that a session waits for, the last of which counts (`apart`)."""
    batches: Array | None = None
    """Where the device takes several jobs at once: times of batches of 1 … cap windows."""


@dataclass(frozen=True, slots=True)
class DraftWait:
    """Waiting before a draft job."""

    behind: float
    """Mean wait behind peers' draft jobs, and the chance of one."""
    behind_chance: float
    prefill: float
    """Mean wait behind peers' prefills, and the chance of one."""
    prefill_chance: float
    momentary: Time
    """Moments of a round beside its mean, as the number of peers varies; `slow` of a session's mean round."""
    slow: Time
    each: float = 0.0
    """Device time of a window that shares a batch, in equal parts; 0 where none does. `batch` jobs are in one."""
    batch: float = 1.0

    @property
    def mean(self) -> float:
        """Mean wait a round."""
        return self.behind + self.prefill

    @property
    def single(self) -> Time:
        """Spread of one round's wait: none, or uniform up to twice what it lasts on average when there is one."""
        variance, third = -(self.mean**2), 0.0
        for total, chance in ((self.behind, self.behind_chance), (self.prefill, self.prefill_chance)):
            long = total / chance
            variance += chance * 4.0 / 3.0 * long**2
            third += chance * 2.0 * long**3
        return Time(0.0, max(variance, 0.0), third)


def draft_wait(drafting: Drafting, most: int = 16) -> DraftWait:
    """Mean waits, and their variation with the number of sessions that share the device."""
    batched = None
    if drafting.batches is not None:
        batched = batched_cycle(most, drafting.batches, max(drafting.cycle - float(drafting.batches[0]), 0.0))
        waits, loads, longer = batched.delay, batched.chance, batched.delay
    else:
        waits, loads, longer = _behind_others(drafting, most)
    # A peer's prefill meets the session's next draft job at a random point of its round.
    prefill, cycle = drafting.prefill, drafting.cycle
    left = prefill**2 / (2.0 * cycle) if prefill < cycle else prefill - cycle / 2.0
    at_prefills = _at_prefills(drafting, waits, left)
    if drafting.batches is not None:
        # A prefill that comes while a batch runs lasts as long for those that are in the next one with it.
        at_prefills = at_prefills + drafting.rate * prefill * (waits + float(drafting.batches[0]))
    if drafting.crowd is not None:
        at_prefills = _at_prefills_of(drafting, waits, left)
    shown = 1.0 if drafting.ahead is None else 1.0 - drafting.ahead.right
    cycles = cycle + longer + shown * at_prefills
    requests = drafting.rounds * cycles + drafting.rest
    if drafting.crowd is None:
        seen = _peers(drafting, requests)
        mean, own = float(seen @ cycles), None
    else:
        seen, own = _along(drafting, drafting.crowd, cycles, requests)
        mean = own.moving.mean
    if seen[-1] > 1e-4 and most < MOST_PEERS:
        return draft_wait(drafting, most * 3)
    met = float(seen @ cycles)
    # A request's own mean round counts, where busy times bring more requests than rounds.
    scale = (mean - cycle) / (met - cycle) if met - cycle > NEVER else 1.0
    behind, at_prefill = scale * float(seen @ waits), scale * float(seen @ at_prefills)
    busy = min(max(float(seen @ loads), NEVER), 0.9)
    caught = min(at_prefill / max(prefill / 2.0, prefill - cycle / 2.0, NEVER), 0.9 * (1.0 - busy))
    kept = averaging(requests[0] * relaxation(seen, requests))
    off = cycles - met
    momentary = Time(0.0, float(seen @ off**2), float(seen @ off**3))
    slow = Time(0.0, momentary.variance * kept, momentary.third * kept**1.5)
    if own is not None:
        slow = Time(0.0, own.moving.variance + own.around * kept, own.moving.third)
    each = 0.0 if batched is None else float(seen @ batched.each)
    together = 1.0 if batched is None else float(seen @ batched.each) / float(seen @ (batched.each / batched.batch))
    return DraftWait(behind, busy, at_prefill, max(caught, NEVER), momentary, slow, each, together)


def _at_prefills(drafting: Drafting, waits: Array, left: float) -> Array:
    """Wait behind prefills with n others, n = 0 …: as in M/G/1, what comes meanwhile is in the way as well, 1/(1 − ρ).

    ρ counts prefills and the others' draft jobs, which are fewer while they wait for the prefill themselves. Windows
    drafted ahead are dropped where they wait, and batches take all who wait at once: nothing piles up behind theirs.
    """
    n = np.arange(waits.size)
    alone: Array = drafting.among * drafting.rate * (drafting.cycle + waits) * left
    if drafting.ahead is not None or drafting.batches is not None:
        return alone
    found, jobs, prefills = alone, n * drafting.job, drafting.rate * drafting.prefill
    without = drafting.cycle + waits + drafting.prefill
    for _ in range(AMPLIFYING):
        load = np.minimum(jobs / (without + found) + prefills, FULLEST)
        found = (found + alone / (1.0 - load)) / 2.0
    return found


def _behind_others(drafting: Drafting, most: int) -> tuple[Array, Array, Array]:
    """By the number of others, 0 … most − 1: wait of a job, chance of one, and by how much it lengthens a round."""
    if drafting.ahead is not None:
        found = ahead_cycle(most, drafting.ahead)
        return found.waits, np.append(0.0, found.loads[:-1]), found.rounds - found.rounds[0]
    at_once, busy_with = fifo_cycle(most, drafting.job, max(drafting.cycle - drafting.job, 0.0), drafting.among)
    waits, chances = longest_wait(np.array(at_once), np.array([0.0, *busy_with[:-1]]), drafting.among, drafting.job)
    return waits, chances, waits


def apart(tied: int, devices: int) -> float:
    """Devices of unlike queues among the `tied` ones of a session, drawn from so many.

    Another session that is on one of them is on a second one with chance (tied − 1)/(devices − 1); where all sessions
    share all devices, their queues are alike and count for one.
    """
    if tied == 1 or devices <= tied:
        return 1.0
    return 1.0 + (tied - 1) * (1.0 - (tied - 1) / (devices - 1))


def _at_prefills_of(drafting: Drafting, waits: Array, left: float) -> Array:
    """Wait behind the prefills of n others: in a burst they come faster than on average, each session one a life.

    Never less than what the device's own speed demands: n + 1 sessions' prefills and windows in one session's life.
    """
    n = np.arange(waits.size)
    rounds = max(drafting.rounds, 1.0)
    work = (n + 1) * (rounds * drafting.job + drafting.prefill)
    found = np.zeros(waits.size)
    for _ in range(MOST_STRETCHES):
        cycles = drafting.cycle + waits + found
        requests = rounds * cycles + drafting.rest
        least = np.maximum(work - requests, 0.0) / rounds
        wanted = np.maximum(n / requests * (drafting.cycle + waits) * left, found + least)
        if np.abs(wanted - found).max() < 1e-3 * drafting.cycle:
            break
        found = (found + wanted) / 2.0
    return found


def _along(drafting: Drafting, crowd: Crowd, cycles: Array, requests: Array) -> tuple[Array, Rounds]:
    """(law of the number of others on its device that a session meets in its rounds, its own mean round)."""
    unit, states = 1.0, MOST_CROWD
    while True:
        live = unit * np.arange(states)
        found = _on_device(live / crowd.devices, cycles.size, drafting.even)
        path = path_of(crowd.arrivals, crowd.others, 1.0, found @ requests, unit)
        if float(path.mean.max()) < live[-1] or unit > MOST_UNIT:
            break
        unit *= 4.0
    others, weights = points(path)
    length = found @ cycles
    turning = weights * path.mean / np.interp(others, live, length)
    law = law_of(others, turning, unit, states)
    own = rounds_on(path, others, length, drafting.rounds, unit, crowd.row)
    around = float(law @ np.maximum(found @ cycles**2 - length**2, 0.0))
    return law @ found, Rounds(own.moving, own.around + around)


def _on_device(mean: Array, size: int, even: bool) -> Array:
    """P(n others on the device), n < size (the rest counted in the last), by their mean number; (means, size)."""
    n = np.arange(size)
    if even:
        at = np.minimum(mean, size - 1.0)[:, None]
        found: Array = np.maximum(1.0 - np.abs(n - at), 0.0)
        return found
    logs = n * np.log(np.maximum(mean, 1e-12))[:, None] - mean[:, None] - log_factorials(max(size, 1024))[:size]
    found = np.exp(logs)
    found[:, -1] += np.maximum(1.0 - found.sum(axis=-1), 0.0)
    return found


def _peers(drafting: Drafting, requests: Array) -> Array:
    """Law of the number of other live sessions on the device that a session meets, shape of `requests`."""
    law = np.zeros(requests.size)
    if drafting.even:
        each = sum(peers.live / peers.devices for peers in drafting.peers)
        whole = min(int(each), requests.size - 2)
        law[whole : whole + 2] = (1.0 - (each - whole), each - whole) if each >= 1.0 else (1.0, 0.0)
        return law
    times = requests / requests[0]
    stretch = 1.0
    for _ in range(MOST_STRETCHES):
        chains = [peers.chain(requests.size, stretch) for peers in drafting.peers if peers.live > 0]
        found = shared(times, chains)[: requests.size]
        if not found.sum() > 0.0:
            # More are surely there than there are states.
            found = np.append(np.zeros(requests.size - 1), 1.0)
        law[:] = 0.0
        law[: found.size] = found / found.sum()
        before, stretch = stretch, (stretch * float(law @ times)) ** 0.5
        if all(peers.users == 0 for peers in drafting.peers) or abs(stretch - before) < 1e-3 * before:
            break
    return law


def delay_nodes(delay: Time, wait: DraftWait | None) -> tuple[Array, Array, Array]:
    """(chances, means, variances) of the time away: `delay` without a wait, or behind drafts, or behind a prefill."""
    if wait is None or wait.mean < 1e-6 * max(delay.mean, 1e-9):
        return np.ones(1), np.array([delay.mean]), np.array([delay.variance])
    chances, means, variances = [1.0 - wait.behind_chance - wait.prefill_chance], [0.0], [0.0]
    for total, chance in ((wait.behind, wait.behind_chance), (wait.prefill, wait.prefill_chance)):
        long = total / chance
        # Uniform between 0 and twice its mean, as two halves.
        chances += [chance / 2.0, chance / 2.0]
        means += [0.5 * long, 1.5 * long]
        variances += [long**2 / 12.0, long**2 / 12.0]
    return np.array(chances), delay.mean + np.array(means), delay.variance + np.array(variances)
