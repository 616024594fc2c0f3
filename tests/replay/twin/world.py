"""The twin's clock and its events."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from itertools import count
from math import inf, isinf, log

from dsd_plan.domain.deployed import Deployed, Stream
from dsd_plan.domain.network import Hop
from dsd_plan.domain.step_time import decode_ms, iteration_ms, prefill_ms
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from tests.replay.twin import acceptance
from tests.replay.twin.batches import taken
from tests.replay.twin.drafting import Drafting
from tests.replay.twin.engine_like import EngineLike
from tests.replay.twin.faults import REFILLED, Faults, fails_next_ms, is_away, slowness
from tests.replay.twin.ledger import Ledger, Member
from tests.replay.twin.messages import delay_ms, hop_ms, time_matters
from tests.replay.twin.parts import Draft, Lane, Replica, Session, insert
from tests.replay.twin.random_numbers import (
    DOWN,
    GAP,
    SITE_COPY,
    THINK,
    UP,
    key_of_request,
    key_of_stream,
    uniform,
)
from tests.replay.twin.routing import Router, learn
from tests.replay.twin.tiring import freshness


class Twin:
    """Replays until `most` sessions have started and all of them have ended."""

    def __init__(self, deployed: Deployed, seed: int, replication: int, first_ms: Sequence[float], most: int) -> None:
        self.deployed = deployed
        self.most = most
        self.now = 0.0
        self.sessions: list[Session] = []
        self.replicas = [[Replica(i) for _ in range(p.replicas)] for i, p in enumerate(deployed.targets)]
        self.engines = {
            replica: EngineLike(self, replica, pool)
            for pool, replicas in zip(deployed.targets, self.replicas, strict=True)
            for replica in replicas
            if pool.engine is not None
        }
        self.drafts = [[Draft() for _ in range(pool.count)] for pool in deployed.drafts]
        self.lanes: dict[tuple[int, bool, int], Lane] = {}
        self.ledger = Ledger()
        self.drafting = Drafting(self)
        self.target_routers = [Router() for _ in self.replicas]
        self.draft_routers = [Router() for _ in self.drafts]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._scheduled = count()
        self.faults = Faults(self, deployed)
        names = [workload.name for workload in deployed.scenario.workloads]
        seen: dict[str, int] = {}
        self.keys: dict[Stream, int] = {}
        self.last_turns: dict[object, tuple[Replica, int, tuple[int, int, int]]] = {}
        """By conversation: where its last turn was, its tokens, and the blocks it left (see `Seat.abandoned`)."""
        for stream in deployed.streams:
            name = stream.workload.name
            self.keys[stream] = key_of_stream(seed, replication, names.index(name), seen.get(name, 0))
            # Parts of a recording share its key: their requests have the numbers that they have in all of it.
            seen[name] = seen.get(name, 0) + (0 if isinstance(stream.requests, RequestTrace) else 1)
        traces = [s.requests for s in deployed.streams if isinstance(s.requests, RequestTrace)]
        self.origin_s = min((trace.arrival_s[0] for trace in traces), default=0.0)
        for stream in deployed.streams:
            if not isinstance(stream.requests, ClosedRequests):
                self.schedule_open(stream, 0)
        users = [
            (s, i) for s in deployed.streams if isinstance(s.requests, ClosedRequests) for i in range(s.requests.users)
        ]
        for (stream, user), at_ms in zip(users, first_ms, strict=True):
            self.at(at_ms, lambda stream=stream, user=user: self.user_asks(stream, user, 0))

    def at(self, time_ms: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time_ms, next(self._scheduled), action))

    def run(self) -> Twin:
        while self._events:
            self.now = self._events[0][0]
            while self._events and self._events[0][0] == self.now:
                heapq.heappop(self._events)[2]()
            for replica in (replica for pool in self.replicas for replica in pool):
                if replica in self.engines and not replica.stepping:
                    self.engines[replica].start()
                elif replica.queue and not replica.stepping:
                    self.iterate(replica)
            self.drafting.start_idle()
        return self

    def schedule_open(self, stream: Stream, number: int) -> None:
        requests = stream.requests
        if isinstance(requests, RequestTrace):
            if number < len(requests.arrival_s):
                at_ms = (requests.arrival_s[number] - self.origin_s) * 1000.0
                lengths = [
                    int(x[number]) for x in (requests.prompt_tokens, requests.prefill_tokens, requests.output_tokens)
                ]
                self.at(float(at_ms), lambda: self.open_asks(stream, number, *lengths))
            return
        gap = -log(uniform(key_of_request(self.keys[stream], number), 0, GAP)) * (1000.0 / requests.rate_per_s)
        lengths = requests.prompt_tokens, requests.prompt_tokens, requests.output_tokens
        self.at(self.now + gap, lambda: self.open_asks(stream, number, *lengths))

    def open_asks(self, stream: Stream, number: int, prompt: int, prefill: int, output: int) -> None:
        if len(self.sessions) < self.most:
            self.schedule_open(stream, number + 1)
            known_as = number if stream.rows is None else int(stream.rows[number])
            session = self.start(stream, known_as, prompt, prefill, output, None)
            pool, requests = self.deployed.targets[stream.target], stream.requests
            caches = pool.engine is not None and pool.engine.prefix_cache
            if caches and isinstance(requests, RequestTrace) and requests.cached_prefix_tokens is None:
                session.talk = None if requests.conversation is None else (stream, requests.conversation[number])

    def user_asks(self, stream: Stream, user: int, visit: int) -> None:
        if len(self.sessions) < self.most:
            prompt = stream.requests.prompt_tokens
            lengths = prompt, prompt, stream.requests.output_tokens
            session = self.start(stream, user * 2**32 + visit, *lengths, user)
            session.visit = visit

    def start(self, stream: Stream, number: int, prompt: int, prefill: int, output: int, user: int | None) -> Session:
        key = key_of_request(self.keys[stream], number)
        replicas, router = self.replicas[stream.target], self.target_routers[stream.target]
        chosen = self.choose_standing(replicas, router, stream.assignment.routing, key)
        devices = []
        if stream.draft is not None:
            routing = stream.assignment.draft_routing or "random"
            pool, router = self.drafts[stream.draft], self.draft_routers[stream.draft]
            devices = [self.choose_standing(pool, router, routing, key)]
        session = Session(len(self.sessions), key, stream, self.now, prompt, prefill, output, chosen, devices, user)
        session.window = session.decided = stream.window
        session.mode = stream.mode
        self.sessions.append(session)
        acceptance.begin(session)
        chosen.live += 1
        self.ledger.comes(chosen, session, self.now)
        if devices:
            self.drafting.begin(session)
        copies = self.deployed.scenario.site(stream.workload.site).count
        if copies > 1 and not devices:
            session.copy = int(uniform(key, 0, SITE_COPY) * copies)
        elif copies > 1:
            pool = self.drafts[stream.draft]
            session.copy = pool.index(devices[0]) // (len(pool) // copies)
        self.send_up(session, self.now, 4.0 * prompt, 0, lambda: self.prompt_arrives(session))
        return session

    def send_up(self, session: Session, leaves: float, payload: float, turn: int, then: Callable[[], None]) -> None:
        way = self.faults.way(session, leaves, True)
        self.send(session, way, UP, leaves, payload, turn, lambda arrival: self.at(arrival, then))

    def send(
        self,
        session: Session,
        hops: tuple[Hop, ...],
        way: int,
        leaves: float,
        payload: float,
        turn: int,
        known: Callable[[float], None],
    ) -> None:
        """`known(arrival)` is called as soon as it is: after the last link on which others can be in the way."""
        if not (self.faults.any or time_matters(session.stream.up + session.stream.down)):
            known(leaves + delay_ms(hops, session.key, turn, way))
            return

        def go(h: int, now: float, is_there: bool) -> None:
            if h == len(hops):
                known(now)
            elif isinf(hops[h].mbps):
                out = self.faults.sets_out(hops[h], now)
                travel = hop_ms(hops[h], h, out, session.key, turn, way)
                go(h + 1, out + travel * slowness(self.faults.slow[hops[h].link], out), False)
            elif not is_there:
                if way == DOWN:
                    now = session.reached[h] = max(now, session.reached.get(h, 0.0))
                self.at(now, lambda: go(h, now, True))
            else:
                hop = hops[h]
                between = self.deployed.scenario.links[hop.link].between
                copies = max(self.deployed.scenario.site(site).count for site in between)
                lane = self.lanes.setdefault((hop.link, hop.outward, session.copy % copies), Lane())
                sends = payload * 8.0 / (hop.mbps * 1000.0)
                out = lane.free_ms = self.faults.sets_out(hop, max(now, lane.free_ms)) + sends
                lane.busy_ms += sends
                lane.bytes += payload
                travel = hop_ms(hop, h, out, session.key, turn, way)
                go(h + 1, out + travel * slowness(self.faults.slow[hop.link], out), False)

        go(0, leaves, leaves <= self.now)

    def choose_standing(self, mine: list, router: Router, routing: str, key: int):
        """The one that is chosen, or the next that is not away; the one that is chosen if all are."""
        first = mine.index(router.choose(mine, routing, key, 0, self.now))
        order = mine[first:] + mine[:first]
        return next((server for server in order if not is_away(server.away, self.now)), order[0])

    def prompt_arrives(self, session: Session) -> None:
        if session.replica in self.engines:
            session.joined_ms = self.now
            self.engines[session.replica].prompt_arrives(session)
            return
        insert(session.replica.memory, session)
        self.admit(session.replica)

    def admit(self, replica: Replica) -> None:
        limit = self.deployed.targets[replica.pool].kv_tokens
        limit = inf if limit is None else limit
        if replica.down:
            return
        while replica.memory and replica.reserved + replica.memory[0].prompt + replica.memory[0].output <= limit:
            session = replica.memory.pop(0)
            replica.reserved += session.prompt + session.output
            session.computed = 0
            if session.kv == "lost":
                session.kv = "refills"
                session.fate |= REFILLED
                session.prefill = session.context
            self.queues(session)

    def joins(self, session: Session) -> None:
        if session.replica in self.engines:
            session.joined_ms = self.now
            self.engines[session.replica].has_job(session)
        else:
            self.queues(session)

    def queues(self, session: Session) -> None:
        session.joined_ms = self.now
        insert(session.replica.queue, session)

    def iterate(self, replica: Replica) -> None:
        pool = self.deployed.targets[replica.pool]
        chunks = taken(replica.queue, pool)
        batch = list(chunks)
        fresh = [s for s in batch if s.is_fresh]
        going = [s for s in batch if not s.is_fresh]
        step = iteration_ms(
            pool.surface,
            float(len(going)),
            mean([s.stream.assignment.candidates * s.window + 1 for s in going]),
            mean([s.context for s in going]),
            float(len(fresh)),
            mean([chunks[s] for s in fresh]),
        )
        on_context = sum(2 * s.computed * chunks[s] for s in fresh)
        step += pool.surface.law[4] * on_context
        drafted = 0.0
        fused = [s for s in going if s.mode == "fused" and s.window > 0]
        if fused:
            longest = max(s.window for s in fused)
            rows = [s.context for s in fused for _ in range(s.stream.assignment.candidates)]
            drafted = longest * decode_ms(pool.fused_surface, float(len(rows)), 1.0, mean(rows))
            mixed = pool.fused_surface.law[5] * float(len(rows)) * mean(rows)
        fused_fresh = [s for s in fresh if s.stream.mode == "fused"]
        if fused_fresh:
            added = prefill_ms(pool.fused_surface, float(len(fused_fresh)), mean([chunks[s] for s in fused_fresh]))
            drafted += max(added - pool.fused_surface.law[0], 0.0) + mixed if fused else added
        worked_ms = replica.drafted_ms + replica.stepped_ms
        step *= freshness(pool.profile, worked_ms)
        if pool.fused_profile is not None:
            drafted *= freshness(pool.fused_profile, worked_ms)
        factor = slowness(replica.slow, self.now)
        drafted, step = float(drafted) * factor, float(step) * factor
        fails_ms = fails_next_ms(replica.away, self.now)
        replica.stepping, replica.batch = True, batch
        if self.now + (drafted + step) < fails_ms:
            self.at(self.now + (drafted + step), lambda: self.iteration_ends(replica, chunks))
        else:
            drafted = min(drafted, fails_ms - self.now)
            step = fails_ms - self.now - drafted
        replica.iterates(self.now, drafted, step, len(batch))
        self.ledger.iterates(replica, pool, self.now, drafted, step, [self.member(s, chunks[s]) for s in batch])

    @staticmethod
    def member(session: Session, tokens: int) -> Member:
        paths = session.stream.assignment.candidates
        rows = paths if session.mode == "fused" and session.window > 0 else 0
        computed = None
        if session.is_fresh:
            computed, rows = session.computed, 0
        return Member(session, tokens, session.context, computed, rows)

    def iteration_ends(self, replica: Replica, chunks: dict[Session, int]) -> None:
        replica.stepping, replica.batch = False, []
        unfinished = [s for s in chunks if s.is_fresh and s.computed + chunks[s] < s.prefill]
        for session in chunks:
            if session not in unfinished:
                self.emit(session)
        for session in unfinished:
            session.computed += chunks[session]
            insert(replica.queue, session, back=True)

    def emit(self, session: Session) -> None:
        if session.kv == "refills":
            session.kv = "held"
            self.queues(session)
            return
        stream = session.stream
        tokens, payload = 1, stream.messages.first_down
        if session.emitted > 0:
            session.rounds += 1
            learn(session.replica, self.now - session.joined_ms)
            if session.mode == "target_only":
                session.alone += bool(session.devices)
                session.told = 0, 0
            else:
                accepted = acceptance.accept(session)
                session.accepted += accepted
                session.told = accepted, session.window
                tokens = min(accepted + 1, session.output - session.emitted)
                payload = stream.messages.accepted_down * (tokens if stream.mode == "fused" else 1)
                if session.devices and accepted < session.window:
                    payload = stream.messages.rejected_down
        session.emitted += tokens
        last = session.emitted == session.output
        alone = bool(session.devices) and session.mode == "target_only"
        if alone and not last and self.faults.can_draft_again(session):
            session.mode, session.window = stream.mode, stream.window
            if session.replica in self.engines:
                self.engines[session.replica].pauses(session)
        answers = session.mode in ("distributed", "pipelined")

        def known(arrival: float) -> None:
            if session.arrivals_ms:
                arrival = max(arrival, session.arrivals_ms[-1])
            session.arrivals_ms.append(arrival)
            session.tokens.append(tokens)
            if last:
                self.is_read(session)
            elif answers:
                self.at(arrival, lambda: self.drafting.verdict_arrives(session))

        self.send(session, self.faults.way(session, self.now, False), DOWN, self.now, payload, session.rounds, known)
        if last:
            self.end(session)
        else:
            if not session.devices:
                session.window = self.drafting.window_of(session)
            self.faults.goes_on(session)

    def end(self, session: Session) -> None:
        session.replica.live -= 1
        self.ledger.comes(session.replica, session, self.now, -1)
        if session.replica in self.engines:
            self.engines[session.replica].ends(session)
            self.drafting.end(session)
            return
        session.replica.reserved -= session.prompt + session.output
        self.drafting.end(session)
        self.admit(session.replica)

    def is_read(self, session: Session) -> None:
        session.read = True
        self.drafting.drop_ahead(session)
        if session.user is not None:
            think = -log(uniform(session.key, 0, THINK)) * (session.stream.requests.think_s * 1000.0)
            stream, user, visit = session.stream, session.user, session.visit + 1
            self.at(session.arrivals_ms[-1] + think, lambda: self.user_asks(stream, user, visit))


def mean(values: list[int]) -> float:
    return sum(values) / max(len(values), 1)
