"""A replay of distributed rounds as one would write it in plain Python, made as fast as that allows.

One mode, affine laws, jittered ways without limits, round robin: only what the benchmark's scenario needs, with no
generality to pay for. Luck comes from `random`, the quickest source that Python has.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from heapq import heappop, heappush
from math import log
from random import Random

REQUEST, PROMPT, VERDICT, JOB, END = range(5)


@dataclass(frozen=True, slots=True)
class System:
    """Affine laws in ms: (step, per token, per prompt token); a way takes `way_ms` on average each."""

    rate_per_s: float
    prompt: int
    output: int
    window: int
    cumulative: tuple[float, ...]
    """P(accepted ≤ j)."""
    target: tuple[float, float, float]
    draft: tuple[float, float, float]
    way_ms: float
    jitter_cv: float
    replicas: int
    devices: int
    cap: int


class Session:
    """What moves."""

    __slots__ = ("device", "emitted", "first_ms", "last_ms", "replica", "rounds", "started_ms")

    def __init__(self, now_ms: float, replica: int, device: int) -> None:
        self.started_ms = self.first_ms = self.last_ms = now_ms
        self.replica = replica
        self.device = device
        self.emitted = 0
        self.rounds = 0


def replayed(system: System, most: int) -> tuple[int, float]:
    """Rounds of all sessions, and their mean time from the request to the last token."""
    random = Random(1).random
    prompt, output, window, cap = system.prompt, system.output, system.window, system.cap
    cumulative = system.cumulative
    step_ms, token_ms, prompt_ms = system.target
    draft_ms = window * (system.draft[0] + system.draft[1])
    draft_prefill_ms = system.draft[0] + system.draft[2] * prompt
    fixed_ms, spread_ms = system.way_ms * (1 - system.jitter_cv), system.way_ms * system.jitter_cv
    gap_ms = 1000.0 / system.rate_per_s
    free_ms = [0.0] * system.devices
    queues: list[list[Session]] = [[] for _ in range(system.replicas)]
    batches: list[list[Session]] = [[] for _ in range(system.replicas)]
    woken: list[int] = []
    log_of_tokens: list[tuple[float, int]] = []
    sessions: list[Session] = []
    order = 1
    events: list[tuple[float, int, int, Session | int]] = [(-log(random()) * gap_ms, 0, REQUEST, 0)]
    now_ms = 0.0
    while events or woken:
        # All events of an instant come before an idle replica starts.
        if woken and (not events or events[0][0] > now_ms):
            for i in sorted(woken):
                queue = queues[i]
                if batches[i] or not queue:
                    continue
                batch = batches[i] = queue[:cap]
                del queue[:cap]
                prompts = sum([1 for session in batch if session.emitted == 0])
                ends_ms = now_ms + step_ms + (len(batch) - prompts) * (window + 1) * token_ms
                heappush(events, (ends_ms + prompts * prompt * prompt_ms, order, END, i))
                order += 1
            woken.clear()
            continue
        now_ms, _, kind, who = heappop(events)
        if kind == END:
            batch = batches[who]
            batches[who] = []
            for session in batch:
                arrival_ms = now_ms + fixed_ms - spread_ms * log(random())
                tokens = 1
                if session.emitted == 0:
                    session.first_ms = arrival_ms
                else:
                    session.rounds += 1
                    tokens = min(bisect_right(cumulative, random()) + 1, output - session.emitted)
                session.emitted += tokens
                session.last_ms = arrival_ms
                log_of_tokens.append((arrival_ms, tokens))
                if session.emitted < output:
                    heappush(events, (arrival_ms, order, VERDICT, session))
                    order += 1
            if queues[who]:
                woken.append(who)
        elif kind == VERDICT:
            begins_ms = free_ms[who.device]
            ends_ms = (begins_ms if begins_ms > now_ms else now_ms) + draft_ms
            free_ms[who.device] = ends_ms
            heappush(events, (ends_ms + fixed_ms - spread_ms * log(random()), order, JOB, who))
            order += 1
        elif kind != REQUEST:
            i = who.replica
            queues[i].append(who)
            if not batches[i]:
                woken.append(i)
        elif len(sessions) < most:
            number = len(sessions)
            session = Session(now_ms, number % system.replicas, number % system.devices)
            sessions.append(session)
            free_ms[session.device] = max(free_ms[session.device], now_ms) + draft_prefill_ms
            heappush(events, (now_ms - log(random()) * gap_ms, order, REQUEST, 0))
            heappush(events, (now_ms + fixed_ms - spread_ms * log(random()), order + 1, PROMPT, session))
            order += 2
    rounds = sum(session.rounds for session in sessions)
    return rounds, sum(session.last_ms - session.started_ms for session in sessions) / len(sessions)
