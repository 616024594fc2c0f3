"""The rules once more as SimPy processes: a request is a coroutine, a target a loop, a draft device a resource.

Written from the rules (docs/invariants.md) for this comparison alone. It shares no code with the replayer, no random
numbers, not even the way a plan is read: a `Case` is plain numbers, and the affine step time is written out here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

LAST = 2
"""Priority of what happens when everything else of an instant has happened."""
Steps = Generator[Any, Any, Any]


@dataclass(frozen=True)
class Case:
    """One system with one stream; times in ms."""

    mode: str = "distributed"
    rate_per_s: float = 0.0
    users: int = 0
    think_ms: float = 0.0
    prompt: int = 100
    output: int = 30
    window: int = 4
    alpha: float = 0.7
    rtt_ms: float = 20.0
    jitter_cv: float = 0.0
    loss: float = 0.0
    step_ms: float = 20.0
    token_ms: float = 0.2
    prompt_ms: float = 0.02
    draft_ms: float = 5.0
    fused_ms: float = 1.0
    fused_token_ms: float = 0.01
    cap: int = 64
    replicas: int = 1
    routing: str = "jsq"
    devices: int = 50
    places: int | None = None
    """Sessions that a replica's memory holds."""


class Target:
    """A gated batch server: who is there when an iteration begins stays until it ends."""

    def __init__(self, env: simpy.Environment, case: Case) -> None:
        self.env, self.case = env, case
        self.queue: list[tuple[bool, simpy.Event]] = []
        self.live = 0
        self.memory = simpy.Resource(env, case.places) if case.places is not None else None
        self.work = env.event()
        env.process(self.serve())

    def ask(self, prefill: bool) -> simpy.Event:
        done = self.env.event()
        self.queue.append((prefill, done))
        if not self.work.triggered:
            self.work.succeed()
        return done

    def serve(self) -> Steps:
        case = self.case
        while True:
            if not self.queue:
                self.work = self.env.event()
                yield self.work
            yield last_of_instant(self.env)
            batch, self.queue = self.queue[: case.cap], self.queue[case.cap :]
            prefills = sum(prefill for prefill, _ in batch)
            verifies = len(batch) - prefills
            tokens = 1 if case.mode == "target_only" else case.window + 1
            time = case.step_ms + case.token_ms * tokens * verifies + case.prompt_ms * case.prompt * prefills
            if case.mode == "fused":
                time += case.window * (case.fused_ms + case.fused_token_ms * verifies) if verifies else 0.0
                time += case.fused_ms if prefills and not verifies else 0.0
            yield self.env.timeout(time)
            for _, done in batch:
                done.succeed()
            yield last_of_instant(self.env)


def last_of_instant(env: simpy.Environment) -> simpy.Event:
    event = env.event()
    event._ok, event._value = True, None
    env.schedule(event, priority=LAST)
    return event


class World:
    """One replication."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.draw = case, np.random.default_rng(seed)
        self.env = simpy.Environment()
        self.targets = [Target(self.env, case) for _ in range(case.replicas)]
        self.drafts = [simpy.Resource(self.env, 1) for _ in range(case.devices)]
        self.turn = 0
        self.seen: list[tuple[float, float, float, float]] = []
        """(start, TTFT, TPOT, E2E) of every finished request."""

    def way_ms(self) -> float:
        case = self.case
        time = case.rtt_ms / 2.0 * (1.0 + case.jitter_cv * (self.draw.exponential() - 1.0))
        while case.loss > 0.0 and self.draw.random() < case.loss:
            time += case.rtt_ms
        return time

    def choose(self) -> Target:
        if self.case.routing == "jsq":
            return min(self.targets, key=lambda target: target.live)
        if self.case.routing == "round_robin":
            self.turn += 1
            return self.targets[(self.turn - 1) % len(self.targets)]
        return self.targets[int(self.draw.integers(len(self.targets)))]

    def run(self, requests: int) -> list[tuple[float, float, float, float]]:
        if self.case.users:
            for user in range(self.case.users):
                self.env.process(self.user(user))
        else:
            self.env.process(self.arrivals())
        while len(self.seen) < requests:
            self.env.step()
        return sorted(self.seen)

    def arrivals(self) -> Steps:
        while True:
            yield self.env.timeout(self.draw.exponential(1000.0 / self.case.rate_per_s))
            self.env.process(self.request())

    def user(self, number: int) -> Steps:
        yield self.env.timeout(number * 37.0)
        while True:
            yield self.env.process(self.request())
            yield self.env.timeout(self.draw.exponential(self.case.think_ms) if self.case.think_ms else 0.0)

    def request(self) -> Steps:
        case, env = self.case, self.env
        start, target = env.now, self.choose()
        target.live += 1
        device = self.drafts[int(self.draw.integers(case.devices))]
        if case.mode == "distributed":
            env.process(self.draft(device, case.draft_ms))
        yield env.timeout(self.way_ms())
        room = target.memory.request() if target.memory is not None else None
        if room is not None:
            yield room
        yield target.ask(prefill=True)
        first = arrived = env.now + self.way_ms()
        emitted = 1
        while emitted < case.output:
            if case.mode == "distributed":
                yield env.timeout(arrived - env.now)
                yield env.process(self.draft(device, case.window * case.draft_ms))
                yield env.timeout(self.way_ms())
            yield target.ask(prefill=False)
            emitted += 1 if case.mode == "target_only" else self.accepted() + 1
            arrived = max(arrived, env.now + self.way_ms())
        target.live -= 1
        if room is not None:
            target.memory.release(room)
        yield env.timeout(arrived - env.now)
        self.seen.append((start, first - start, (arrived - first) / (case.output - 1), arrived - start))

    def draft(self, device: simpy.Resource, time_ms: float) -> Steps:
        with device.request() as turn:
            yield turn
            yield self.env.timeout(time_ms)

    def accepted(self) -> int:
        count = 0
        while count < self.case.window and self.draw.random() < self.case.alpha:
            count += 1
        return count


def means(case: Case, requests: int, replications: int) -> np.ndarray:
    """Mean TTFT, TPOT and E2E of each replication, the first fifth left out; shape (replications, 3)."""
    return np.array([np.mean(measured(case, requests, seed), axis=0) for seed in range(replications)])


def measured(case: Case, requests: int, seed: int) -> Iterator[list[float]]:
    seen = World(case, seed).run(requests)
    # The last to start are those whose long-lived mates had not finished: leave the end out as well.
    return [list(row[1:]) for row in seen[requests // 5 : 9 * requests // 10]]  # type: ignore[return-value]
